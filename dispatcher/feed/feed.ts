/**
 * One writer's feed: its row, its two lanes, and what they share: the state of the destination, the order between the lanes, retries.
 * The loop of a lane is lane-feed.ts, who of the two may write lane-order.ts.
 */
import type { Clock } from '../../core/clock.ts';
import { FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Draft } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { uuidV7 } from '../../core/uuid.ts';
import { attemptWrite } from './write-attempt.ts';
import { roomFor } from '../dead-letters/dead-letters.ts';
import type { Dispatcher } from '../dispatcher.ts';
import { endSeries } from './delivery-series.ts';
import { loadFeedRow, tellDamage, type FeedDamage } from './feed-loading.ts';
import { FEED_PREFIX, type FeedRow } from './feed-row.ts';
import type { FeedSettings } from './feed-settings.ts';
import { pause, release, resume } from './feed-state.ts';
import { feedStatus, type FeedStatus } from './feed-status.ts';
import { isSameFilter } from './filter.ts';
import { LaneFeed } from './lane-feed.ts';
import { LaneOrder } from './lane-order.ts';
import { Mutex } from '../../core/mutex.ts';
import { Outage } from './outage.ts';
import { OWN_TYPES } from '../own-events.ts';
import { Replay } from '../dead-letters/replay.ts';

/** How long a person's command waits for a journal that is being reopened. */
const COMMAND_MS = 5000;
/** See Writer.note. */
const NOTE_CHARS_MAX = 4096;

/** One writer's way through the journal. */
export class Feed {
  readonly settings: FeedSettings;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  row!: FeedRow;
  readonly lanes: PerLane<LaneFeed>;
  readonly order: LaneOrder;
  readonly replay: Replay;
  readonly outage: Outage;
  /** See dead-letters/purge.ts: at most one at a time, and none while a replay is under way. */
  isPurging = false;
  /** When the connection broke last, on the monotonic clock: what was sent just before it may be lost, where nothing is acknowledged. */
  brokenAt = -Infinity;
  /** A writer may be given one batch of a lane at a time; a replay wants to give it some, too. */
  readonly #turns = perLane(() => new Mutex());
  #isStopping = false;
  /** Another feed has its row. */
  #isOver = false;
  #endReloads = (): void => undefined;
  #hasRecalled = false;
  readonly #unheeded = perLane(() => ({ count: 0 }));
  /** What a damaged store cost this writer, until it is told. */
  #damage: FeedDamage | undefined;

  private constructor(dispatcher: Dispatcher, settings: FeedSettings) {
    this.dispatcher = dispatcher;
    this.settings = settings;
    this.clock = dispatcher.clock;
    this.lanes = perLane((lane) => new LaneFeed(this, lane));
    this.order = new LaneOrder(dispatcher.clock, this.lanes);
    this.replay = new Replay(this);
    this.outage = new Outage(this);
  }

  /**
   * Takes up the writer's row, or makes it: a destination seen for the first time gets what comes from now on. `inFlight`: how many deliveries
   * of each lane may be there already and are not settled, where the feed before has told (`LaneFeed.mayBeInFlight`).
   */
  static async open(dispatcher: Dispatcher, settings: FeedSettings, inFlight?: PerLane<number>): Promise<Feed> {
    const feed = new Feed(dispatcher, settings);
    dispatcher.served.add(settings.name);
    dispatcher.keepFields(settings.filter);
    await feed.#load();
    await feed.#adopt(inFlight);
    feed.#endReloads = dispatcher.journal.onReopen(() => feed.#load());
    return feed;
  }

  /** When `run` has ended, and another feed is to have the row: from now on this one changes nothing. */
  end(): void {
    this.#isOver = true;
    this.#endReloads();
  }

  get isOver(): boolean {
    return this.#isOver;
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
      await Promise.all([...LANES.map((lane) => this.lanes[lane].run(signal)), this.replay.run(signal), this.outage.run(signal)]);
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
    this.tryNow();
    return isResumed || isRetrying;
  }

  /** Waits between attempts are over, whatever the destination asked for. */
  tryNow(): void {
    for (const lane of LANES) this.lanes[lane].tryNow();
    this.replay.tryNow();
  }

  get #isRetrying(): boolean {
    return LANES.some((lane) => this.row.lanes[lane].attempts > 0);
  }

  status(): FeedStatus {
    return feedStatus(
      this.settings.name,
      this.row,
      perLane((lane) => this.lanes[lane].status()),
      this.settings.writer,
    );
  }

  /** Wakes both lanes to look again. */
  ring(): void {
    for (const lane of LANES) this.lanes[lane].bell.ring();
    this.outage.ring();
  }

  /** Commits a change of the row; waits out a reopening of the journal. False: `change` found that it no longer applies. */
  async change(change: (draft: Draft) => boolean, signal?: AbortSignal): Promise<boolean> {
    for (;;) {
      if (this.#isOver) throw new FondacoError('UNAVAILABLE', `writer ${this.settings.name} is being changed, try again`);
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

  /** Puts the row into a commit. */
  put(draft: Draft): void {
    this.dispatcher.know(draft, this.settings.name);
    if (this.#damage) tellDamage(draft, this.dispatcher, this.settings.name, this.#damage);
    this.#damage = undefined;
    for (const lane of LANES) this.#note(lane);
    draft.put(FEED_PREFIX + this.settings.name, () => this.row);
  }

  /** Runs `work` when nobody else writes in this lane. */
  inTurn<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
    return this.#turns[lane].run(work);
  }

  /** One write. Resolves with what went wrong, or `undefined`. To be called in the lane's turn. */
  attempt(deliveries: readonly Delivery[], signal: AbortSignal): Promise<FondacoError | undefined> {
    const { writer, writeTimeoutMs } = this.settings;
    this.#recall(writer);
    const unheeded = this.#unheeded[deliveries[0]!.delivery.lane];
    return attemptWrite({ writer, clock: this.clock, timeoutMs: writeTimeoutMs, unheeded }, deliveries, signal);
  }

  #recall(writer: Writer): void {
    if (this.#hasRecalled) return;
    this.#hasRecalled = true;
    for (const lane of LANES) if (this.row.lanes[lane].note !== undefined) writer.recall?.(lane, this.row.lanes[lane].note);
  }

  /** Before it has recalled the notes of an earlier life, a writer has none. */
  #note(lane: Lane): void {
    const note = this.settings.writer.note?.(lane);
    if (note !== undefined && note.length <= NOTE_CHARS_MAX) this.row.lanes[lane].note = note;
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

  /** Deliveries of a lane that may have been sent and are not settled: batches, and what the writer's window holds. */
  get unsettledMax(): number {
    return this.row.unsettledMax + (this.row.resendWindow ?? 0);
  }

  /** A lane begins to write. */
  began(lane: Lane): void {
    this.order.began(lane);
    this.ring();
  }

  /** A lane's write went through. `isFirst`: it had failed before. */
  wentThrough(lane: Lane, isFirst: boolean): void {
    if (isFirst) this.replay.forward();
    this.order.wentThrough(lane, isFirst);
  }

  /** What may have been in flight goes out once more as it was; the change takes effect behind it, with a series of its own. */
  #changeFilter(draft: Draft, lane: Lane, inFlight: number): void {
    const row = this.row.lanes[lane];
    if (row.before) return; // of a change before this one, which nobody has seen take effect
    if (inFlight > 0) {
      row.before = { filter: this.row.filter, deliveries: inFlight, head: this.dispatcher.journal.head(lane) };
      return;
    }
    endSeries(draft, { writer: this.settings.name, lane }, row, { cause: 'filter' });
    row.series = uuidV7(this.clock.now());
    row.seq = 0;
    delete row.begun; // nothing was sent under them
  }

  async #load(): Promise<void> {
    const { row, damage } = await loadFeedRow(this.dispatcher, this.settings);
    this.row = row;
    this.#damage = damage;
    await this.#reload();
  }

  async #reload(): Promise<void> {
    await this.replay.load();
    await this.outage.load();
    for (const lane of LANES) this.lanes[lane].reload();
  }

  /** Commits the row as this life begins: new, put together again, or with a changed filter. */
  async #adopt(inFlight: PerLane<number> | undefined): Promise<void> {
    const { filter, batch } = this.settings;
    await this.change((draft) => {
      if (!isSameFilter(this.row.filter, filter)) {
        for (const lane of LANES) this.#changeFilter(draft, lane, inFlight?.[lane] ?? this.unsettledMax);
        this.row.filter = filter;
      }
      this.row.unsettledMax = 2 * batch.eventsMax;
      this.roomMade();
      this.put(draft);
      return true;
    });
    for (const lane of LANES) this.lanes[lane].reload();
  }
}
