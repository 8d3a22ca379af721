import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { assert } from 'chai';
import { LIMITS_ON_DISK } from '../../recorder/spool-room.ts';
import { assertBalanced, RecorderKit } from '../support/recorder-kit.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const BYTES_MAX = 6 * MIB;
const kit = new RecorderKit();
const long = 'x'.repeat(8000);

describe('recorder, when its spool is full', function () {
  this.timeout(60_000);
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  it('drop-oldest: keeps to its limit on disk, drops exactly the oldest, and says so once', async () => {
    const proxy = await kit.nobody();
    const recorder = await kit.open(proxy, { spool: { directory: kit.directory, bytesMax: BYTES_MAX } });
    let peak = 0;
    for (let round = 0; round < 40; round++) {
      for (let n = 0; n < 50; n++) recorder.event('a.B', 'info', long);
      await recorder.flush();
      peak = Math.max(peak, bytesIn(kit.directory));
      assertBalanced(recorder.status());
    }
    if (process.env.SHOW_OUTCOMES) console.log({ peak, ...recorder.status() });
    assert.isAtMost(peak, BYTES_MAX + LIMITS_ON_DISK.slackBytes);
    assert.isAtMost(recorder.status().spool.bytes, BYTES_MAX);
    const { dropped, spooled } = recorder.status().ledger;
    assert.isAbove(spooled * 8000, BYTES_MAX / 2, 'the room is used');
    assert.lengthOf(full(), 1);
    assert.match(full()[0]!, /the spool must take at most 6291456 bytes, got more: its oldest events are dropped, and declared lost/);
    await proxy.start();
    await until('the rest is settled', () => recorder.status().ledger.settled === 2000 - dropped, 20_000);
    assert.deepEqual(
      proxy.model.stored.map(({ seq }) => seq),
      Array.from({ length: spooled }, (_, i) => dropped + 1 + i),
    );
    assert.deepEqual(
      proxy.model.lost.map(({ range, cause }) => ({ range, cause })),
      [{ range: { first: 1, last: dropped }, cause: 'spool-full' }],
    );
  });

  it('drop-oldest: gives up normal events before urgent ones', async () => {
    const proxy = await kit.nobody();
    const recorder = await kit.open(proxy, { spool: { directory: kit.directory, bytesMax: BYTES_MAX } });
    for (let round = 0; round < 30; round++) {
      for (let n = 0; n < 50; n++) recorder.event('a.B', n % 10 === 0 ? 'critical' : 'info', long);
      await recorder.flush();
    }
    const { urgent, normal } = recorder.status().lanes;
    assert.deepInclude(urgent, { spooled: 150, dropped: 0 });
    assert.isAbove(normal.dropped, 500);
  });

  it('drop-newest: keeps to its limit on disk, then memory, then drops exactly the newest, and goes on when there is room', async () => {
    const proxy = await kit.nobody();
    const recorder = await kit.open(proxy, { spool: { directory: kit.directory, bytesMax: BYTES_MAX, whenFull: 'drop-newest' } });
    let peak = 0;
    for (let n = 1; n <= 4000; n++) {
      recorder.event('a.B', 'info', long);
      if (n % 20 === 0) await turn();
      if (n % 50 === 0) await recorder.flush(AbortSignal.timeout(20)).catch(() => undefined);
      peak = Math.max(peak, n % 50 === 0 ? bytesIn(kit.directory) : 0);
    }
    if (process.env.SHOW_OUTCOMES) console.log({ peak, ...recorder.status() });
    assertBalanced(recorder.status());
    assert.isAtMost(peak, BYTES_MAX + LIMITS_ON_DISK.slackBytes);
    const { dropped, spooled, queued } = recorder.status().ledger;
    assert.isAbove(spooled * 8000, BYTES_MAX / 2, 'the room is used');
    assert.isAbove(queued * 8000, 12 * MIB, 'and memory');
    assert.isAbove(dropped, 100);
    assert.match(
      full()[0]!,
      /the spool must take at most .* new events stay in memory, and are dropped and declared lost when that is full/,
    );
    await proxy.start();
    await until('the rest is settled', () => recorder.status().ledger.settled === 4000 - dropped, 20_000);
    assert.deepEqual(
      proxy.model.stored.map(({ seq }) => seq),
      Array.from({ length: 4000 - dropped }, (_, i) => i + 1),
    );
    assert.deepEqual(
      proxy.model.lost.map(({ range, cause }) => ({ range, cause })),
      [{ range: { first: 4001 - dropped, last: 4000 }, cause: 'memory-full' }],
    );
    proxy.stop();
    for (let n = 0; n < 10; n++) recorder.event('a.B', 'info', long);
    await recorder.flush();
    assert.strictEqual(recorder.status().ledger.spooled, 10);
  });

  it('gives room back while it drains', async () => {
    const proxy = await kit.nobody();
    const recorder = await kit.open(proxy, { spool: { directory: kit.directory } });
    for (let round = 0; round < 40; round++) {
      for (let n = 0; n < 100; n++) recorder.event('a.B', 'info', long);
      await recorder.flush();
    }
    const before = bytesIn(kit.directory);
    assert.isAbove(before, 30 * MIB);
    // It takes most of it, and then nothing more.
    proxy.script = (batch) => (batch.after < 3500 ? 'take' : 'hang');
    await proxy.start();
    await until('the room is given back', () => bytesIn(kit.directory) < before / 2, 20_000);
    assert.isAbove(recorder.status().ledger.spooled, 0);
  });

  const full = (): string[] =>
    kit.errors.filter(({ code, text }) => code === 'FULL' && text.startsWith('the spool')).map(({ text }) => text);
});

/** What the spools take, without the room that is reserved. */
function bytesIn(directory: string): number {
  let bytes = 0;
  for (const path of readdirSync(directory, { recursive: true }).map(String)) {
    if (path.endsWith('reserve')) continue;
    const info = statSync(join(directory, path), { throwIfNoEntry: false });
    bytes += info?.isFile() ? info.size : 0;
  }
  return bytes;
}
