import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { Recorder, type FondacoError } from '../../recorder/index.ts';
import { RecorderKit } from '../support/recorder-kit.ts';
import { ScriptedProxy } from '../support/scripted-proxy.ts';
import { until } from '../support/until.ts';

const PLACES = Number(process.env.FONDACO_TEST_PLACES ?? 200);
/** What is flipped there: any bit, by the place. */
const bitOf = (place: number): number => 1 << ((place * 7) % 8);
const kit = new RecorderKit();

describe('a recorder that adopts a damaged spool', function () {
  this.timeout(300_000);
  let template: string;
  /** What was recorded: `<series>-<seq>` and its message. */
  const recorded = new Map<string, string>();
  const last = new Map<string, number>();

  before(async () => {
    await kit.start();
    template = join(kit.directory, 'template');
    const recorder = await kit.open(await kit.nobody(), { spool: { directory: template } });
    for (let round = 0, n = 0; round < 25; round++) {
      for (let i = 0; i < 16; i++) {
        const message = `m${++n} ${'x'.repeat(200)}`;
        const id = recorder.event('test.Numbered', n % 8 === 0 ? 'critical' : 'info', message)!;
        recorded.set(id, message);
        last.set(id.slice(0, 36), Number(id.slice(37)));
      }
      await recorder.flush();
    }
    await recorder.close();
  });
  after(() => kit.end());

  for (const state of ['in its log', 'in tables'] as const) {
    it(`sends nothing false, and accounts for every event: ${PLACES} places of a spool ${state}`, async () => {
      if (state === 'in tables') await reopen(template);
      const files = filesOf(join(template, 'cmd'));
      const sum = files.reduce((total, { size }) => total + size, 0);
      const outcomes = { whole: 0, declared: 0, reported: 0 };
      for (let place = 0; place < PLACES; place++) {
        let at = Math.floor(((place + 0.5) / PLACES) * sum);
        const file = files.find(({ size }) => at < size || ((at -= size), false))!;
        const name = `bit ${bitOf(place)} of byte ${at} of ${file.path}`;
        outcomes[await tryPlace(join(kit.directory, `copy-${place}`), file.path, at, place).catch(rethrow(name))]++;
      }
      if (process.env.SHOW_OUTCOMES) console.log(sum, outcomes);
      assert.isAbove(outcomes.declared, 0, JSON.stringify(outcomes));
    });
  }

  const tryPlace = async (directory: string, path: string, at: number, place: number): Promise<Outcome> => {
    cpSync(template, directory, { recursive: true, filter: (source) => !source.endsWith('reserve') });
    flip(join(directory, 'cmd', path), at, bitOf(place));
    const proxy = await ScriptedProxy.start();
    const errors: FondacoError[] = [];
    const recorder = await Recorder.open({
      component: 'cmd',
      node: 'n1',
      proxy: proxy.address,
      spool: { directory },
      onError: (error) => errors.push(error),
    });
    try {
      await until('it has drained', () => recorder.status().older.lives === 0, 15_000);
      const { level } = await recorder.record('test.Goes', 'info', 'on');
      assert.strictEqual(level, 'proxy');
      return judge(proxy, errors);
    } finally {
      await recorder.close();
      proxy.stop();
      rmSync(directory, { recursive: true });
    }
  };

  /** Fails for an event that was not recorded like that, for one that came twice, and for one that is missing without a word. */
  const judge = (proxy: ScriptedProxy, errors: readonly FondacoError[]): Outcome => {
    const seen = new Map<string, Set<number>>();
    const note = (series: string, seq: number): void => {
      const seqs = seen.get(series) ?? new Set();
      assert.isFalse(seqs.has(seq), `${series}-${seq} once`);
      seen.set(series, seqs.add(seq));
    };
    for (const event of proxy.events) {
      if (event.type === 'test.Goes' || event.type === 'fondaco.SpoolDamaged') continue;
      assert.strictEqual(event.message, recorded.get(event.id), event.id);
      note(event.id.slice(0, 36), Number(event.id.slice(37)));
    }
    for (const { series, range } of proxy.model.lost) for (let seq = range.first; seq <= range.last; seq++) note(series, seq);
    let isAll = true;
    for (const [series, end] of last) {
      const seqs = seen.get(series) ?? new Set();
      const reach = Math.max(0, ...seqs);
      assert.strictEqual(seqs.size, reach, `every seq of ${series} up to the last that is known`);
      assert.isAtMost(reach, end);
      if (reach < end) isAll = false;
    }
    const isTold = errors.some(({ code }) => code === 'CORRUPT');
    assert.isTrue(isTold || (isAll && proxy.model.lost.length === 0), `what is missing is reported: ${errors.map(String).join(' ')}`);
    const notices = proxy.events.filter(({ type }) => type === 'fondaco.SpoolDamaged');
    assert.isAtMost(notices.length, 1);
    if (!isAll) {
      const { lanes } = notices[0]!.attributes as { lanes: Record<string, { series: string; last: number }> };
      for (const { series, last: known } of Object.values(lanes))
        if (seen.has(series)) assert.strictEqual(known, Math.max(...seen.get(series)!));
    }
    return !isAll ? 'reported' : proxy.model.lost.length > 0 ? 'declared' : 'whole';
  };
});

/** All arrived; all arrived or is declared lost; a lost tail, of which no row knew how long it was, is reported. */
type Outcome = 'whole' | 'declared' | 'reported';

/** Opening once more makes tables of LevelDB's log. */
async function reopen(directory: string): Promise<void> {
  const recorder = await kit.open(await kit.nobody(), { spool: { directory } });
  await until('it is adopted', () => recorder.status().older.events > 0);
  await recorder.close();
  assert.isTrue(filesOf(join(directory, 'cmd')).some(({ path }) => path.endsWith('.ldb')));
}

function filesOf(directory: string): { path: string; size: number }[] {
  return readdirSync(directory, { recursive: true })
    .map(String)
    .sort()
    .map((path) => ({ path, size: statSync(join(directory, path)) }))
    .filter(({ path, size }) => size.isFile() && !path.endsWith('reserve') && !/LOG(\.old)?$/.test(path))
    .map(({ path, size }) => ({ path, size: size.size }));
}

function flip(path: string, at: number, bit: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= bit;
  writeFileSync(path, bytes);
}

function rethrow(name: string): (error: unknown) => never {
  return (error) => {
    throw new Error(`${name}: ${String(error)}`, { cause: error });
  };
}
