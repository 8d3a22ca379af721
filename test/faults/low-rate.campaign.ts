/**
 * One event, then silence: it is at the destination when its batch interval is over, an urgent one at once, a summary when its window ends,
 * a loss notice within a second; and when a destination comes back, within its longest wait. Whatever came before, nobody has to ring twice.
 */
import fc from 'fast-check';
import { FondacoError } from '../../core/errors.ts';
import type { Lane } from '../../core/lane.ts';
import { MemoryStorage } from '../../journal/memory-journal.ts';
import { DispatchKit, failAfter, Sender } from '../support/dispatch-kit.ts';
import { eventually, FakeClock } from '../support/fake-clock.ts';
import type { Campaign } from './campaign.ts';
import { playSchedules, type RunCost } from './random-schedules.ts';

const RUNS = { short: 200, long: 10_000 };
const DEDUP_MS = 3000;
const RETRY_MS = 2000;
/** Windows that end share commits. */
const TICKS_MS = 150;
/** A store that failed is open again, and who waits for it has looked. */
const DISK_MS = 500;
/** From one loss notice to the next. */
const NOTICE_MS = 1000 + TICKS_MS;

const JUMPS_MS = [3_600_000, -3_600_000, 56 * 31_536_000_000, -56 * 31_536_000_000];
const WEIGHTS = { event: 8, urgent: 3, again: 4, filtered: 2, bad: 1, away: 2, back: 3, kill: 1, disk: 1, wall: 1 } as const;
const FAULTS = [
  'destination away',
  'proxy killed',
  'write to the store fails, or fails and is stored',
  'wall clock off by hours or by 56 years',
] as const;
const [AWAY, KILLED, DISK, WALL] = FAULTS;

interface Step {
  readonly does: keyof typeof WEIGHTS;
  /** How long it is silent before. */
  readonly afterMs: number;
  readonly n: number;
}

interface Schedule {
  readonly intervalMs: number;
  readonly steps: readonly Step[];
}

const step = fc.record({
  does: fc.oneof(...Object.entries(WEIGHTS).map(([deed, weight]) => ({ weight, arbitrary: fc.constant(deed as Step['does']) }))),
  afterMs: fc.oneof(fc.constantFrom(0, 1, 999, 1000, 1001, 3000), fc.nat(8000)),
  n: fc.nat(999),
});
const schedules: fc.Arbitrary<Schedule> = fc.record({
  intervalMs: fc.constantFrom(0, 50, 1000, 4000),
  steps: fc.array(step, { minLength: 1, maxLength: 25, size: 'max' }),
});

/** Something that has to be there by then. */
interface Due {
  readonly what: string;
  by: number;
  readonly isThere: () => boolean;
}

class Run {
  readonly clock = new FakeClock();
  readonly faults = new Map<string, number>();
  readonly problems: string[] = [];
  events = 0;
  readonly #storage = new MemoryStorage();
  readonly #intervalMs: number;
  #kit!: DispatchKit;
  #sender = new Sender();
  #after = 0;
  #isAway = false;
  #due: Due[] = [];
  /** Ids and how many they stand for, of what was taken. */
  readonly #taken = new Map<string, number>();
  #notices = 0;
  #text = 0;
  #isForgotten = false;
  /** Then a disk that failed is open again, and a destination that was away has been tried. */
  #readyAt = 0;
  /** The window of the last text: until when, and how many it has. */
  #window: { readonly message: string; readonly until: number; count: number } | undefined;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  async open(): Promise<void> {
    this.#kit = await DispatchKit.open({
      clock: this.clock,
      storage: this.#storage,
      dedupMs: DEDUP_MS,
      writers: {
        ops: {
          filter: { minSeverity: 'info' },
          batch: { intervalMs: this.#intervalMs, eventsMax: 100, bytesMax: 1 << 20 },
          retry: { policy: 'backoff', initialMs: 100, maxMs: RETRY_MS },
        },
      },
      random: () => 0.999,
      answers: {
        ops: (batch) => {
          if (this.#isAway) return new FondacoError('UNAVAILABLE', 'away');
          for (const { event } of batch) {
            if (event.type === 'fondaco.Loss') this.#notices += event.attributes.count as number;
            else this.#taken.set(event.message, Math.max(this.#taken.get(event.message) ?? 0, event.count));
          }
          return undefined;
        },
      },
    });
  }

  async take({ does, afterMs, n }: Step): Promise<void> {
    await this.#pass(afterMs);
    switch (does) {
      case 'event':
        return this.#first('normal');
      case 'urgent':
        return this.#first('urgent');
      case 'again':
        return this.#again();
      case 'filtered':
        return this.#accept({ severity: 'debug', message: `nobody wants ${++this.#text}` });
      case 'bad':
        return this.#bad();
      case 'away':
        this.#had(AWAY);
        this.#isAway = true;
        return;
      case 'back':
        return void this.#back();
      case 'kill':
        return this.#kill();
      case 'disk':
        return void this.#failDisk(n);
      default:
        this.#had(WALL);
        this.clock.wall = Math.max(0, this.clock.wall + JUMPS_MS[n % 4]!); // no machine takes a time before 1970
    }
  }

  async end(): Promise<void> {
    this.#back();
    await this.#pass(DEDUP_MS + RETRY_MS + 2 * this.#intervalMs + 2 * NOTICE_MS);
    for (const { what } of this.#due) this.problems.push(`${what}: never there`);
    await this.#kit.kill();
  }

  async #first(lane: Lane): Promise<void> {
    const message = `text ${++this.#text}`;
    this.#isForgotten = false;
    await this.#accept({ severity: lane === 'urgent' ? 'critical' : 'info', message });
    const now = this.clock.monotonic();
    this.#expect(message, lane === 'urgent' ? 0 : this.#intervalMs, () => this.#taken.has(message));
    this.#window = lane === 'normal' && !this.#isForgotten ? { message, until: now + DEDUP_MS, count: 1 } : undefined;
  }

  /** The last text once more: it folds while its window is open. */
  async #again(): Promise<void> {
    const window = this.#window;
    if (!window || this.clock.monotonic() >= window.until - TICKS_MS) return;
    await this.#accept({ severity: 'info', message: window.message });
    if (this.#window !== window) return; // it was forgotten, and this was a first one, or nobody knows
    const count = ++window.count;
    const ms = window.until - this.clock.monotonic() + TICKS_MS + this.#intervalMs;
    this.#expect(`${window.message}, ${count} times`, ms, () => (this.#taken.get(window.message) ?? 0) >= count);
  }

  async #bad(): Promise<void> {
    const before = this.#notices;
    await this.#accept(undefined);
    const wanted = before + 1;
    this.#expect('a loss notice', NOTICE_MS, () => this.#notices >= wanted);
  }

  #failDisk(n: number): void {
    this.#had(DISK);
    failAfter(this.#storage, { after: n % 3, fate: n % 2 === 0 ? 'failed' : 'failed-but-stored' });
    const { fate } = this.#storage;
    this.#storage.fate = (operations) => {
      const is = fate(operations);
      if (is === 'taken') return is;
      this.#storage.fate = () => 'taken';
      this.#window = undefined; // one that has not folded yet does not outlive the reopening
      this.#isForgotten = true;
      this.#postpone(DISK_MS);
      return is;
    };
  }

  #back(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#postpone(RETRY_MS);
  }

  async #kill(): Promise<void> {
    this.#had(KILLED);
    await this.#kit.kill();
    this.#storage.fate = () => 'taken';
    await this.open();
    this.#window = undefined;
    // What is left of a wait or a window is not more than the whole of it, whatever the wall clock says.
    this.#postpone(this.#due.length > 0 ? Math.max(RETRY_MS, DEDUP_MS + TICKS_MS) : 0);
  }

  /** Sends until it is stored, as senders do; a disk that fails is opened again meanwhile. */
  async #accept(event: Record<string, unknown> | undefined): Promise<void> {
    const batch = this.#sender.batch(this.#after, [event ?? { message: '' }]);
    const events = event ? batch.events : batch.events.map((bytes) => bytes.subarray(1));
    for (;;) {
      try {
        let isOver = false;
        const accepting = this.#kit.dispatcher.accept({ ...batch, events }).finally(() => (isOver = true));
        accepting.catch(() => undefined);
        await eventually(() => isOver, 'an answer');
        await accepting;
        break;
      } catch (error) {
        if (!(error instanceof FondacoError)) throw error;
        await this.#pass(100);
      }
    }
    this.#after++;
    this.events++;
  }

  /** Not before a destination that is away is back, and not while the disk is being opened again. */
  #expect(what: string, ms: number, isThere: () => boolean): void {
    this.#due.push({ what, by: Math.max(this.clock.monotonic(), this.#readyAt) + ms, isThere });
  }

  #postpone(ms: number): void {
    this.#readyAt = Math.max(this.#readyAt, this.clock.monotonic() + ms);
    for (const due of this.#due) due.by = Math.max(due.by, this.#readyAt + this.#intervalMs);
  }

  /** Lets time pass, and looks at every moment at which something is due. */
  async #pass(ms: number): Promise<void> {
    const end = this.clock.monotonic() + ms;
    for (;;) {
      await this.#kit.settle();
      this.#look();
      const next = Math.min(end, ...this.#due.map(({ by }) => by).filter((by) => by > this.clock.monotonic()));
      if (next <= this.clock.monotonic()) return;
      await this.clock.advance(next - this.clock.monotonic());
    }
  }

  #look(): void {
    this.#due = this.#due.filter(({ isThere }) => !isThere());
    if (this.#isAway) return;
    for (const { what, by } of this.#due.filter((due) => due.by <= this.clock.monotonic())) {
      this.problems.push(`${what}: due at ${by}, not there at ${this.clock.monotonic()}`);
    }
    this.#due = this.#due.filter(({ by }) => by > this.clock.monotonic());
  }

  #had(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }
}

async function play({ intervalMs, steps }: Schedule): Promise<RunCost> {
  const run = new Run(intervalMs);
  await run.open();
  for (const each of steps) await run.take(each);
  await run.end();
  const { events, problems, faults } = run;
  return { events, lost: problems.length, repeated: 0, wrongCounts: 0, discrepancy: 0, faults, problems };
}

const campaign: Campaign = {
  title: 'one event, then silence',
  repeats: 'nothing comes again here',
  run: (order) => playSchedules({ name: 'low-rate', runs: RUNS, schedules, faults: FAULTS, play }, order),
};

export default campaign;
