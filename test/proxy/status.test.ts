import { assert } from 'chai';
import { MemoryStorage } from '../../journal/memory-journal.ts';
import { statusSource } from '../../proxy/status.ts';
import { systemClock } from '../../core/clock.ts';
import { SurfaceKit } from '../support/surface-kit.ts';
import { until } from '../support/until.ts';

describe('the status of a proxy', () => {
  it('tells the books as they were read last while the store cannot be read, and goes on when it can', async () => {
    const storage = new MemoryStorage();
    const kit = await SurfaceKit.open({ storage });
    const status = await statusSource({
      site: 'plant-7',
      node: 'proxy-host',
      data: '/data',
      version: '0',
      config: () => ({ file: null, loadedAt: '2026-11-22T08:00:00.000Z' }),
      clock: systemClock(),
      journal: kit.journal,
      dispatcher: kit.dispatcher,
      backlog: { status: () => ({ bytes: 0, bytesMax: 1, retentionMs: 0, isLow: kit.journal.isLow }) },
      feeds: [],
      isReady: () => kit.journal.isOpen,
      httpInput: kit.input,
    });
    const post = (message: string): Promise<unknown> => kit.post([{ type: 'a.B', severity: 'info', message }]);
    await post('1');
    const before = await status();
    assert.deepEqual([before.accepted.normal, before.isReady, before.booksAsOf], [1, true, undefined]);
    storage.fate = () => 'failed';
    storage.openFailures = Infinity;
    await post('2');
    await until('the store is closed', () => !kit.journal.isOpen);
    const meanwhile = await status();
    assert.deepEqual([meanwhile.accepted.normal, meanwhile.isReady], [1, false]);
    assert.match(meanwhile.booksAsOf ?? '', /^\d{4}-\d\d-\d\dT/);
    storage.fate = () => 'taken';
    storage.openFailures = 0;
    await until('it is open again', () => kit.journal.isOpen);
    await post('3');
    const after = await status();
    assert.deepEqual([after.accepted.normal, after.isReady, after.booksAsOf], [2, true, undefined]);
    await kit.stop();
  });
});
