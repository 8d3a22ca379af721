/** A proxy's inside that lives, dies and lives again, under limits that it reaches, while its store is looked at from outside. */
import { FondacoError, isFondacoError } from '../../../core/errors.ts';
import type { Batch, BatchReply } from '../../../core/batch.ts';
import { LANES } from '../../../core/lane.ts';
import { uuidText } from '../../../core/uuid.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { DeadLetter } from '../../../dispatcher/dead-letters/dead-letters.ts';
import { purgeLetters } from '../../../dispatcher/dead-letters/purge.ts';
import type { Filter } from '../../../dispatcher/feed/filter.ts';
import { verifyLedger } from '../../../dispatcher/ledger/ledger-verify.ts';
import { readLedger, type Ledger } from '../../../dispatcher/ledger/ledger.ts';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { DispatchKit, failAfter, type ScriptedWriter } from '../../support/dispatch-kit.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { RuleSender } from '../../support/rule-sender.ts';
import { damage, rowOf, rowsOf } from '../../support/store-audit.ts';
import { History } from './history.ts';
import { FILTERS, WRITERS, type Answer, type Step, type WriterName } from './steps.ts';

export const BAD = 11;
const URGENT_FROM = 8;

const FAILURES: Record<Answer, (batch: readonly Delivery[]) => FondacoError | undefined | Promise<FondacoError>> = {
  takes: () => undefined,
  away: () => new FondacoError('UNAVAILABLE', '503'),
  refuses: () => new FondacoError('REFUSED', '401'),
  'hates 3': (batch) => (batch.some(({ event }) => event.message === 'text 3') ? new FondacoError('REJECTED', '422') : undefined),
  'hates all': () => new FondacoError('REJECTED', '422'),
  'too large': (batch) => (batch.length > 2 ? new FondacoError('REJECTED', '413', { tooLarge: true }) : undefined),
  hangs: () => new Promise(() => undefined),
};

/** The limits of a run, which it may reach or not. */
export interface Limits {
  readonly budgetBytes: number;
  readonly backlogBytes: number;
  readonly ageMaxMs: number;
}

export class Run {
  readonly clock = new FakeClock();
  readonly sender = new RuleSender();
  readonly taken: Record<WriterName, Delivery[]> = { one: [], two: [] };
  readonly problems: string[] = [];
  readonly did = new Map<string, number>();
  /** Seqs that a restored copy did not know although they had been settled; of the last one all are to be named. */
  readonly restored: (readonly [first: number, last: number])[] = [];
  history = new History();
  storage = new MemoryStorage();
  kit!: DispatchKit;
  commits = 0;
  off = 0;
  readonly #limits: Limits;
  readonly #answers: Record<WriterName, Answer> = { one: 'takes', two: 'takes' };
  #ledgers: Promise<void>[] = [];
  #copy: { readonly storage: MemoryStorage; readonly history: History } | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  async begin(filter: Filter): Promise<void> {
    let isOpen = false;
    const opening = this.#open(filter).then(() => (isOpen = true));
    while (!isOpen) await Promise.race([opening, this.clock.advance(60)]);
  }

  async #open(filter: Filter): Promise<void> {
    const { budgetBytes, backlogBytes, ageMaxMs } = this.#limits;
    const answerOf =
      (name: WriterName): ScriptedWriter['answer'] =>
      (batch) =>
        FAILURES[this.#answers[name]](batch);
    const feed = {
      filter,
      batch: { intervalMs: 0, eventsMax: 4, bytesMax: 1 << 20 },
      retry: { policy: 'backoff', initialMs: 200, maxMs: 2000 },
      backlog: { bytesMax: backlogBytes, ageMaxMs, whenFull: 'drop-oldest' },
    } as const;
    for (;;) {
      try {
        this.kit = await DispatchKit.open({
          clock: this.clock,
          storage: this.storage,
          dedupMs: 5000,
          windowsMax: 5,
          budget: { bytesMax: budgetBytes, retentionMs: Infinity },
          writers: { one: feed, two: { ...feed, filter: {}, deadLettersMax: 12 } },
          answers: { one: answerOf('one'), two: answerOf('two') },
          onCommit: (journal) => {
            this.commits++;
            const { storage, history } = this;
            const { unreported = 0 } = (rowOf(storage, 'ledger') as { unreported?: number } | undefined) ?? {};
            history.look(storage, unreported);
            this.#ledgers.push(readLedger(journal).then((ledger) => this.#hold(ledger)));
          },
        });
        return;
      } catch (error) {
        if (!isFondacoError(error)) throw error;
      }
    }
  }

  #hold(ledger: Ledger): void {
    if (ledger.isBalanced) return;
    this.off += Math.abs(ledger.dedupDiscrepancy);
    for (const { lanes } of ledger.writers) for (const lane of LANES) this.off += Math.abs(lanes[lane].discrepancy);
    this.problems.push(`not balanced: ${JSON.stringify(ledger)}`);
  }

  readonly accept = (batch: Batch): Promise<BatchReply> => {
    const isBad = (event: Uint8Array): boolean => Buffer.from(event).includes(`text ${BAD}`);
    return this.kit.dispatcher.accept({ ...batch, events: batch.events.map((event) => (isBad(event) ? event.subarray(1) : event)) });
  };

  async take(step: Step): Promise<void> {
    this.did.set(step.kind, (this.did.get(step.kind) ?? 0) + 1);
    switch (step.kind) {
      case 'record':
        this.sender.record(...step.texts.map((text) => eventOf(text)));
        void this.sender.send(this.accept, 100);
        return this.kit.settle();
      case 'lose':
        return void this.sender.lose(step.count, step.cause);
      case 'answer':
        this.#answers[step.writer] = step.answer;
        return;
      case 'fate':
        return void failAfter(this.storage, step);
      case 'time':
        return this.clock.advance(step.ms);
      case 'copy':
        this.#copy = { storage: this.storage.copy(), history: new History(this.history) };
        return;
      case 'verify':
        return this.verify();
      case 'replay':
      case 'purge':
        return this.#letters(step);
      default:
        return this.#again(step);
    }
  }

  async #letters({ kind, writer, n }: Extract<Step, { kind: 'replay' | 'purge' }>): Promise<void> {
    const feed = this.kit.feed(writer);
    const letters = rowsOf(this.storage, `dead:${writer}/`).map(({ value }) => value as DeadLetter);
    const chosen = letters.filter((_, i) => i % 4 >= n);
    const places = n > 0 ? chosen.map(({ delivery, entry }) => ({ lane: delivery.lane, position: entry.position })) : undefined;
    const working: Promise<unknown> = kind === 'replay' ? feed.replay.start(places) : purgeLetters(feed, places);
    working.catch((error: unknown) => {
      if (!isFondacoError(error)) this.problems.push(String((error as Error).stack));
    });
    await this.kit.settle();
  }

  /** The next life. */
  async #again({ kind, n }: { readonly kind: string; readonly n: number }): Promise<void> {
    if (kind !== 'stop') await this.kit.kill();
    else {
      let isStopped = false;
      const stopping = this.kit.stop().then(() => (isStopped = true));
      while (!isStopped) await Promise.race([stopping, this.clock.advance(60)]);
    }
    this.keepTaken();
    this.sender.reset();
    if (kind === 'damage') this.#damage(n);
    if (kind === 'restore') this.#restore();
    return this.begin(FILTERS[n % FILTERS.length]!);
  }

  #damage(n: number): void {
    const lane = LANES[n % 2]!;
    const { head, tail } = (rowOf(this.storage, 'm:lanes') as Record<string, { head: number; tail: number }>)[lane]!;
    if (head > tail) damage(this.storage, lane, tail + (n % (head - tail)));
  }

  #restore(): void {
    if (!this.#copy) return;
    this.problems.push(...this.history.problems);
    this.storage = this.#copy.storage;
    this.history = this.#copy.history;
    this.#copy = undefined;
    this.did.set('restored', 1);
    const series = rowsOf(this.storage, `series:${uuidText(this.sender.series)}`)[0]?.value as { last: number } | undefined;
    const known = series?.last ?? 0;
    this.restored.push([known + 1, this.sender.settled]);
  }

  /** Counts the journal, and holds the books against it. What was damaged is found to be so, and nothing else is wrong. */
  async verify(): Promise<void> {
    const { checks } = await verifyLedger(this.kit.journal, new AbortController().signal).catch((error: unknown) => {
      if (!isFondacoError(error)) throw error; // the journal is being reopened
      return { checks: [] };
    });
    for (const { name, expected, found, isGood } of checks) {
      if (isGood || (name.includes('damaged') && this.did.has('damage'))) continue;
      this.off += Math.max(1, Math.abs(expected - found));
      this.problems.push(`ledger verify: ${name}: ${expected}, counted ${found}`);
    }
  }

  keepTaken(): void {
    for (const name of WRITERS) this.taken[name].push(...this.kit.writer(name).taken);
  }

  /** All is well again, until nothing is pending and all that is lost is announced. */
  async finish(): Promise<Ledger> {
    this.storage.fate = () => 'taken';
    this.#answers.one = this.#answers.two = 'takes';
    this.sender.record(eventOf(0));
    for (let round = 0; round < 80; round++) {
      if (!this.sender.isSettled) {
        this.sender.reset();
        for (let i = 0; i < 2; i++) await this.#sendUntilAnswered(); // the first may be asked for what is gone
      }
      await this.clock.advance(3000);
      const ledger = await this.kit.ledger();
      const isDone = ledger.writers.every(({ lanes }) => LANES.every((lane) => lanes[lane].pending === 0));
      if (isDone && ledger.windows.held === 0 && ledger.unannounced === 0 && this.sender.isSettled) {
        await Promise.all(this.#ledgers);
        await this.verify();
        this.keepTaken();
        this.problems.push(...this.history.problems);
        return ledger;
      }
    }
    throw new Error(`pending for ever: ${JSON.stringify([await this.kit.ledger(), this.sender.settled, this.sender.recorded.length])}`);
  }

  async #sendUntilAnswered(): Promise<void> {
    let isAnswered = false;
    const sending = this.sender.send(this.accept, 20).finally(() => (isAnswered = true));
    while (!isAnswered) await Promise.race([sending, this.clock.advance(100)]);
  }
}

function eventOf(text: number): Record<string, unknown> {
  const severity = text >= URGENT_FROM ? 'critical' : text % 2 === 0 ? 'info' : 'warn';
  return { message: `text ${text}`, severity, type: text < 6 ? 'test.A' : 'other.B' };
}
