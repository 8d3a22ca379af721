import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { assert } from 'chai';
import type { Recorder } from '../../recorder/index.ts';
import { fastClock } from '../support/fast-clock.ts';
import { assertBalanced, recordMany, RecorderKit } from '../support/recorder-kit.ts';
import type { ScriptedProxy } from '../support/scripted-proxy.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const DISK_BYTES = 24 * 1024 * 1024;
const kit = new RecorderKit();
const long = 'x'.repeat(8000);

describe('recorder, on a full disk', function () {
  this.timeout(60_000);
  let disk: SmallDisk;

  beforeEach(async function () {
    await kit.start();
    const mounted = SmallDisk.mount(join(kit.directory, 'disk'), DISK_BYTES);
    if (!mounted) this.skip();
    disk = mounted;
  });
  afterEach(async () => {
    await kit.end(() => disk.unmount());
  });

  const open = (proxy: ScriptedProxy, whenFull: 'drop-oldest' | 'drop-newest'): Promise<Recorder> =>
    kit.open(proxy, { spool: { directory: join(disk.directory, 'spool'), whenFull } }, { clock: fastClock(10), random: () => 0 });
  const fillUntilFull = async (recorder: Recorder): Promise<void> => {
    disk.fill(300 * 1024);
    for (let n = 0; n < 200 && !kit.errors.some(({ code }) => code === 'FULL'); n++) {
      for (let i = 0; i < 5; i++) recorder.event('test.Filling', 'info', long);
      await recorder.flush(AbortSignal.timeout(200)).catch(() => undefined);
    }
    assert.isTrue(
      kit.errors.some(({ code }) => code === 'FULL'),
      'the disk was found full',
    );
  };

  for (const whenFull of ['drop-oldest', 'drop-newest'] as const) {
    it(`${whenFull}: what can be read goes on while the disk is full, and the rest follows by itself when there is room`, async () => {
      const proxy = await kit.nobody();
      const recorder = await open(proxy, whenFull);
      recordMany(recorder, 1, 300);
      await until('they are spooled', () => recorder.status().ledger.spooled === 300, 10_000);
      await fillUntilFull(recorder);
      recorder.event('test.Urgent', 'critical', 'fire');
      await proxy.start();
      await until('the urgent one has arrived', () => proxy.messages.includes('fire'), 10_000);
      await until('it says that the proxy is up', () => recorder.status().state !== 'spooling');
      assertBalanced(recorder.status());
      disk.empty();
      const { recorded } = recorder.status().ledger;
      await until('all is settled', () => recorder.status().ledger.settled + recorder.status().ledger.dropped === recorded, 20_000);
      assertAccounted(proxy, recorder);
      recordMany(recorder, 301, 310);
      await until('it goes on', () => recorder.status().ledger.queued === 0, 10_000);
      assertBalanced(recorder.status());
    });

    it(`${whenFull}: loses by its policy, and by name, what neither disk nor memory can take`, async () => {
      const proxy = await kit.nobody();
      const recorder = await open(proxy, whenFull);
      for (let n = 0; n < 400; n++) recorder.event('test.Old', 'info', long);
      await until('they are spooled', () => recorder.status().ledger.spooled === 400, 10_000);
      await fillUntilFull(recorder);
      for (let n = 0; n < 2500; n++) {
        recorder.event('test.New', 'info', long);
        if (n % 20 === 0) await turn();
        // Memory is half full: the policy has its turn.
        if (n === 1200) await until('it is told', () => kit.errors.some(({ text }) => text.startsWith('the disk under the spool')), 10_000);
      }
      const { dropped, spooled } = recorder.status().ledger;
      assert.isAbove(dropped, 0);
      assertBalanced(recorder.status());
      disk.empty();
      await proxy.start();
      const { recorded } = recorder.status().ledger;
      await until('all is settled', () => recorder.status().ledger.settled + recorder.status().ledger.dropped === recorded, 20_000);
      assertAccounted(proxy, recorder);
      if (whenFull === 'drop-newest') {
        assert.isAtLeast(spooled, 400);
        assert.isTrue(proxy.model.lost.every(({ range, cause }) => range.first > 400 && cause === 'memory-full'));
      } else assert.strictEqual(proxy.model.lost[0]?.range.first, 1);
    });
  }

  it('gives up no urgent event while a normal one is left, however long it stays full', async () => {
    const proxy = await kit.nobody();
    const recorder = await open(proxy, 'drop-oldest');
    let n = 0;
    const record = (): string | undefined => recorder.event('test.Mixed', n++ % 50 === 0 ? 'critical' : 'info', long);
    for (let i = 0; i < 400; i++) record();
    await until('they are spooled', () => recorder.status().ledger.spooled === 400, 10_000);
    await fillUntilFull(recorder);
    for (let i = 0; i < 4000; i++) {
      record();
      if (i % 20 === 0) await turn();
      if (i % 200 === 0) await recorder.flush(AbortSignal.timeout(200)).catch(() => undefined);
    }
    const { urgent, normal } = recorder.status().lanes;
    assert.isAbove(normal.dropped, 0);
    assert.isAbove(normal.spooled + normal.queued, 0);
    assert.strictEqual(urgent.dropped, 0);
    disk.empty();
    await proxy.start();
    const { recorded } = recorder.status().ledger;
    await until('all is settled', () => recorder.status().ledger.settled + recorder.status().ledger.dropped === recorded, 20_000);
    assertAccounted(proxy, recorder);
  });
});

/** Every seq of each lane arrived once or was declared lost, and the proxy says the same as the recorder. */
function assertAccounted(proxy: ScriptedProxy, recorder: Recorder): void {
  const { lanes, ledger } = recorder.status();
  const lost = proxy.model.lost.reduce((sum, { range }) => sum + range.last - range.first + 1, 0);
  assert.strictEqual(lost, ledger.dropped, 'declared as it is in the books');
  for (const lane of ['urgent', 'normal'] as const) {
    const stored = proxy.model.stored.filter((event) => event.lane === lane);
    assert.strictEqual(new Set(stored.map(({ seq }) => seq)).size, stored.length, 'nothing twice');
    assert.strictEqual(stored.length, lanes[lane].settled);
  }
}
