/**
 * Power cuts. A process that records under load is watched, its lives are killed, closed, and begun on what a cut left; then the power is
 * cut at many moments in what it did, and the real code is opened on what such a cut could leave (test/support/cut-disk.ts).
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { uuidV7 } from '../../core/uuid.ts';
import { restore } from './power-cut/cut-disk.ts';
import { judgeJournal } from './power-cut/journal-judge.ts';
import type { JournalLoad } from './power-cut/journal-load.ts';
import { JournalWitness } from './power-cut/journal-witness.ts';
import { MOMENTS, PowerRecording, type Cut, type LifePlan } from './power-cut/recording.ts';
import { judgeSpool, SpoolWitness } from './power-cut/spool-judge.ts';
import type { SpoolLoad } from './power-cut/spool-load.ts';
import type { Verdict } from './verdict.ts';
import { seeded } from '../support/seeded.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

const FORMS = {
  short: { journalCuts: 30, journalLives: 2, journalBatches: 30, spoolCuts: 20, spoolLives: 2, spoolEvents: 250 },
  long: { journalCuts: 510, journalLives: 6, journalBatches: 40, spoolCuts: 210, spoolLives: 9, spoolEvents: 300 },
} as const;
/** So many states are judged at once: a judge waits more than it works. */
const JUDGES = 3;
const SPOOL_LOAD = fileURLToPath(new URL('./power-cut/spool-load.ts', import.meta.url));
const JOURNAL_LOAD = fileURLToPath(new URL('./power-cut/journal-load.ts', import.meta.url));

const campaign: Campaign = {
  title: 'power cuts',
  repeats: 'what a destination had and the journal had not settled is delivered once more, byte for byte, under the same numbers',
  async *run(order) {
    const { path, remove } = await tempDirectory();
    try {
      yield* journalCuts(order, path);
      yield* spoolCuts(order, path);
    } finally {
      await remove();
    }
  },
};
export default campaign;

async function* journalCuts({ form, seed, progress }: CampaignOrder, temp: string): AsyncIterable<FaultRow> {
  const base = join(temp, 'journal');
  const { journalCuts: cuts, journalLives, journalBatches } = FORMS[form];
  const random = seeded(seed);
  const now = Date.now();
  const senders = (['u', 'n'] as const).map((tag) => ({ tag, series: uuidV7(now), acked: 0, sent: 0 }));
  const recorded = new JournalWitness(senders);
  const recording = new PowerRecording(base, random, (mark) => recorded.take(mark));
  for (let life = 1; life <= journalLives; life++) {
    const plan: LifePlan = {
      script: JOURNAL_LOAD,
      isCut: life % 2 === 1,
      order: (folder, marks): JournalLoad => ({
        directory: join(folder, 'store'),
        marks,
        seed: seed + life,
        senders: recorded.senders,
        batches: journalBatches,
        end: life % 4 === 2 ? 'close' : 'kill',
      }),
    };
    await recording.record(plan);
  }
  const witness = new JournalWitness(senders);
  const tally = new Tally('journal', (done) => progress(done, cuts + FORMS[form].spoolCuts));
  for await (const cut of recording.cuts(cuts, (mark) => witness.take(mark))) {
    const then = witness.copy();
    await tally.judge(cut, base, (folder) => judgeJournal(folder, then));
  }
  yield* tally.rows();
}

async function* spoolCuts({ form, seed, progress }: CampaignOrder, temp: string): AsyncIterable<FaultRow> {
  const base = join(temp, 'spool');
  const { journalCuts: before, spoolCuts: cuts, spoolLives, spoolEvents } = FORMS[form];
  const random = seeded(seed);
  const journal = uuidV7(Date.now());
  const recorded = new SpoolWitness();
  const recording = new PowerRecording(base, random, (mark) => recorded.take(mark));
  for (let life = 1; life <= spoolLives; life++) {
    const plan: LifePlan = {
      script: SPOOL_LOAD,
      isCut: life % 2 === 0,
      order: (folder, marks): SpoolLoad => ({
        directory: join(folder, 'spool'),
        marks,
        seed: seed + life,
        journal,
        rows: [...recorded.rows],
        first: recorded.tried + 1,
        count: spoolEvents,
        end: (['exit', 'kill', 'close'] as const)[(life - 1) % 3]!,
      }),
    };
    await recording.record(plan);
  }
  const witness = new SpoolWitness();
  const tally = new Tally('spool', (done) => progress(before + done, before + cuts));
  for await (const cut of recording.cuts(cuts, (mark) => witness.take(mark))) {
    const then = witness.copy();
    await tally.judge(cut, base, (folder) => judgeSpool(folder, then, journal));
  }
  yield* tally.rows();
}

/** Judges states, some at once, and adds up what they cost. */
class Tally {
  readonly #what: string;
  readonly #onJudged: (done: number) => void;
  readonly #rows = new Map<string, { -readonly [Key in keyof FaultRow]: FaultRow[Key] }>();
  readonly #judging = new Set<Promise<void>>();
  #cuts = 0;
  #done = 0;

  constructor(what: string, onJudged: (done: number) => void) {
    this.#what = what;
    this.#onJudged = onJudged;
  }

  /** Resolves when there is room for the next. */
  async judge({ moment, state }: Cut, base: string, judge: (folder: string) => Promise<Verdict>): Promise<void> {
    const number = ++this.#cuts;
    const judging = (async () => {
      const folder = join(base, `${this.#what}-cut-${number}`);
      await mkdir(folder);
      await restore(state, folder);
      const verdict = await judge(folder);
      this.#add(moment, number, verdict);
      await rm(folder, { recursive: true, force: true });
      this.#onJudged(++this.#done);
    })();
    this.#judging.add(judging);
    void judging.finally(() => this.#judging.delete(judging)).catch(() => undefined);
    if (this.#judging.size >= JUDGES) await Promise.race(this.#judging);
  }

  async *rows(): AsyncIterable<FaultRow> {
    await Promise.all(this.#judging);
    for (const moment of MOMENTS) if (this.#rows.has(moment)) yield this.#rows.get(moment)!;
  }

  #add(moment: string, number: number, { problems, ...verdict }: Verdict): void {
    const fault = `power cut of the ${this.#what} ${moment}`;
    const row = this.#rows.get(moment) ?? { fault, injected: 0, events: 0, lost: 0, repeated: 0, wrongCounts: 0, discrepancy: 0 };
    row.injected += 1;
    for (const column of ['events', 'lost', 'repeated', 'wrongCounts', 'discrepancy'] as const) row[column] += verdict[column];
    this.#rows.set(moment, row);
    if (problems.length > 0)
      console.error(`cut ${number} of the ${this.#what}, ${moment}: ${problems.slice(0, PROBLEMS_MAX).join('\n  ')}`);
  }
}

/** Of one cut, printed. */
const PROBLEMS_MAX = 5;
