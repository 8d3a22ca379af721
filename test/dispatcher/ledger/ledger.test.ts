import { expect } from 'chai';
import fc from 'fast-check';
import { FondacoError, isFondacoError } from '../../../core/errors.ts';
import type { Entry } from '../../../core/journal.ts';
import { LANES, type Lane } from '../../../core/lane.ts';
import { SEVERITY_NUMBER } from '../../../core/severity.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { DeadLetter } from '../../../dispatcher/dead-letters/dead-letters.ts';
import type { FeedRow } from '../../../dispatcher/feed/feed-row.ts';
import type { Filter } from '../../../dispatcher/feed/filter.ts';
import { readLedger, type Ledger } from '../../../dispatcher/ledger/ledger.ts';
import { MemoryStorage, type WriteFate } from '../../../journal/memory-journal.ts';
import { CommitWatch } from '../../support/commit-watch.ts';
import { DispatchKit, failAfter, numbered, type ScriptedWriter, Sender } from '../../support/dispatch-kit.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { RuleSender } from '../../support/rule-sender.ts';
import { auditStore, damage, decodeOf, rowsOf, tamper } from '../../support/store-audit.ts';

/** FONDACO_FAULT_RUNS=10000 for a long one. */
const RUNS = Number(process.env.FONDACO_FAULT_RUNS ?? 150);
const FILTERS: readonly Filter[] = [{}, { minSeverity: 'warn' }, { types: ['test.*'] }];
const SEVERITIES = ['info', 'warn', 'critical'] as const;
type Answer = 'takes' | 'away' | 'refuses' | 'hates 3' | 'hates all' | 'too large';

const FAILURES: Record<Answer, (batch: readonly Delivery[]) => FondacoError | undefined> = {
  takes: () => undefined,
  away: () => new FondacoError('UNAVAILABLE', '503'),
  refuses: () => new FondacoError('REFUSED', '401'),
  'hates 3': (batch) => (batch.some(({ event }) => event.message === 'text 3') ? new FondacoError('REJECTED', '422') : undefined),
  'hates all': () => new FondacoError('REJECTED', '422'),
  'too large': (batch) => (batch.length > 2 ? new FondacoError('REJECTED', '413', { tooLarge: true }) : undefined),
};

type Step =
  | { kind: 'record'; events: { text: number; severity: (typeof SEVERITIES)[number] }[] }
  | { kind: 'answer'; writer: 'one' | 'two'; answer: Answer }
  | { kind: 'fate'; fate: WriteFate; after: number }
  | { kind: 'time'; ms: number }
  | { kind: 'kill' | 'stop'; filter: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('record' as const),
      events: fc.array(fc.record({ text: fc.nat(7), severity: fc.constantFrom(...SEVERITIES) }), { minLength: 1, maxLength: 8 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      writer: fc.constantFrom('one' as const, 'two' as const),
      answer: fc.constantFrom<Answer>('takes', 'takes', 'away', 'refuses', 'hates 3', 'hates all', 'too large'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('fate' as const),
      fate: fc.constantFrom('failed' as const, 'failed-but-stored' as const),
      after: fc.nat(4),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(0, 60, 1100, 6000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('kill' as const, 'stop' as const), filter: fc.nat(FILTERS.length - 1) }) },
);

/** A proxy's inside that lives, dies and lives again on one storage. */
class Run {
  readonly clock = new FakeClock();
  readonly storage = new MemoryStorage();
  readonly watch = new CommitWatch();
  readonly sender = new RuleSender();
  readonly taken: Record<'one' | 'two', Delivery[]> = { one: [], two: [] };
  readonly #answers: Record<'one' | 'two', Answer> = { one: 'takes', two: 'takes' };
  kit!: DispatchKit;

  async begin(filter: Filter): Promise<void> {
    let isOpen = false;
    const opening = this.#open(filter).then(() => (isOpen = true));
    while (!isOpen) await Promise.race([opening, this.clock.advance(60)]);
  }

  async #open(filter: Filter): Promise<void> {
    const answerOf =
      (name: 'one' | 'two'): ScriptedWriter['answer'] =>
      (batch) =>
        FAILURES[this.#answers[name]](batch);
    const feed = {
      filter,
      batch: { intervalMs: 0, eventsMax: 4, bytesMax: 1 << 20 },
      retry: { policy: 'backoff', initialMs: 200, maxMs: 2000 },
    } as const;
    for (;;) {
      try {
        this.kit = await DispatchKit.open({
          clock: this.clock,
          storage: this.storage,
          dedupMs: 5000,
          windowsMax: 5,
          writers: { one: feed, two: { ...feed, filter: {}, deadLettersMax: 12 } },
          answers: { one: answerOf('one'), two: answerOf('two') },
          onCommit: (journal) => this.watch.look(this.storage, readLedger(journal)),
        });
        return;
      } catch (error) {
        if (!isFondacoError(error)) throw error;
      }
    }
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'record':
        this.sender.record(
          ...step.events.map(({ text, severity }) => ({ message: `text ${text}`, severity, type: text < 6 ? 'test.A' : 'other.B' })),
        );
        void this.sender.send((batch) => this.kit.dispatcher.accept(batch), 100);
        return this.kit.settle();
      case 'answer':
        this.#answers[step.writer] = step.answer;
        return;
      case 'fate':
        return void failAfter(this.storage, step);
      case 'time':
        return this.clock.advance(step.ms);
      default:
        if (step.kind === 'kill') await this.kit.kill();
        else {
          let isStopped = false;
          const stopping = this.kit.stop().then(() => (isStopped = true));
          while (!isStopped) await Promise.race([stopping, this.clock.advance(60)]);
        }
        this.#keepTaken();
        this.sender.reset();
        return this.begin(FILTERS[step.filter]!);
    }
  }

  #keepTaken(): void {
    for (const name of ['one', 'two'] as const) this.taken[name].push(...this.kit.writer(name).taken);
  }

  /** All is well again, until nothing is pending. */
  async finish(): Promise<Ledger> {
    this.storage.fate = () => 'taken';
    this.#answers.one = this.#answers.two = 'takes';
    for (let round = 0; round < 60; round++) {
      if (!this.sender.isSettled) {
        this.sender.reset();
        await this.sender.send((batch) => this.kit.dispatcher.accept(batch), 1000);
      }
      await this.clock.advance(3000);
      const ledger = await this.kit.ledger();
      const isDone = ledger.writers.every(({ lanes }) => LANES.every((lane) => lanes[lane].pending === 0));
      if (isDone && ledger.windows.held === 0 && this.sender.isSettled) {
        this.#keepTaken();
        return ledger;
      }
    }
    throw new Error(`pending for ever: ${JSON.stringify(await this.kit.ledger())}`);
  }
}

/** What became of each entry at a writer, told by its own record and the dead letters alone; then the books are held against it. */
function judge(run: Run, ledger: Ledger, name: 'one' | 'two'): void {
  const { entries } = auditStore(run.storage);
  const letters = rowsOf(run.storage, `dead:${name}/`).map(({ value }) => value as DeadLetter);
  const numbers = new Map<string, string>();
  const seqs = new Map<string, Set<number>>();
  for (const { entry, delivery, event } of [...run.taken[name], ...letters]) {
    const key = `${delivery.series}/${delivery.seq}`;
    const what = `${delivery.lane}/${entry.birth}/${entry.position} ${event.id}`;
    expect(numbers.get(key) ?? what, `delivery ${key}`).to.equal(what);
    numbers.set(key, what);
    seqs.set(delivery.series, (seqs.get(delivery.series) ?? new Set()).add(delivery.seq));
  }
  for (const [series, held] of seqs) expect(Math.max(...held), `${series} has no gap but at dead letters`).to.equal(held.size);
  for (const lane of LANES) {
    const places = (all: readonly { delivery: { lane: Lane }; entry: { position: number } }[]): Set<number> =>
      new Set(all.filter(({ delivery }) => delivery.lane === lane).map(({ entry }) => entry.position));
    const [delivered, dead] = [places(run.taken[name]), places(letters)];
    const order = [...delivered];
    expect(order, 'in the order of the journal').to.deep.equal([...order].sort((a, b) => a - b));
    for (const position of dead) delivered.delete(position); // taken, its settling lost with the process, and refused when it came again
    const is = (kind: Entry['kind']): number => entries[lane].filter((entry) => entry.kind === kind).length;
    const unsent = entries[lane].filter(({ kind, position }) => kind !== 'folded' && !delivered.has(position) && !dead.has(position));
    expect(ledger.writers.find((writer) => writer.name === name)!.lanes[lane]).to.deep.equal({
      accepted: is('accepted') + is('folded'),
      made: is('made'),
      delivered: delivered.size,
      folded: is('folded'),
      filtered: unsent.length,
      dead: dead.size,
      expired: 0,
      dropped: 0,
      pending: 0,
      discrepancy: 0,
    });
    for (const event of unsent.map((entry) => decodeOf(entry))) {
      const isMeant = name === 'one' && (SEVERITY_NUMBER[event.severity] < SEVERITY_NUMBER.warn || !event.type.startsWith('test.'));
      expect(isMeant, `${event.id} ${event.severity} ${event.type} is what some filter keeps out`).to.equal(true);
    }
  }
}

describe('the ledger', function () {
  this.timeout(Math.max(60_000, RUNS * 300));

  it('balances at every commit and agrees with what the destinations have, whatever fails', async () => {
    const seen = { commits: 0, dead: 0, filtered: 0, folded: 0, delivered: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const run = new Run();
        await run.begin({});
        for (const each of steps) await run.take(each);
        const ledger = await run.finish();
        await run.watch.end();
        for (const name of ['one', 'two'] as const) judge(run, ledger, name);
        seen.commits += run.watch.commits;
        for (const { lanes } of ledger.writers) {
          for (const lane of LANES) for (const key of ['dead', 'filtered', 'folded', 'delivered'] as const) seen[key] += lanes[lane][key];
        }
        await run.kit.kill();
      }),
      { numRuns: RUNS },
    );
    for (const [what, count] of Object.entries(seen)) expect(count, `${what}, over all runs`).to.be.above(RUNS / 10);
  });

  it('balances, and says what is missing, where a window cannot be reported because its first occurrence is damaged', async () => {
    const kit = await DispatchKit.open({ dedupMs: 10_000, writers: { ops: {} } });
    const sender = new Sender();
    await kit.dispatcher.accept(sender.batch(0, [{ message: 'a' }, { message: 'b' }]));
    for (let after = 2; after < 5; after++) await kit.dispatcher.accept(sender.batch(after, [{ message: 'b' }]));
    await kit.clock.advance(100);
    await kit.kill();
    damage(kit.storage, 'normal', 1);
    const next = await DispatchKit.open({ storage: kit.storage, clock: kit.clock, dedupMs: 10_000, writers: { ops: {} } });
    await next.clock.advance(12_000);
    expect(await next.ledger()).to.deep.include({ isBalanced: true, unreported: 3, windows: { open: 0, held: 0 }, unannounced: 0 });
    const { attributes } = next.writer().taken.find(({ event }) => event.type === 'fondaco.Loss')!.event;
    expect(attributes.losses).to.deep.equal([
      { origin: { kind: 'window', id: 'normal/0000000000000002' }, cause: 'corrupt', count: 3, ranges: [[1, 3]] },
    ]);
    await next.stop();
  });

  describe('is not balanced any more', () => {
    async function filled(): Promise<DispatchKit> {
      const kit = await DispatchKit.open({ dedupMs: 10_000, writers: { ops: { filter: { minSeverity: 'warn' } } } });
      const sender = new Sender();
      await kit.dispatcher.accept(
        sender.batch(0, [...numbered('a', 1, 4), ...numbered('a', 1, 2), ...numbered('w', 1, 3, { severity: 'warn' })]),
      );
      await kit.clock.advance(100);
      expect(await kit.ledger()).to.include({ isBalanced: true, dedupDiscrepancy: 0 });
      return kit;
    }

    for (const field of [
      'cursor',
      'delivered',
      'filtered',
      'folded',
      'dead',
      'dropped',
      'expired',
      'acceptedBefore',
      'madeBefore',
    ] as const) {
      it(`when ${field} of a feed's row is off by one`, async () => {
        const kit = await filled();
        tamper(kit.storage, 'feed:ops', (value) => {
          const row = value as FeedRow;
          row.lanes.normal[field]++;
          return row;
        });
        const ledger = await kit.ledger();
        expect(ledger.isBalanced).to.equal(false);
        expect(Math.abs(ledger.writers[0]!.lanes.normal.discrepancy)).to.equal(1);
        await kit.stop();
      });
    }

    it('when a window holds one more than was folded', async () => {
      const kit = await filled();
      tamper(kit.storage, 'window:normal/0000000000000001', (value) => ({ ...(value as object), held: 2 }));
      expect(await kit.ledger()).to.include({ isBalanced: false, dedupDiscrepancy: -1 });
      await kit.stop();
    });

    it('when a window is gone', async () => {
      const kit = await filled();
      const [row] = rowsOf(kit.storage, 'window:');
      kit.storage.apply([{ key: Buffer.from(row!.key), value: undefined }]);
      expect(await kit.ledger()).to.include({ isBalanced: false, dedupDiscrepancy: 1 });
      await kit.stop();
    });

    it('when the row of the counts is lost', async () => {
      const kit = await filled();
      kit.storage.apply([{ key: Buffer.from('ledger'), value: undefined }]);
      expect((await kit.ledger()).isBalanced).to.equal(false);
      await kit.stop();
    });
  });
});
