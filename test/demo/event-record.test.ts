import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { EventRecord, eventId, parseBatch, readRecord } from '../../demo/event-record.ts';
import { receivedEvent, receivedSeries } from '../support/received-events.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe("the subscriber's record", () => {
  let folder: { path: string; remove: () => Promise<void> };
  let path: string;

  beforeEach(async () => {
    folder = await tempDirectory();
    path = join(folder.path, 'received.ndjson');
  });

  afterEach(() => folder.remove());

  it('gives back what was appended, over several lives, in order', async () => {
    const events = receivedSeries(3, { message: 'two\nlines, and a \u2028 that readline takes for one' });
    for (const event of events) {
      const record = await EventRecord.open(path);
      await record.append([event]);
      await record.append([]);
      await record.close();
    }
    assert.deepEqual(await readRecord(path), events);
  });

  it('is empty where there is none', async () => {
    assert.deepEqual(await readRecord(path), []);
  });

  it('cuts off half a line that a killed writer left', async () => {
    const [first, second] = receivedSeries(2);
    await writeFile(path, JSON.stringify(first) + '\n');
    await appendFile(path, '{"id":"s-2","ty');
    assert.deepEqual(await readRecord(path), [first]);
    const record = await EventRecord.open(path);
    await record.append([second!]);
    await record.close();
    assert.deepEqual(await readRecord(path), [first, second]);
  });

  it('takes a batch of CloudEvents apart, and says what is wrong with one', () => {
    const event = { specversion: '1.0', ...receivedEvent() };
    assert.deepEqual(parseBatch(JSON.stringify([event])), [event]);
    assert.deepEqual(parseBatch('[]'), []);
    assert.match(parseBatch('[') as string, /must be JSON/);
    assert.equal(parseBatch('{}'), 'the body must be a JSON array of CloudEvents');
    for (const wrong of [null, 1, {}, { ...event, id: 7 }, { ...event, severitytext: 'loud' }, { ...event, data: null }]) {
      assert.equal(parseBatch(JSON.stringify([event, wrong])), 'element 1 must be a CloudEvent 1.0 of Fondaco');
    }
  });

  it('reads ids, those of summaries too', () => {
    const series = '0199e0c4-0000-7000-8000-000000000000';
    assert.deepEqual(eventId(`${series}-17`), { series, seq: 17, revision: 0 });
    assert.deepEqual(eventId(`${series}-17.2`), { series, seq: 17, revision: 2 });
    assert.isUndefined(eventId('something else'));
  });
});
