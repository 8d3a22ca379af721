import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { repairLife } from '../../recorder/repair-life.ts';
import { findLives, StoppedLife } from '../../recorder/stopped-life.ts';
import { RecorderKit } from '../support/recorder-kit.ts';
import { until } from '../support/until.ts';

const kit = new RecorderKit();

describe('the repair of a stopped life', () => {
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  it('sets the damage aside, declares lost exactly what is gone, and leaves nothing to be found', async () => {
    const proxy = await kit.nobody();
    const first = await kit.open(proxy);
    for (let n = 0; n < 100; n++) {
      first.event('a.B', 'info', `${n} ${'x'.repeat(700)}`);
      if (n % 10 === 9) await first.flush();
    }
    const [place] = await findLives(kit.directory);
    const held = await repairLife(place!).catch((error: unknown) => error);
    assert.match(String(held), /UNAVAILABLE/);
    await first.close();
    assert.deepEqual(await repairLife(place!), { done: [], events: { urgent: 0, normal: 100 }, lost: { urgent: 0, normal: 0 } });
    const db = join(place!.directory, 'db');
    const table = join(
      db,
      readdirSync(db).find((name) => name.endsWith('.ldb'))!,
    );
    const bytes = readFileSync(table);
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    writeFileSync(table, bytes);

    const { done, events, lost } = await repairLife(place!);
    assert.isAbove(done.length, 0);
    assert.strictEqual(events.normal + lost.normal, 100);
    assert.isAbove(lost.normal, 0);
    const life = await StoppedLife.open(place!);
    let left = 0;
    for await (const _ of life.events('normal')) left++;
    assert.deepEqual(life.damages, []);
    await life.close();
    assert.strictEqual(left, events.normal);

    await proxy.start();
    const second = await kit.open(proxy);
    await until('it has drained', () => second.status().older.lives === 0, 15_000);
    assert.lengthOf(proxy.events, events.normal);
    assert.strictEqual(
      proxy.model.lost.reduce((sum, { range }) => sum + range.last - range.first + 1, 0),
      lost.normal,
    );
  });
});
