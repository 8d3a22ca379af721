/** A proxy's inside without its outside: dispatcher and feeds over a simulated disk and clock, with scripted writers. */
import { setMaxListeners } from 'node:events';
import type { Batch, BatchReply, LostRange } from '../../core/batch.ts';
import { encodeEvent } from '../../core/event-codec.ts';
import { parseEvent } from '../../core/event-input.ts';
import type { FondacoError } from '../../core/errors.ts';
import type { Journal, Stamp } from '../../core/journal.ts';
import type { Lane, PerLane } from '../../core/lane.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import type { TypeRules } from '../../core/type-rules.ts';
import { uuidV7Bytes } from '../../core/uuid.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { Backlog, type Budget } from '../../dispatcher/limits/backlog.ts';
import { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { Feed } from '../../dispatcher/feed/feed.ts';
import type { FeedSettings } from '../../dispatcher/feed/feed-settings.ts';
import { readLedger, type Ledger } from '../../dispatcher/ledger/ledger.ts';
import { DiskJournal } from '../../journal/disk-journal.ts';
import type { Reserve } from '../../journal/reserve.ts';
import { MemoryStorage, type WriteFate } from '../../journal/memory-journal.ts';
import { FakeClock, settle } from './fake-clock.ts';

/** One event's bytes, from its input form. */
export function eventBytes(event: Record<string, unknown>): Uint8Array {
  const writer = new ProtobufWriter();
  encodeEvent(
    writer,
    parseEvent(JSON.stringify({ type: 'test.Event', severity: 'info', message: 'm', ...event }), { node: 'n1', component: 'c1' }, 0),
  );
  return Uint8Array.from(writer.view());
}

/** A writer that does what the test says, and remembers what it was sent and what it took. */
export class ScriptedWriter implements Writer {
  /** See Writer.resendWindow; set through the kit's option. */
  resendWindow?: number;
  /** Its connections have ended, and no write has found out. */
  isBroken = false;
  /** Every batch that was sent, also those that failed. */
  readonly requests: { lane: Lane; messages: string[]; at: number; deliveries: readonly Delivery[] }[] = [];
  readonly taken: Delivery[] = [];
  /** Answers a batch: an error, or nothing to take it. */
  answer: (batch: readonly Delivery[]) => FondacoError | undefined | Promise<FondacoError | undefined> = () => undefined;
  /** How many writes are in flight in each lane, and the most there ever were. */
  readonly inFlight: PerLane<number> = { urgent: 0, normal: 0 };
  inFlightMax = 0;
  /** The process was killed: it answers nobody any more, and takes nothing. */
  isKilled = false;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  /** How many events each request held. */
  get sizes(): number[] {
    return this.requests.map(({ messages }) => messages.length);
  }

  hasBroken(): boolean {
    return this.isBroken;
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    const { lane } = batch[0]!.delivery;
    this.requests.push({ lane, messages: batch.map(({ event }) => event.message), at: this.#clock.monotonic(), deliveries: batch });
    this.inFlightMax = Math.max(this.inFlightMax, ++this.inFlight[lane]);
    try {
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
      const error = await Promise.race([Promise.resolve(this.answer(batch)), aborted]);
      if (this.isKilled) await new Promise<never>(() => undefined);
      if (error) throw error;
      this.taken.push(...batch);
    } finally {
      this.inFlight[lane]--;
    }
  }

  get messages(): string[] {
    return this.taken.map(({ event }) => event.message);
  }
}

export interface KitOptions {
  readonly storage?: MemoryStorage;
  readonly clock?: FakeClock;
  readonly dedupMs?: number;
  readonly windowsMax?: number;
  readonly seriesMax?: number;
  readonly types?: TypeRules;
  /** What writers answer from the very first batch on. */
  readonly answers?: Record<string, ScriptedWriter['answer']>;
  /** For back-off (half of its range by default) and hash seeds. */
  readonly random?: () => number;
  /** How much of what was committed last readers find in memory. */
  readonly recentBytes?: number;
  /** Called after each durable commit, also of the first ones. */
  readonly onCommit?: (journal: Journal) => void;
  readonly resendWindow?: number;
  /** Of the journal; without one nothing is trimmed. */
  readonly budget?: Budget;
  readonly reserve?: Reserve;
  /** What it stamps on events; site `plant-7`. */
  readonly stamp?: Stamp;
  /** Also the names of the writers. */
  readonly writers?: Record<string, Partial<FeedSettings>>;
}

/** One life of the proxy's inside. */
export class DispatchKit {
  readonly storage: MemoryStorage;
  readonly clock: FakeClock;
  readonly writers = new Map<string, ScriptedWriter>();
  readonly feeds = new Map<string, Feed>();
  journal!: Journal;
  dispatcher!: Dispatcher;
  backlog!: Backlog;
  readonly problems: FondacoError[] = [];
  readonly #stop = new AbortController();
  readonly #resendWindow: number | undefined;
  #isKilled = false;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(options: KitOptions) {
    this.storage = options.storage ?? new MemoryStorage();
    this.clock = options.clock ?? new FakeClock();
    this.#resendWindow = options.resendWindow;
  }

  static async open(options: KitOptions = {}): Promise<DispatchKit> {
    const kit = new DispatchKit(options);
    const { clock, storage } = kit;
    setMaxListeners(0, kit.#stop.signal);
    kit.journal = await DiskJournal.open(async () => (kit.#isKilled ? new Promise<never>(() => undefined) : storage.open()), {
      clock,
      stamp: options.stamp ?? { site: 'plant-7' },
      onProblem: (problem) => kit.problems.push(problem),
      ...(options.recentBytes !== undefined && { recentBytes: options.recentBytes }),
      ...(options.reserve && { reserve: options.reserve }),
    });
    const { onCommit } = options;
    if (onCommit) kit.journal.onCommit(() => onCommit(kit.journal));
    kit.dispatcher = await Dispatcher.open(kit.journal, {
      clock,
      random: options.random ?? (() => 0.5),
      dedup: { intervalMs: options.dedupMs ?? 0, windowsMax: options.windowsMax ?? 1000 },
      urgent: 'critical',
      node: 'proxy-host',
      types: options.types,
      ...(options.seriesMax !== undefined && { seriesMax: options.seriesMax }),
    });
    const loops = [kit.dispatcher.run(kit.#stop.signal)];
    for (const [name, settings] of Object.entries(options.writers ?? {})) {
      loops.push(...(await kit.#addWriter(name, settings, options.answers?.[name])));
    }
    if (options.budget) {
      kit.backlog = await Backlog.open(kit.dispatcher, [...kit.feeds.values()], options.budget);
      loops.push(kit.backlog.run(kit.#stop.signal));
    }
    kit.#running = Promise.all(loops);
    kit.#running.catch(() => undefined); // seen by stop
    return kit;
  }

  /** A destination that is added while the proxy runs. */
  async addWriter(name: string, settings: Partial<FeedSettings> = {}): Promise<ScriptedWriter> {
    const [running] = await this.#addWriter(name, settings);
    this.#running = Promise.all([this.#running, running]);
    this.#running.catch(() => undefined);
    return this.writer(name);
  }

  async #addWriter(name: string, settings: Partial<FeedSettings>, answer?: ScriptedWriter['answer']): Promise<Promise<void>[]> {
    const writer = new ScriptedWriter(this.clock);
    if (this.#resendWindow !== undefined) writer.resendWindow = this.#resendWindow;
    if (answer) writer.answer = answer;
    this.writers.set(name, writer);
    const feed = await Feed.open(this.dispatcher, { ...FEED, ...settings, name, writer });
    this.feeds.set(name, feed);
    return [feed.run(this.#stop.signal)];
  }

  writer(name = 'ops'): ScriptedWriter {
    return this.writers.get(name)!;
  }

  feed(name = 'ops'): Feed {
    return this.feeds.get(name)!;
  }

  /** A clean end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.journal.close();
  }

  /**
   * SIGKILL: what is being written is gone, nothing of this life touches the storage or a destination again. Open the next kit on the same
   * storage.
   */
  async kill(): Promise<void> {
    this.#isKilled = true;
    for (const writer of this.writers.values()) writer.isKilled = true;
    await this.storage.open(); // ends this life's opening
    this.#stop.abort();
  }

  ledger(): Promise<Ledger> {
    return readLedger(this.journal);
  }

  settle(): Promise<void> {
    return settle(60);
  }
}

const FEED = {
  filter: {},
  batch: { intervalMs: 0, eventsMax: 500, bytesMax: 1024 * 1024 },
  retry: { policy: 'backoff', initialMs: 1000, maxMs: 60_000 },
  backlog: { bytesMax: Infinity, ageMaxMs: Infinity, whenFull: 'drop-oldest' },
  notices: true,
  deadLettersMax: 10_000,
  deadLetterBytesMax: 64 * 1024 * 1024,
  writeTimeoutMs: 30_000,
} as const;

/** A sender's side, as plain as can be: it makes batches of one series. */
export class Sender {
  readonly series: Buffer;
  readonly lane: Lane;

  /** `birth`: the milliseconds that its series begins with. */
  constructor(lane: Lane = 'normal', birth = 1) {
    this.lane = lane;
    this.series = uuidV7Bytes(birth);
  }

  batch(after: number, events: readonly Record<string, unknown>[], more: Partial<Batch> = {}): Batch {
    return {
      series: this.series,
      lane: this.lane,
      after,
      settled: 0,
      settledBy: '',
      isGone: false,
      lost: [],
      events: events.map(eventBytes),
      isClosing: false,
      sender: { node: 'n1', component: 'c1' },
      ...more,
    };
  }
}

/** Events whose messages are `<text> <n>`, for n from first to last. */
export function numbered(text: string, first: number, last: number, more: Record<string, unknown> = {}): Record<string, unknown>[] {
  return Array.from({ length: last - first + 1 }, (_, i) => ({ message: `${text} ${first + i}`, ...more }));
}

export type { Batch, BatchReply, LostRange };

/** Of so many writes from now on each is taken; the next one has this fate; then all are taken again. */
export function failAfter(storage: MemoryStorage, { after, fate }: { readonly after: number; readonly fate: WriteFate }): void {
  let left = after;
  storage.fate = () => (left-- > 0 ? 'taken' : ((storage.fate = () => 'taken'), fate));
}
