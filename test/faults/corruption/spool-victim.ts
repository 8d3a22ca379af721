/** An agent's spool whose owner is gone, of 256 KiB, in LevelDB's log or in tables; adopted, and all of it handed to a proxy's rules. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { FondacoError } from '../../../core/errors.ts';
import { LANES, type Lane } from '../../../core/lane.ts';
import { systemClock } from '../../../core/clock.ts';
import { decodeEvent } from '../../../core/event-codec.ts';
import { ProtobufReader } from '../../../core/protobuf.ts';
import { HEADS_FILE } from '../../../journal/head-witness.ts';
import { LevelJournal } from '../../../journal/level-journal.ts';
import { adoptLife, type AdoptionParts, type SpoolDamage } from '../../../recorder/adoption.ts';
import { Recorder } from '../../../recorder/index.ts';
import { writeBack, type Life } from '../../../recorder/life.ts';
import type { SeriesStore } from '../../../recorder/series-store.ts';
import { ReceiverModel } from '../../support/receiver-model.ts';
import { damagedCopy, readStore, roleOf, type Damage, type StoreFiles } from './damage.ts';
import { layoutOf, mustSurvive } from './layout.ts';
import { newVerdict, OPEN_MS, within, type Verdict, type Victim } from './verdict.ts';

const TEXT = 'x'.repeat(700);
const WRITE_BUFFER_BYTES = 1 << 20;
const LIMITS = { eventsMax: 500, bytesMax: 1 << 20 };
const TURNS_MAX = 10_000;

interface Series {
  readonly lane: Lane;
  readonly last: number;
  readonly isSafe: (seq: number, damages: readonly Damage[]) => boolean;
}

/** What an adoption brought to light. */
interface Adopted {
  readonly model: ReceiverModel;
  readonly problems: readonly FondacoError[];
  readonly damage: SpoolDamage | undefined;
}

export class SpoolVictim implements Victim {
  readonly sizes: ReadonlyMap<string, number>;
  readonly #store: StoreFiles;
  readonly #life: string;
  /** Messages by id. */
  readonly #recorded: ReadonlyMap<string, string>;
  readonly #series = new Map<string, Series>();

  private constructor(store: StoreFiles, life: string, recorded: ReadonlyMap<string, string>) {
    this.#store = store;
    this.#life = life;
    this.#recorded = recorded;
    this.sizes = new Map(store.files.map(({ path, bytes }) => [path, bytes.length]));
  }

  /** Makes the spool, in `directory`. */
  static async make(directory: string, bytesMin: number, isInTables: boolean): Promise<SpoolVictim> {
    const base = join(directory, 'original');
    const recorder = await Recorder.open({ component: 'cmd', node: 'n1', proxy: `unix:${directory}/nobody`, spool: { directory: base } });
    const recorded = new Map<string, string>();
    for (let n = 1; n * TEXT.length < bytesMin; n++) {
      const message = `m${n} ${TEXT}`;
      recorded.set(recorder.event('test.Numbered', n % 4 === 0 ? 'critical' : 'info', message)!, message);
      if (n % 15 === 0) await recorder.flush();
    }
    await recorder.close();
    const [life] = readdirSync(join(base, 'cmd'));
    const home = join(base, 'cmd', life!);
    // Opening once more makes tables of LevelDB's log.
    if (isInTables)
      await (await LevelJournal.open(home, { clock: systemClock(), stamp: { site: '' }, writeBufferBytes: WRITE_BUFFER_BYTES })).close();
    const victim = new SpoolVictim(readStore(home), life!, recorded);
    await victim.#learn(join(directory, 'layout'));
    return victim;
  }

  async #learn(scratch: string): Promise<void> {
    const blobs = await layoutOf(this.#store, scratch);
    damagedCopy(this.#store, scratch, []);
    const journal = await LevelJournal.open(scratch, { clock: systemClock(), stamp: { site: '' } });
    for (const lane of LANES) {
      const { entries } = await journal.read(lane, 1, Infinity);
      const { series } = entries[0]!;
      const isSafe = (seq: number, damages: readonly Damage[]): boolean => {
        const place = blobs.find((blob) => blob.lane === lane && blob.from <= seq && seq < blob.to)!; // positions are the seqs here
        return mustSurvive(place, damages, this.sizes);
      };
      this.#series.set(series, { lane, last: entries.at(-1)!.seq, isSafe });
    }
    await journal.close();
    rmSync(scratch, { recursive: true });
  }

  async judge(damages: readonly Damage[], scratch: string): Promise<Verdict> {
    const verdict = newVerdict(this.#recorded.size);
    const home = join(scratch, this.#life);
    damagedCopy(this.#store, home, damages);
    try {
      const adopted = await this.#adopt(home, verdict);
      this.#judgeTruth(adopted, verdict);
      this.#judgeLosses(adopted, damages, verdict);
      if (adopted.problems.length > 0 && damages.length === 1) this.#judgeEvidence(damages, scratch, verdict);
      const again = await this.#adopt(home, verdict);
      if (again.problems.length > 0) verdict.wrong.push(`the second adoption finds ${again.problems[0]!.text}`);
      if (again.model.stored.length > 0) verdict.wrong.push(`the second adoption sends ${again.model.stored.length} events again`);
    } catch (error) {
      verdict.wrong.push(String(error));
    }
    rmSync(scratch, { recursive: true, force: true });
    return verdict;
  }

  async #adopt(home: string, verdict: Verdict): Promise<Adopted> {
    const problems: FondacoError[] = [];
    let damage: SpoolDamage | undefined;
    const parts: AdoptionParts = {
      node: 'n1',
      component: 'cmd',
      clock: systemClock(),
      openJournal: (directory) =>
        LevelJournal.open(directory, {
          clock: systemClock(),
          stamp: { site: '' },
          writeBufferBytes: WRITE_BUFFER_BYTES,
          recentBytes: 0,
          isWitnessed: true,
        }),
      onProblem: (problem) => problems.push(problem),
      onCommit: () => undefined,
      onDamage: (found) => (damage = found),
      events: {
        changed: () => undefined,
        rejected: () => undefined,
        unreadable: (_, error) => verdict.wrong.push(`unreadable: ${error.message}`),
        damaged: () => undefined,
      },
    };
    const life = await within(OPEN_MS, 'an adoption', adoptLife(home, parts));
    if (!life) throw new Error('the life must be there');
    const model = new ReceiverModel();
    try {
      for (const lane of LANES) await drain(life.stores[lane], model);
      await writeBack(life);
      verdict.discrepancy += LANES.reduce((sum, lane) => sum + discrepancyOf(life, lane), 0);
    } finally {
      await life.journal?.close();
    }
    return { model, problems, damage };
  }

  /** Nothing that was not recorded, nothing twice, in order. */
  #judgeTruth({ model }: Adopted, verdict: Verdict): void {
    const last = new Map<string, number>();
    for (const { series, seq, bytes } of model.stored) {
      const { message } = decodeEvent(bytes, { id: '', site: '', labels: undefined, receivedTime: '' });
      if (this.#recorded.get(`${series}-${seq}`) !== message) verdict.wrong.push(`${series}-${seq} is not what was recorded`);
      if (seq <= (last.get(series) ?? 0)) verdict.wrong.push(`${series}-${seq} is out of order`);
      last.set(series, seq);
    }
  }

  #judgeLosses({ model, problems, damage }: Adopted, damages: readonly Damage[], verdict: Verdict): void {
    const came = new Set(model.stored.map(({ series, seq }) => `${series}-${seq}`));
    for (const [series, { lane, last, isSafe }] of this.#series) {
      const lost = model.lost.filter((loss) => loss.series === series);
      // Where not even the rows were left, the life's series are others: nothing of this one came, and its end is unknown.
      const reach = damage?.lanes[lane].series === series ? damage.lanes[lane].last : 0;
      for (let seq = 1; seq <= last; seq++) {
        const isNamed = lost.some(({ range }) => range.first <= seq && seq <= range.last);
        const isHere = came.has(`${series}-${seq}`);
        if (isNamed) verdict.named++;
        if (isHere && isNamed) verdict.wrong.push(`${series}-${seq} came, and is named as lost`);
        if (isHere || isNamed) continue;
        if (isSafe(seq, damages)) verdict.wrong.push(`${series}-${seq} was whole, and did not come`);
        if (damage && seq > reach) verdict.named++;
        else if (problems.length === 0 && isBeyondCut(damages)) verdict.beyond++;
        else verdict.lost++;
      }
      for (const { range } of lost) if (range.last > last) verdict.wrong.push(`${series}-${range.last} is named as lost, and never was`);
    }
  }

  #judgeEvidence(damages: readonly Damage[], scratch: string, verdict: Verdict): void {
    const all = readdirSync(scratch, { recursive: true }).map(String);
    for (const { file, kind } of damages) {
      if (roleOf(file) === 'CURRENT' || (kind === 'cut' && roleOf(file) === 'log')) continue;
      const name = file.slice(file.lastIndexOf('/'));
      if (!all.some((path) => path.endsWith(name) && existsSync(join(scratch, path)))) verdict.wrong.push(`no evidence is left of ${file}`);
    }
  }
}

/** As a session does: what the series holds, batch by batch, until the proxy has settled all of it. */
async function drain(store: SeriesStore, model: ReceiverModel): Promise<void> {
  const reader = new ProtobufReader();
  for (let turn = 0; store.hasMore; turn++) {
    const cut = await store.read(LIMITS);
    if (!cut || turn > TURNS_MAX) throw new Error(`${store.lane} must be readable to its end`);
    const events: Buffer[] = [];
    for (const slice of cut.events.slices)
      for (reader.over(slice); reader.next();) events.push(Buffer.from(slice.subarray(reader.start, reader.at)));
    const { window } = store;
    const header = window.send(cut.last);
    const reply = model.take({
      ...header,
      series: window.series,
      lane: window.lane,
      lost: cut.lost,
      events,
      isClosing: false,
      sender: { node: 'n1', component: 'cmd' },
    });
    store.replied(reply, window.reply(reply));
  }
}

function discrepancyOf({ stores }: Life, lane: Lane): number {
  const { last, window, counts, spooled, queued } = stores[lane];
  return Math.abs(last - window.settled) + spooled + queued + (counts.rejected > 0 ? 1 : 0);
}

/** A log that ends early looks like one that was never longer, unless the file beside it says what it held. */
function isBeyondCut(damages: readonly Damage[]): boolean {
  const isCut = damages.some(({ file, kind }) => kind === 'cut' && roleOf(file) === 'log');
  return isCut && damages.some(({ file }) => file === HEADS_FILE);
}
