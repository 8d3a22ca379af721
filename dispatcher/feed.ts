/**
 * One writer's feed: its row, its two lanes, and what they share: the state of the destination, the order between the lanes, retries.
 * The loop of a lane is lane-feed.ts.
 *
 * Urgent first: the normal lane holds while the urgent one has something it can send, but after four urgent batches at least one normal one
 * begins. A lane that fails or hangs does not hold the other for longer than `HANG_MS`: each has its own write in flight and its own retry.
 * A destination that was away gets the urgent lane's probe first.
 */
import type { RetryPolicy } from '../core/backoff.ts';
import type { Clock } from '../core/clock.ts';
import { isFondacoError, type FondacoError } from '../core/errors.ts';
import type { Draft } from '../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import { formatMs } from '../core/time.ts';
import type { Delivery, Writer } from '../core/writer.ts';
import { attemptWrite } from './attempt.ts';
import { roomFor, type DeadLetterLimits } from './dead-letters.ts';
import type { Dispatcher } from './dispatcher.ts';
import { FEED_PREFIX, newFeedRow, type FeedRow, shownError, type ShownError } from './feed-row.ts';
import { pause, release, resume } from './feed-state.ts';
import { isSameFilter, type Filter } from './filter.ts';
import { LaneFeed } from './lane-feed.ts';
import { beginningOf } from './ledger.ts';
import { lostFeedRow, mendDeadLetters } from './mend.ts';
import { Mutex } from './mutex.ts';
import { OWN_TYPES } from './own-events.ts';
import { Replay } from './replay.ts';
import { FORWARD_MS } from './retry-timer.ts';

/** What a writer may have pending. */
export interface BacklogLimits {
  /** Bytes of entries, to the blob. */
  readonly bytesMax: number;
  /** What is older is given up; Infinity for no limit. */
  readonly ageMaxMs: number;
  /** Beyond `bytesMax`: give up the oldest, normal lane before urgent; or have nothing taken in, from anybody. */
  readonly whenFull: 'drop-oldest' | 'refuse';
}

/** Dead letters kept: at a limit, the feed pauses as refused until there is room. */
export interface FeedSettings extends DeadLetterLimits {
  /** The destination's identity: another name is another destination. */
  readonly name: string;
  readonly writer: Writer;
  readonly filter: Filter;
  /** A normal batch waits for `intervalMs`, unless `eventsMax` or `bytesMax` is reached before; an urgent one never waits. */
  readonly batch: { readonly intervalMs: number; readonly eventsMax: number; readonly bytesMax: number };
  readonly retry: RetryPolicy;
  readonly backlog: BacklogLimits;
  /** False: loss notices pass the filter like any other event. */
  readonly notices: boolean;
  /** A write that takes longer is aborted, and counts as UNAVAILABLE. */
  readonly writeTimeoutMs: number;
}

export type FeedState = 'delivering' | 'retrying' | 'refused' | 'suspended' | 'paused';

export interface FeedStatus {
  readonly name: string;
  readonly state: FeedState;
  readonly dead: number;
  /** What the dead letters take. */
  readonly deadBytes: number;
  /** Refused for want of room for another dead letter: it goes on as soon as there is some. */
  readonly isFull?: true;
  /** Of a paused one, RFC 3339. */
  readonly pausedSince?: string;
  /** When it was resumed, as long as nothing was delivered since; RFC 3339. */
  readonly resumedAt?: string;
  readonly lanes: PerLane<LaneStatus>;
  readonly lastError?: ShownError;
}

export interface LaneStatus {
  /** Entries that are not settled. */
  readonly pending: number;
  /** Since the oldest of them was received. */
  readonly oldestAgeMs: number;
  /** Failed attempts in a row, and when the next one is due. */
  readonly attempts: number;
  readonly nextAttemptInMs: number;
  /** The delivery series and its last settled seq. */
  readonly series: string;
  readonly seq: number;
}

/** How long a lane may keep the other waiting. */
const HANG_MS = 1000;
const URGENT_BATCHES_MAX = 4;

/** How long a person's command waits for a journal that is being reopened. */
const COMMAND_MS = 5000;

/** A lane's wait for its turn. */
export interface Turn {
  /** When the wait began, and when the urgent lane was asked to try first because of it; monotonic. */
  readonly since: number;
  askedAt?: number;
}

export class Feed {
  readonly settings: FeedSettings;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  row!: FeedRow;
  readonly lanes: PerLane<LaneFeed>;
  readonly replay: Replay;
  /** See purge.ts: at most one at a time, and none while a replay is under way. */
  isPurging = false;
  /** When the connection broke last, on the monotonic clock: what was sent just before it may be lost, where nothing is acknowledged. */
  brokenAt = -Infinity;
  #urgentBatches = 0;
  /** A writer may be given one batch of a lane at a time; a replay wants to give it some, too. */
  readonly #turns = perLane(() => new Mutex());
  #isStopping = false;
  readonly #unheeded = perLane(() => ({ count: 0 }));
  /** The row was damaged and is put together again. */
  #isLost = false;
  /** Dead letters that a damaged store has lost. */
  #lost: Awaited<ReturnType<typeof mendDeadLetters>> | undefined;

  private constructor(dispatcher: Dispatcher, settings: FeedSettings) {
    this.dispatcher = dispatcher;
    this.settings = settings;
    this.clock = dispatcher.clock;
    this.lanes = perLane((lane) => new LaneFeed(this, lane));
    this.replay = new Replay(this);
  }

  /** Takes up the writer's row, or makes it: a destination seen for the first time gets what comes from now on. */
  static async open(dispatcher: Dispatcher, settings: FeedSettings): Promise<Feed> {
    const feed = new Feed(dispatcher, settings);
    await feed.#load();
    await feed.#adopt();
    dispatcher.journal.onReopen(() => feed.#load());
    return feed;
  }

  /** Delivers until `signal` is aborted; then lets a write in flight end, for 5 s at most. A writer's errors never reject it. */
  async run(signal: AbortSignal): Promise<void> {
    const ring = (): void => this.ring();
    const stop = (): void => {
      this.#isStopping = true;
      this.ring();
    };
    const endListening = this.dispatcher.journal.onCommit(ring);
    signal.addEventListener('abort', stop, { once: true });
    try {
      await Promise.all([...LANES.map((lane) => this.lanes[lane].run(signal)), this.replay.run(signal)]);
    } finally {
      endListening();
    }
  }

  /**
   * Sends nothing more until it is resumed, also in later lives; a write in flight may end. False: it was paused already. Rejects
   * UNAVAILABLE or FULL where the journal takes nothing.
   */
  async pause(): Promise<boolean> {
    return this.command((draft) => {
      if (!pause(this.row, this.clock.now())) return false;
      this.report(draft, 'writerPaused', `writer ${this.settings.name} is paused: everything is kept until it is resumed`);
      this.put(draft);
      return true;
    });
  }

  /**
   * Ends a pause, a refusal or a suspension, and tries at once, also where it waits between attempts and the destination asked for more time:
   * a person knows better. False: there was nothing to end. Rejects UNAVAILABLE or FULL where the journal takes nothing.
   */
  async resume(): Promise<boolean> {
    const isResumed = await this.command((draft) => {
      if (!resume(this.row, this.clock.now())) return false;
      this.put(draft);
      return true;
    });
    const isRetrying = this.#isRetrying;
    for (const lane of LANES) this.lanes[lane].tryNow();
    this.replay.tryNow();
    return isResumed || isRetrying;
  }

  get #isRetrying(): boolean {
    return LANES.some((lane) => this.row.lanes[lane].attempts > 0);
  }

  status(): FeedStatus {
    const { row } = this;
    const dead = LANES.reduce((sum, lane) => sum + row.lanes[lane].dead, 0);
    const state = row.state === 'delivering' && this.#isRetrying ? 'retrying' : row.state;
    const { paused, resumedAt } = row;
    return {
      name: this.settings.name,
      state,
      dead,
      deadBytes: LANES.reduce((sum, lane) => sum + row.lanes[lane].deadBytes, 0),
      ...(row.isFull && { isFull: true }),
      ...(paused && { pausedSince: formatMs(paused.since) }),
      ...(resumedAt !== undefined && { resumedAt: formatMs(resumedAt) }),
      lanes: perLane((lane) => this.lanes[lane].status()),
      ...(row.lastError && { lastError: shownError(row.lastError) }),
    };
  }

  /** Wakes both lanes to look again. */
  ring(): void {
    for (const lane of LANES) this.lanes[lane].bell.ring();
  }

  /** Commits a change of the row; waits out a reopening of the journal. False: `change` found that it no longer applies. */
  async change(change: (draft: Draft) => boolean, signal?: AbortSignal): Promise<boolean> {
    for (;;) {
      try {
        return await this.dispatcher.journal.commit(change);
      } catch (error) {
        if (!isFondacoError(error) || signal?.aborted || this.#isStopping) throw error;
        await this.clock.sleep(50);
      }
    }
  }

  /** Like `change`, for people: it does not wait for ever. */
  async command(change: (draft: Draft) => boolean): Promise<boolean> {
    const limit = new AbortController();
    const over = new AbortController();
    void this.clock.sleep(COMMAND_MS, over.signal).then(() => limit.abort());
    try {
      return await this.change(change, limit.signal);
    } finally {
      over.abort();
    }
  }

  put(draft: Draft): void {
    this.#mend(draft);
    draft.put(FEED_PREFIX + this.settings.name, () => this.row);
  }

  /** How long a lane has to hold before it may write; 0 to go. Asked again after every ring, with the same `turn`. */
  holdMs(lane: Lane, turn: Turn): number {
    const now = this.clock.monotonic();
    const { urgent, normal } = this.lanes;
    if (lane === 'urgent') {
      const isNormalDue = this.#urgentBatches >= URGENT_BATCHES_MAX && normal.phase === 'ready';
      return isNormalDue ? Math.max(0, normal.phaseSince + HANG_MS - now) : 0;
    }
    if (this.#urgentBatches >= URGENT_BATCHES_MAX || !urgent.hasWork || urgent.phase === 'idle') return 0;
    if (urgent.phase !== 'waiting') return Math.max(0, urgent.phaseSince + HANG_MS - now);
    // The urgent lane failed before. Now that something is to be tried, it is tried first.
    if (urgent.retry.lastAttemptAt >= turn.since) return 0;
    const inMs = urgent.retry.forwardInMs();
    // A lane that fails does not hold a healthy one; but a destination that cannot be reached is away for both.
    if (inMs > FORWARD_MS || (inMs > 0 && !normal.isFailing && !urgent.isUnreachable)) return 0;
    if (inMs > 0) return inMs;
    if (turn.askedAt === undefined) urgent.forward();
    turn.askedAt ??= now;
    return Math.max(0, turn.askedAt + HANG_MS - now);
  }

  /** Runs `work` when nobody else writes in this lane. */
  inTurn<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
    return this.#turns[lane].run(work);
  }

  /** One write. Resolves with what went wrong, or `undefined`. To be called in the lane's turn. */
  attempt(deliveries: readonly Delivery[], signal: AbortSignal): Promise<FondacoError | undefined> {
    const { writer, writeTimeoutMs } = this.settings;
    const unheeded = this.#unheeded[deliveries[0]!.delivery.lane];
    return attemptWrite({ writer, clock: this.clock, timeoutMs: writeTimeoutMs, unheeded }, deliveries, signal);
  }

  /** Refused or just resumed: the next success is news. */
  get isOnProbe(): boolean {
    return this.row.state === 'refused' || this.row.resumedAt !== undefined;
  }

  /** Dead letters are gone: a feed that waited for room goes on. To be called in the commit, after the counts changed. */
  roomMade(): void {
    if (this.row.isFull && roomFor(this.row, this.settings) > 0) this.#release();
  }

  /**
   * A replay delivers: the destination takes events, so what it still rejects is at fault itself. To be called in the commit, after the
   * counts changed.
   */
  proved(): void {
    if (this.row.isFull) this.roomMade();
    else this.#release();
  }

  #release(): void {
    if (!release(this.row, this.clock.now())) return;
    for (const lane of LANES) this.lanes[lane].forward();
  }

  /** Adds an event about this writer to the commit. */
  report(draft: Draft, type: keyof typeof OWN_TYPES, message: string, failure?: FondacoError): void {
    const { status, answer } = failure?.facts ?? {};
    const attributes = { writer: this.settings.name, ...(status !== undefined && { status }), ...(answer !== undefined && { answer }) };
    this.dispatcher.record(draft, 'normal', { type: OWN_TYPES[type], severity: failure ? 'error' : 'info', message, attributes });
  }

  /** A lane begins to write. */
  began(lane: Lane): void {
    if (lane === 'normal') this.#urgentBatches = 0;
    this.ring();
  }

  /** A lane's write went through: what the other one waits for may be over, too. `isFirst`: it had failed before. */
  wentThrough(lane: Lane, isFirst: boolean): void {
    if (lane === 'urgent') this.#urgentBatches++; // an attempt that fails is no batch: it must not let the normal lane by
    const other = this.lanes[lane === 'urgent' ? 'normal' : 'urgent'];
    if (isFirst) this.replay.forward();
    if (isFirst || (other.isFailing && other.retry.forwardInMs() <= 0)) other.forward();
  }

  async #load(): Promise<void> {
    const { journal } = this.dispatcher;
    const { name, filter } = this.settings;
    const stored = await journal.row(FEED_PREFIX + name).catch((error: unknown) => {
      if (!isFondacoError(error, 'CORRUPT')) throw error;
      return 'damaged' as const;
    });
    this.#isLost = stored === 'damaged' || (stored === undefined && this.dispatcher.knows(name));
    if (this.#isLost) {
      const { row, damaged } = await lostFeedRow(journal, name, { counts: this.dispatcher.counts, filter, now: this.clock.now() });
      this.row = row;
      this.#lost = { damaged, lost: perLane(() => 0) };
      await this.#reload();
      return;
    }
    this.row = (stored as FeedRow | undefined) ?? newFeedRow(await beginningOf(journal), filter, this.clock.now());
    this.#lost = await mendDeadLetters(journal, name, this.row);
    await this.#reload();
  }

  async #reload(): Promise<void> {
    await this.replay.load();
    for (const lane of LANES) this.lanes[lane].reload();
  }

  /** Commits the row as this life begins: new, put together again, or with a changed filter. */
  async #adopt(): Promise<void> {
    const { filter, batch } = this.settings;
    await this.change((draft) => {
      if (!isSameFilter(this.row.filter, filter)) {
        // What may have been in flight goes out once more as it was; the change takes effect behind it.
        for (const lane of LANES) this.row.lanes[lane].before ??= { filter: this.row.filter, deliveries: this.row.eventsMax };
        this.row.filter = filter;
      }
      this.row.eventsMax = batch.eventsMax;
      this.roomMade();
      this.put(draft);
      return true;
    });
    for (const lane of LANES) this.lanes[lane].reload();
  }

  /** Tells, in the commit, what a damaged store cost this writer. */
  #mend(draft: Draft): void {
    const { name } = this.settings;
    this.dispatcher.know(draft, name);
    if (!this.#isLost && !this.#lost) return;
    if (this.#isLost) this.dispatcher.reportMended(draft, [`writer ${name} has lost its place: it gets everything that is kept once more`]);
    this.#isLost = false;
    for (const lane of LANES) {
      const lost = this.#lost?.lost[lane] ?? 0;
      if (lost > 0) this.dispatcher.lose(draft, { kind: 'writer', id: `${name}/${lane}` }, 'corrupt', [1, lost]);
    }
    for (const key of this.#lost?.damaged ?? []) draft.delete(key);
    this.#lost = undefined;
  }
}
