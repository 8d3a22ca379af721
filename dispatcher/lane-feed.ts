/**
 * The loop of one lane of a feed: wait → read and cut → take turns → write → settle, or what the destination's answer asks for (the table
 * of faults in ARCHITECTURE.md). Everything that moves is in the feed's row and moves in a commit; what is here can be thrown away.
 */
import { isExhausted, type RetryPolicy } from '../core/backoff.ts';
import { Bell } from '../core/bell.ts';
import type { Clock } from '../core/clock.ts';
import { isFondacoError, type FondacoError } from '../core/errors.ts';
import type { Lane } from '../core/lane.ts';
import { InFlight } from './attempt.ts';
import { BatchSize } from './batch-size.ts';
import { noRoom, roomFor } from './dead-letters.ts';
import { errorOf, type FeedLane, type FeedRow } from './feed-row.ts';
import type { Feed, LaneStatus, Turn } from './feed.ts';
import { isHeld, refuse, stateBelow, suspend } from './feed-state.ts';
import { LaneCut } from './lane-cut.ts';
import { LaneReader, type GivenUp, type Step } from './lane-reader.ts';
import { LaneMoves } from './lane-moves.ts';
import type { InCommit, Move, PassStep, WriteStep } from './moves.ts';
import { RetryTimer } from './retry-timer.ts';
import { Unconfirmed } from './unconfirmed.ts';

/** A wrong setting must not turn a backlog into dead letters: with so many lone rejections in a row, without a success, the feed pauses. */
const LONE_REJECTIONS_MAX = 10;
const PROBE: RetryPolicy = { policy: 'backoff', initialMs: 1000, maxMs: 300_000 };

export class LaneFeed {
  readonly bell = new Bell();
  /** idle: nothing to do. waiting: for a retry, a resumption, or a batch to fill. */
  phase: 'idle' | 'waiting' | 'preparing' | 'ready' | 'writing' = 'idle';
  phaseSince = 0;
  readonly #feed: Feed;
  readonly #lane: Lane;
  readonly #clock: Clock;
  readonly #reader: LaneReader;
  readonly #cut: LaneCut;
  readonly #moves: LaneMoves;
  readonly retry: RetryTimer;
  readonly #size: BatchSize;
  /** Of a writer with a resendWindow: what it has sent beyond what is settled. */
  readonly #unconfirmed: Unconfirmed;
  /** Where sending stands; the row itself while nothing is unconfirmed. */
  #ahead: FeedLane | undefined;
  #lastFailure: FondacoError | undefined;
  /** Where the batch began that failed last. */
  #failedFrom = 0;
  /** Since when a batch is waited for to fill. */
  #fillsSince: number | undefined;
  /** What is over a limit of the backlog. */
  #toGiveUp: { to: number; cause: GivenUp } | undefined;
  readonly #inFlight = new InFlight();
  #headAtCut = 0;
  #stateAtCut: FeedRow['state'] = 'delivering';
  /** The urgent lane's head at the last attempt: what came since may bring the next one forward. */
  #seenHead: number | undefined;

  constructor(feed: Feed, lane: Lane) {
    this.#feed = feed;
    this.#lane = lane;
    this.#clock = feed.clock;
    this.#reader = new LaneReader(feed.dispatcher.journal, feed.settings.name, lane);
    this.#cut = new LaneCut(feed, this.#reader);
    this.#moves = new LaneMoves(feed, lane);
    this.retry = new RetryTimer(feed.clock);
    this.#size = new BatchSize(feed.settings.batch.eventsMax);
    this.#unconfirmed = new Unconfirmed(() => feed.settings.writer.resendWindow ?? 0);
  }

  /** The row was loaded: a wait that it holds goes on. */
  reload(): void {
    this.#reader.clear();
    this.#size.found();
    this.takeBack();
    this.#seenHead ??= this.#head;
    this.retry.load(this.#row);
  }

  get hasWork(): boolean {
    return !isHeld(this.#feed.row) && this.#head > this.#sent.cursor;
  }

  get isFailing(): boolean {
    return this.#row.attempts > 0;
  }

  get isUnreachable(): boolean {
    return this.isFailing && this.#lastFailure?.facts.unreachable === true;
  }

  /** See RetryTimer.forward. */
  forward(): void {
    this.retry.forward();
    this.bell.ring();
  }

  /** Tries now, whatever the destination asked for. */
  tryNow(): void {
    this.retry.now();
    this.bell.ring();
  }

  status(): LaneStatus {
    const { cursor, attempts, series, seq } = this.#row;
    const receivedAt = this.#reader.receivedAt(cursor);
    return {
      pending: this.#head - cursor,
      oldestAgeMs: this.#head > cursor && receivedAt !== undefined ? Math.max(0, this.#clock.now() - receivedAt) : 0,
      attempts,
      nextAttemptInMs: attempts > 0 ? Math.round(this.retry.dueInMs()) : 0,
      series,
      seq,
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#confirm(signal);
      if (await this.#giveUp(signal)) continue;
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        await this.#peek();
        this.#enter(waitMs === Infinity && !this.isFailing ? 'idle' : 'waiting');
        await this.bell.wait(this.#clock, Math.min(waitMs, this.#unconfirmed.dueInMs(this.#clock.monotonic())));
        continue;
      }
      this.#enter('preparing');
      const step = await this.#next(signal);
      if (!step) continue;
      if (step.kind !== 'write') await this.#pass(step, signal);
      else if (this.#isAfterUnconfirmed(step)) await this.bell.wait(this.#clock, this.#unconfirmed.dueInMs(this.#clock.monotonic()));
      else await this.#feed.inTurn(this.#lane, async () => this.#write(step, signal));
    }
    this.#enter('idle');
  }

  /** Gives up what lies below a position, whatever state the feed is in; a write in flight is let go. The lane's loop does it. */
  giveUp(to: number, cause: GivenUp): void {
    if (to <= Math.max(this.#row.cursor, this.#toGiveUp?.to ?? 0)) return;
    this.#toGiveUp = { to, cause };
    this.#inFlight.letGo();
    this.bell.ring();
  }

  /** The first position that is not settled. */
  get cursor(): number {
    return this.#row.cursor;
  }

  async #giveUp(signal: AbortSignal): Promise<boolean> {
    const { to, cause } = this.#toGiveUp ?? { to: 0, cause: 'budget' };
    this.#toGiveUp = undefined;
    const { cursor: from, epoch } = this.#row;
    if (to <= from) return false;
    this.takeBack();
    this.#reader.clear();
    const step = await this.#reader.giveUp({ from, to }, cause, epoch).catch((error: unknown) => {
      if (!isFondacoError(error)) throw error;
      return undefined; // the journal is being reopened; it will be asked for again
    });
    if (step && step.kind !== 'write') await this.#pass(step, signal);
    return true;
  }

  /** Who waits, held or for a retry, perhaps since a restart, has to know since when its oldest entry does. */
  async #peek(): Promise<void> {
    const { cursor } = this.#row;
    if (cursor >= this.#head) return;
    await this.#reader.peek(cursor).catch((error: unknown) => {
      if (!isFondacoError(error)) throw error; // the journal is being reopened; a reload wakes this
    });
  }

  get #row(): FeedLane {
    return this.#feed.row.lanes[this.#lane];
  }

  get #sent(): FeedLane {
    return this.#ahead ?? this.#row;
  }

  get #head(): number {
    return this.#feed.dispatcher.journal.head(this.#lane);
  }

  #enter(phase: LaneFeed['phase']): void {
    this.phase = phase;
    this.phaseSince = this.#clock.monotonic();
  }

  /** Until there is something to do; 0 for now. */
  #waitMs(): number {
    const { attempts } = this.#row;
    const { cursor } = this.#sent;
    const head = this.#head;
    const now = this.#clock.monotonic();
    if (isHeld(this.#feed.row) || head <= cursor) return Infinity;
    if (attempts > 0) {
      const hasArrived = this.#lane === 'urgent' && head > this.#seenHead!;
      return hasArrived ? Math.max(0, Math.min(this.retry.dueInMs(), this.retry.forwardInMs())) : this.retry.dueInMs();
    }
    const { intervalMs, eventsMax } = this.#feed.settings.batch;
    if (this.#lane === 'urgent' || this.#size.isSearching || head - cursor >= Math.min(eventsMax, this.#size.next)) return 0;
    this.#fillsSince ??= now;
    return Math.max(0, this.#fillsSince + intervalMs - now);
  }

  async #next(signal: AbortSignal): Promise<Step | undefined> {
    const { state } = this.#feed.row;
    this.#headAtCut = this.#head;
    this.#stateAtCut = state;
    return this.#cut.next(this.#sent, state === 'refused' ? 1 : this.#size.next, signal);
  }

  /** Moves over what is not sent. */
  async #pass(step: PassStep, signal: AbortSignal): Promise<void> {
    this.#fillsSince = undefined;
    await this.#move(step, signal, this.#moves.passing(step));
  }

  async #write(step: WriteStep, signal: AbortSignal): Promise<void> {
    const turn: Turn = { since: this.#clock.monotonic() };
    this.#enter('ready');
    for (let holdMs = this.#feed.holdMs(this.#lane, turn); holdMs > 0; holdMs = this.#feed.holdMs(this.#lane, turn)) {
      await this.bell.wait(this.#clock, holdMs);
      if (signal.aborted || this.#toGiveUp) return;
    }
    if (signal.aborted || this.#toGiveUp || this.#feed.row.state !== this.#stateAtCut) return; // it was learned meanwhile that this is not to be sent
    this.#enter('writing');
    this.#feed.began(this.#lane);
    this.#seenHead = this.#head;
    const failure = this.#sharedFailure(turn) ?? (await this.#attempt(step, signal));
    this.retry.attempted();
    this.#lastFailure = failure;
    if (step.to >= this.#headAtCut) this.#fillsSince = undefined; // what a limit cut off has waited already
    if (!failure) await this.#delivered(step, signal);
    else if (!signal.aborted && !this.#toGiveUp) await this.#failed(step, failure, signal);
    this.#enter(this.isFailing ? 'waiting' : this.hasWork ? 'preparing' : 'idle');
    this.#feed.ring();
  }

  #attempt(step: WriteStep, signal: AbortSignal): Promise<FondacoError | undefined> {
    return this.#inFlight.run((stop) => this.#feed.attempt(step.deliveries, stop), signal);
  }

  /** A destination that the urgent lane, just now, could not even reach is not tried again by this one. */
  #sharedFailure(turn: Turn): FondacoError | undefined {
    const { urgent } = this.#feed.lanes;
    const failure = this !== urgent && urgent.retry.lastAttemptAt >= turn.since ? urgent.#lastFailure : undefined;
    return failure?.facts.unreachable ? failure : undefined;
  }

  async #delivered(step: WriteStep, signal: AbortSignal): Promise<void> {
    const wasFailing = this.isFailing;
    await this.#move(step, signal, this.#moves.delivering(step));
    if (this.#ahead && step.to > this.#failedFrom && (wasFailing || this.#feed.isOnProbe)) {
      // Settled later, but known now: the destination takes what it failed at.
      await this.#commit(signal, (lane, commit) => {
        lane.attempts = lane.waitMs = 0;
        this.#moves.succeeded(commit);
      });
    }
    this.#size.delivered(step.deliveries.length);
    this.#feed.wentThrough(this.#lane, wasFailing);
  }

  async #failed(step: WriteStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    if (failure.code === 'REJECTED') await this.#rejected(step, failure, signal);
    else if (failure.code === 'REFUSED' || failure.code === 'CONFIG') await this.#refuse(step, failure, signal);
    else await this.#unavailable(step, failure, signal);
  }

  /** The destination's fault, passing: everything is kept, and tried again by the policy. */
  async #unavailable(step: WriteStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    const { name, retry } = this.#feed.settings;
    this.#feed.brokenAt = this.#clock.monotonic();
    this.takeBack();
    this.#failedFrom = step.from;
    const isLast = isExhausted(retry, this.#row.attempts + 1) && this.#feed.row.state === 'delivering';
    // Only what stands at the cursor can be set aside: what was sent before it and is not confirmed goes first.
    if (isLast && retry.policy === 'dead-letter' && this.#row.cursor === step.from) {
      if (!this.#hasRoomFor(step)) await this.#refuse(step, failure, signal, true);
      else await this.#move(step, signal, this.#moves.settingAside(step, failure, false));
      return;
    }
    await this.#commit(signal, (lane, { draft, row }) => {
      if (isLast && retry.policy !== 'dead-letter') {
        suspend(row);
        this.#feed.report(draft, 'writerSuspended', `writer ${name} is suspended after ${lane.attempts + 1} attempts: resume it`, failure);
      }
      this.#wait(retry, failure);
    });
  }

  /** The event's fault, if it is alone in its batch; else the one at fault is looked for. */
  async #rejected(step: WriteStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    const events = step.deliveries.length;
    if (events > 1) {
      if (failure.facts.tooLarge) this.#size.tooLarge(events);
      else this.#size.rejected(events);
      return;
    }
    const { row } = this.#feed;
    if (this.#stateAtCut === 'refused' && row.state === 'delivering') return; // released meanwhile: what it says now counts
    const isFull = !this.#hasRoomFor(step);
    if (isFull || stateBelow(row) === 'refused' || row.loneRejections + this.#unconfirmed.dead + 1 >= LONE_REJECTIONS_MAX) {
      await this.#refuse(step, failure, signal, isFull);
      return;
    }
    await this.#move(step, signal, this.#moves.settingAside(step, failure, true));
    this.#size.found();
  }

  #hasRoomFor(step: WriteStep): boolean {
    return roomFor(this.#feed.row, this.#feed.settings) >= step.deliveries.length + this.#unconfirmed.dead;
  }

  /** The destination will not have us, or nothing of what we send: everything is kept, a lone event probes. */
  async #refuse(step: WriteStep, cause: FondacoError, signal: AbortSignal, isFull = false): Promise<void> {
    const { name, retry } = this.#feed.settings;
    const failure = isFull ? noRoom(name, this.#feed.settings, cause) : cause;
    this.takeBack();
    this.#failedFrom = step.from;
    await this.#commit(signal, (_lane, { draft, row }) => {
      const what = isFull ? 'waits' : 'is refused by its destination';
      if (refuse(row, isFull)) this.#feed.report(draft, 'writerRefused', `writer ${name} ${what}: ${failure.text}`, failure);
      this.#wait(retry.policy === 'backoff' ? retry : PROBE, failure);
    });
    this.#size.found();
  }

  #wait(policy: RetryPolicy, failure: FondacoError): void {
    this.retry.failed(this.#row, failure, { policy, random: this.#feed.dispatcher.random });
    this.#feed.row.lastError = errorOf(failure, this.#clock.now());
  }

  /** Moves on: at once in a commit, or, with a resendWindow, in memory until it may be settled. */
  async #move(step: Step, signal: AbortSignal, move: Move): Promise<void> {
    if (this.#feed.settings.writer.resendWindow === undefined) {
      const { series } = this.#row;
      const isThere = (lane: FeedLane): boolean => lane.cursor === step.from && lane.series === series;
      await this.#commit(signal, move.apply, isThere);
      return;
    }
    this.#ahead ??= { ...this.#row };
    if (this.#ahead.cursor !== step.from) return; // taken back meanwhile
    move.apply(this.#ahead);
    this.#unconfirmed.add(move, this.#clock.monotonic());
  }

  /** Settles what may count as delivered by now. */
  async #confirm(signal: AbortSignal): Promise<void> {
    const moves = this.#unconfirmed.settleable(this.#clock.monotonic());
    if (moves.length === 0) return;
    const { cursor } = this.#row;
    const apply = (lane: FeedLane, commit: InCommit): void => moves.forEach((move) => move.apply(lane, commit));
    const isDone = await this.#commit(signal, apply, (lane) => lane.cursor === cursor && !this.#unconfirmed.isEmpty);
    if (isDone) this.#unconfirmed.settled(moves);
    if (this.#unconfirmed.isEmpty) this.#ahead = undefined;
  }

  /**
   * The last attempt that the policy allows comes when all before it is confirmed: only what stands at the cursor can be set aside, and what
   * is merely unconfirmed must not be.
   */
  #isAfterUnconfirmed(step: WriteStep): boolean {
    return !this.#unconfirmed.isEmpty && step.to > this.#failedFrom && isExhausted(this.#feed.settings.retry, this.#row.attempts + 1);
  }

  /** What was sent and is not confirmed is to be sent again: sent = settled. */
  takeBack(): void {
    this.#unconfirmed.clear();
    this.#ahead = undefined;
  }

  /** Commits a change of the lane, unless `isThere` says that it was moved meanwhile (the journal was reopened, the row loaded again). */
  async #commit(
    signal: AbortSignal,
    change: (lane: FeedLane, commit: InCommit) => void,
    isThere: (lane: FeedLane) => boolean = () => true,
  ): Promise<boolean> {
    try {
      return await this.#feed.change((draft) => {
        const lane = this.#row;
        if (!isThere(lane)) return false;
        change(lane, { draft, row: this.#feed.row });
        this.#feed.put(draft);
        return true;
      }, signal);
    } catch (error) {
      if (!isFondacoError(error) || !signal.aborted) throw error; // stopping: what is not settled comes again
      return false;
    }
  }
}
