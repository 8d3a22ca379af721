import { setImmediate as turn } from 'node:timers/promises';
import { assert } from 'chai';
import { ProcessRecorder } from '../../recorder/process-wide.ts';
import { assertBalanced, RecorderKit } from '../support/recorder-kit.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const SPOOL_BYTES = 6 * MIB;
const kit = new RecorderKit();
const long = 'x'.repeat(8000);
type Policy = 'drop-oldest' | 'drop-newest';

/** What has no room is dropped, but no critical event while an info one is kept that is not on its way. */
describe('recorder, what is dropped first', function () {
  this.timeout(60_000);
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  for (const where of ['memory only', 'a spool that is full, drop-newest'] as const) {
    it(`${where}: normal events give way to an urgent one, and none of those to a normal one`, async () => {
      const recorder = await kit.open(await kit.nobody(), {
        spool: where === 'memory only' ? false : { directory: kit.directory, bytesMax: SPOOL_BYTES, whenFull: 'drop-newest' },
      });
      const record = async (severity: 'critical' | 'info', count: number): Promise<void> => {
        for (let n = 0; n < count; n++) {
          recorder.event('a.B', severity, long);
          if (n % 100 === 0) await turn();
        }
        assertBalanced(recorder.status());
      };
      await record('info', 4000); // 32 MB: more than memory and spool
      await record('critical', 1500); // 12 MB: normal ones go
      assert.strictEqual(recorder.status().lanes.urgent.dropped, 0);
      await record('critical', 2500);
      const before = recorder.status().lanes;
      assert.isAbove(before.urgent.dropped, 0);
      await record('info', 500);
      assert.strictEqual(recorder.status().lanes.urgent.dropped, before.urgent.dropped);
    });
  }

  for (const whenFull of ['drop-oldest', 'drop-newest'] satisfies Policy[]) {
    it(`${whenFull}, spool: urgent events take the room of normal ones, and keep it`, async () => {
      const recorder = await kit.open(await kit.nobody(), { spool: { directory: kit.directory, bytesMax: SPOOL_BYTES, whenFull } });
      const record = async (severity: 'critical' | 'info', count: number): Promise<void> => {
        for (let n = 0; n < count; n++) {
          recorder.event('a.B', severity, long);
          if (n % 200 === 199) await recorder.flush(AbortSignal.timeout(250)).catch(() => undefined);
        }
        assertBalanced(recorder.status());
      };
      await record('info', 1000);
      await record('critical', 400); // 3 MB of the 6: normal ones go
      assert.strictEqual(recorder.status().lanes.urgent.dropped, 0);
      await until('they are in the spool', () => recorder.status().lanes.urgent.spooled >= 350, 20_000);
      await record('critical', 400);
      // What is left of them in memory still takes the room of older ones.
      if (whenFull === 'drop-oldest') await until('they are all there', () => recorder.status().lanes.urgent.queued === 0, 20_000);
      const { dropped } = recorder.status().lanes.urgent;
      await record('info', 600);
      assert.strictEqual(recorder.status().lanes.urgent.dropped, dropped, 'no critical event for an info one');
    });
  }

  it('before open: a critical call takes the place of the newest that is less', async () => {
    const recorder = new ProcessRecorder();
    for (let n = 1; n <= 1000; n++) recorder.event('a.B', n % 2 === 0 ? 'info' : 'critical', `m${n}`);
    recorder.event('a.B', 'critical', 'last');
    recorder.event('a.B', 'info', 'late');
    const proxy = await kit.proxy();
    await recorder.open({ component: 'cmd', node: 'n1', proxy: proxy.address, spool: false });
    await recorder.flush();
    await recorder.close();
    const messages = proxy.messages;
    assert.include(messages, 'last');
    assert.notInclude(messages, 'm1000');
    assert.notInclude(messages, 'late');
    assert.lengthOf(messages, 1000);
    assert.deepEqual(
      proxy.model.lost.map(({ range, cause }) => ({ count: range.last - range.first + 1, cause })),
      [{ count: 2, cause: 'memory-full' }],
    );
  });
});
