/** Replays, purges and pauses under disk faults, bad destinations and kills: the books hold at every commit, and every letter is accounted for. */
import { expect } from 'chai';
import fc from 'fast-check';
import { FondacoError, isFondacoError } from '../../../core/errors.ts';
import { LANES, type Lane } from '../../../core/lane.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { DeadLetter } from '../../../dispatcher/dead-letters/dead-letters.ts';
import type { FeedRow } from '../../../dispatcher/feed/feed-row.ts';
import { readLedger } from '../../../dispatcher/ledger/ledger.ts';
import { purgeLetters } from '../../../dispatcher/dead-letters/purge.ts';
import type { ReplayRow } from '../../../dispatcher/dead-letters/replay-row.ts';
import { MemoryStorage, type WriteFate } from '../../../journal/memory-journal.ts';
import { nativeJson } from '../../../writers/native-json.ts';
import { CommitWatch } from '../../support/commit-watch.ts';
import { DispatchKit, failAfter, type ScriptedWriter } from '../../support/dispatch-kit.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { RuleSender } from '../../support/rule-sender.ts';
import { auditStore, decodeOf, rowOf, rowsOf } from '../../support/store-audit.ts';

/** FONDACO_FAULT_RUNS=10000 for a long one. */
const RUNS = Number(process.env.FONDACO_FAULT_RUNS ?? 100);
type Answer = 'takes' | 'away' | 'refuses' | 'hates odd' | 'hates all' | 'too large' | 'hangs';

const isOdd = ({ event }: Delivery): boolean => /[13579]$/.test(event.message);
const FAILURES: Record<Answer, (batch: readonly Delivery[]) => FondacoError | undefined | Promise<FondacoError>> = {
  takes: () => undefined,
  away: () => new FondacoError('UNAVAILABLE', '503'),
  refuses: () => new FondacoError('REFUSED', '401'),
  'hates odd': (batch) => (batch.some(isOdd) ? new FondacoError('REJECTED', '422') : undefined),
  'hates all': () => new FondacoError('REJECTED', '422'),
  'too large': (batch) => (batch.length > 1 ? new FondacoError('REJECTED', '413', { tooLarge: true }) : undefined),
  hangs: () => new Promise(() => undefined),
};

type Step =
  | { kind: 'record'; events: boolean[] }
  | { kind: 'answer'; answer: Answer }
  | { kind: 'fate'; fate: WriteFate; after: number }
  | { kind: 'time'; ms: number }
  | { kind: 'replay' | 'purge'; pick: number }
  | { kind: 'kill' | 'stop replay' | 'pause' | 'resume' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('record' as const), events: fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      answer: fc.constantFrom<Answer>('takes', 'takes', 'away', 'refuses', 'hates odd', 'hates odd', 'hates all', 'too large', 'hangs'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fate' as const),
      fate: fc.constantFrom('failed' as const, 'failed-but-stored' as const),
      after: fc.nat(4),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(0, 60, 1100, 6000) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('replay' as const, 'purge' as const), pick: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('kill' as const, 'stop replay' as const, 'pause' as const, 'resume' as const) }),
  },
);

/** Found: a start whose commit failed and was stored all the same began a second time. */
const BEGUN_TWICE: Step[] = [
  { kind: 'record', events: [false, false, false, false] },
  { kind: 'fate', fate: 'failed-but-stored', after: 3 },
  { kind: 'answer', answer: 'takes' },
  { kind: 'record', events: [true, false] },
  { kind: 'replay', pick: 1 },
  { kind: 'fate', fate: 'failed', after: 0 },
  { kind: 'replay', pick: 0 },
  { kind: 'replay', pick: 0 },
  { kind: 'replay', pick: 0 },
  { kind: 'time', ms: 0 },
];

class Run {
  readonly clock = new FakeClock();
  readonly storage = new MemoryStorage();
  readonly watch = new CommitWatch();
  readonly sender = new RuleSender();
  readonly taken: Delivery[] = [];
  readonly problems: string[] = [];
  /** What was purged, as the answers said; a kill in the middle leaves more. */
  purged = 0;
  #answer: Answer = 'hates odd';
  kit!: DispatchKit;

  async begin(): Promise<void> {
    let isOpen = false;
    const opening = this.#open().then(() => (isOpen = true));
    while (!isOpen) await Promise.race([opening, this.clock.advance(60)]);
  }

  async #open(): Promise<void> {
    const ops = {
      batch: { intervalMs: 0, eventsMax: 4, bytesMax: 1 << 20 },
      retry: { policy: 'backoff', initialMs: 200, maxMs: 2000 },
      deadLettersMax: 30,
    } as const;
    const answer: ScriptedWriter['answer'] = (batch) => FAILURES[this.#answer](batch);
    for (;;) {
      try {
        this.kit = await DispatchKit.open({
          clock: this.clock,
          storage: this.storage,
          writers: { ops },
          answers: { ops: answer },
          onCommit: (journal) => {
            this.#look();
            this.watch.look(this.storage, readLedger(journal));
          },
        });
        return;
      } catch (error) {
        if (!isFondacoError(error)) throw error;
      }
    }
  }

  /** At every commit: as many letters as the books say, and of their size; a replay that adds up. */
  #look(): void {
    const row = rowOf(this.storage, 'feed:ops') as FeedRow | undefined;
    if (!row) return;
    for (const lane of LANES) {
      const letters = rowsOf(this.storage, `dead:ops/${lane}/`).map(({ value }) => value as DeadLetter);
      const { dead, deadBytes, cursor } = row.lanes[lane];
      if (letters.length !== dead) this.problems.push(`${letters.length} letters in ${lane}, the books say ${dead}`);
      const bytes = letters.reduce((sum, letter) => sum + letter.bytes, 0);
      if (bytes !== deadBytes) this.problems.push(`${bytes} bytes of letters in ${lane}, the books say ${deadBytes}`);
      if (letters.some(({ entry }) => entry.position >= cursor)) this.problems.push(`a letter beyond the cursor of ${lane}`);
    }
    const replay = rowOf(this.storage, 'replay:ops') as ReplayRow | undefined;
    if (!replay) return;
    const done = replay.delivered + replay.deadAgain;
    if (done > replay.total || (replay.state === 'done' && done !== replay.total)) this.problems.push(`replay ${JSON.stringify(replay)}`);
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'record':
        this.sender.record(...step.events.map((isUrgent, i) => ({ message: `m ${i}`, severity: isUrgent ? 'critical' : 'info' })));
        void this.sender.send((batch) => this.kit.dispatcher.accept(batch), 100);
        return this.kit.settle();
      case 'answer':
        this.#answer = step.answer;
        return;
      case 'fate':
        return void failAfter(this.storage, step);
      case 'time':
        return this.clock.advance(step.ms);
      case 'kill':
        await this.kit.kill();
        this.taken.push(...this.kit.writer().taken);
        this.sender.reset();
        return this.begin();
      default:
        return this.#command(step);
    }
  }

  /** A command runs beside the next steps, as a person's does. */
  async #command(step: Extract<Step, { pick: number }> | { kind: string }): Promise<void> {
    const feed = this.kit.feed();
    const letters = rowsOf(this.storage, 'dead:ops/').map(({ value }) => value as DeadLetter);
    const chosen = letters.filter((_, i) => 'pick' in step && i % 4 >= step.pick);
    const places =
      'pick' in step && step.pick > 0
        ? chosen.map(({ delivery, entry }) => ({ lane: delivery.lane, position: entry.position }))
        : undefined;
    const quiet = (running: Promise<unknown>): void => void running.catch((error: unknown) => this.#expected(error));
    if (step.kind === 'replay') quiet(feed.replay.start(places));
    else if (step.kind === 'purge') quiet(purgeLetters(feed, places).then((done) => 'purged' in done && (this.purged += done.purged)));
    else if (step.kind === 'stop replay') quiet(feed.replay.stop());
    else quiet(step.kind === 'pause' ? feed.pause() : feed.resume());
    await this.kit.settle();
  }

  #expected(error: unknown): void {
    if (!isFondacoError(error)) this.problems.push(`${(error as Error).stack}`);
  }

  /** All is well again: everything pending is delivered, and every letter that is left. */
  async finish(): Promise<void> {
    this.storage.fate = () => 'taken';
    this.#answer = 'takes';
    for (let round = 0; round < 60; round++) {
      if (!this.sender.isSettled) {
        this.sender.reset();
        await this.sender.send((batch) => this.kit.dispatcher.accept(batch), 1000);
      }
      await this.clock.advance(31_000);
      void this.kit.feed().resume();
      await this.clock.advance(3000);
      const { lanes } = (await this.kit.ledger()).writers[0]!;
      if (this.sender.isSettled && LANES.every((lane) => lanes[lane].pending === 0)) {
        if (LANES.every((lane) => lanes[lane].dead === 0)) {
          this.taken.push(...this.kit.writer().taken);
          return;
        }
        await this.kit.feed().replay.start();
      }
    }
    throw new Error(`not over: ${JSON.stringify([await this.kit.ledger(), this.kit.feed().status(), this.kit.feed().replay.status()])}`);
  }
}

/** What each entry became, by the destination's record and the announced losses; the books are held against it. */
async function judge(run: Run, seen: Record<string, number>): Promise<void> {
  const { entries } = auditStore(run.storage);
  const events = LANES.flatMap((lane) => entries[lane]).map((entry) => ({ ...entry, event: decodeOf(entry) }));
  const purged: Record<Lane, Set<number>> = { urgent: new Set(), normal: new Set() };
  for (const { event } of events.filter(({ kind, event: { type } }) => kind === 'made' && type === 'fondaco.Loss')) {
    for (const loss of event.attributes.losses as { origin: { id: string }; cause: string; count: number; ranges: [number, number][] }[]) {
      expect(loss.cause).to.equal('purged');
      const lane = loss.origin.id.slice('ops/'.length) as Lane;
      for (const [first, last] of loss.ranges) {
        for (let position = first; position <= last; position++) {
          expect(purged[lane].has(position), `${lane}/${position} is announced once`).to.equal(false);
          purged[lane].add(position);
        }
      }
    }
  }
  const payloads = new Map<string, string>();
  for (const each of run.taken) {
    const { series, seq } = each.delivery;
    const payload = nativeJson(each);
    expect(payloads.get(`${series}/${seq}`) ?? payload, 'a repeat is the same bytes').to.equal(payload);
    payloads.set(`${series}/${seq}`, payload);
  }
  const ledger = (await run.kit.ledger()).writers[0]!;
  for (const lane of LANES) {
    const taken = new Set(run.taken.filter(({ delivery }) => delivery.lane === lane).map(({ entry }) => entry.position));
    for (const { position } of entries[lane]) {
      expect(taken.has(position) || purged[lane].has(position), `${lane}/${position} was taken, or announced as purged`).to.equal(true);
    }
    const { delivered, dropped, dead } = ledger.lanes[lane];
    expect({ dropped, dead, all: delivered + dropped }, lane).to.deep.equal({
      dropped: purged[lane].size,
      dead: 0,
      all: entries[lane].length,
    });
    seen.dropped! += dropped;
  }
  expect(purged.urgent.size + purged.normal.size).to.be.at.least(run.purged);
}

describe('replay, purge and pause', function () {
  this.timeout(Math.max(60_000, RUNS * 500));

  it('account for every letter at every commit, whatever fails', async () => {
    const seen: Record<string, number> = { commits: 0, dropped: 0, replayed: 0, repeats: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const run = new Run();
        await run.begin();
        for (const each of steps) await run.take(each);
        await run.finish();
        await run.watch.end();
        expect(run.problems).to.deep.equal([]);
        await judge(run, seen);
        seen.commits! += run.watch.commits;
        seen.replayed! += (rowOf(run.storage, 'replay:ops') as ReplayRow | undefined)?.delivered ?? 0;
        await run.kit.kill();
      }),
      { numRuns: RUNS, examples: [[BEGUN_TWICE]] },
    );
    for (const what of ['commits', 'dropped', 'replayed']) expect(seen[what], `${what}, over all runs`).to.be.above(RUNS / 10);
  });
});
