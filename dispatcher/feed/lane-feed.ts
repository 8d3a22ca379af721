/**
 * The loop of one lane of a feed: wait → read and cut → take turns → write → settle, or what the destination's answer asks for (the table
 * of faults in ARCHITECTURE.md). The next batch is written while the last one is being settled. Everything that moves is in the feed's row and moves in a commit; what is here can be thrown away.
 */
import { Bell } from '../../core/bell.ts';
import type { Clock } from '../../core/clock.ts';
import { FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Lane } from '../../core/lane.ts';
import type { Delivery } from '../../core/writer.ts';
import { InFlight } from './write-attempt.ts';
import { BatchSize } from './batch-size.ts';
import type { FeedLane, FeedRow } from './feed-row.ts';
import { isHeld } from './feed-state.ts';
import type { LaneStatus } from './feed-status.ts';
import type { Feed } from './feed.ts';
import { LaneCut } from './lane-cut.ts';
import { LaneFailures } from './lane-failures.ts';
import { LaneMoves, type PassStep, type WriteStep } from './lane-moves.ts';
import type { Turn } from './lane-order.ts';
import { LaneProgress } from './lane-progress.ts';
import { LaneReader, type GivenUp, type Step } from './lane-reader.ts';
import { RetryTimer } from './retry-timer.ts';

/** One lane's way; the feed's `run` runs it. */
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
  readonly #progress: LaneProgress;
  readonly #failures: LaneFailures;
  #lastFailure: FondacoError | undefined;
  /** Since when a batch is waited for to fill. */
  #fillsSince: number | undefined;
  /** What is over a limit of the backlog. */
  #toGiveUp: { to: number; cause: GivenUp } | undefined;
  readonly #inFlight = new InFlight();
  /** The commit of the last batch that went through: the next one is written meanwhile, and no third. Rejects with a bug alone. */
  #settling: Promise<void> = Promise.resolve();
  #headAtCut = 0;
  #stateAtCut: FeedRow['state'] = 'delivering';
  /** The urgent lane's head at the last attempt: what came since may bring the next one forward. */
  #seenHead: number | undefined;
  /** Nothing was sent at or behind this position, in this life and, as far as one can tell, before; and the last number that was sent here. */
  #sentTo: number | undefined;
  #lastSent: { readonly to: number; readonly series: string; readonly seq: number } | undefined;

  constructor(feed: Feed, lane: Lane) {
    this.#feed = feed;
    this.#lane = lane;
    this.#clock = feed.clock;
    this.#reader = new LaneReader(feed.dispatcher.journal, feed.settings.name, lane);
    this.#cut = new LaneCut(feed, this.#reader);
    this.#moves = new LaneMoves(feed, lane);
    this.retry = new RetryTimer(feed.clock);
    this.#size = new BatchSize(feed.settings.batch.eventsMax);
    this.#progress = new LaneProgress(feed, lane);
    this.#failures = new LaneFailures(feed, { progress: this.#progress, moves: this.#moves, retry: this.retry, size: this.#size });
  }

  /** The row was loaded: a wait that it holds goes on. */
  reload(): void {
    this.#reader.clear();
    this.#size.found();
    this.#progress.takeBack();
    this.#seenHead ??= this.#head;
    this.#sentTo ??= this.#head;
    this.retry.load(this.#row);
  }

  /** How many deliveries behind the cursor the destination may have, at most: of a feed that has ended, for the one that follows. */
  get mayBeInFlight(): number {
    const { cursor, series, seq } = this.#row;
    const last = this.#lastSent;
    if (cursor >= this.#sentTo!) return 0;
    return last && last.to === this.#sentTo && last.series === series ? Math.max(0, last.seq - seq) : this.#feed.unsettledMax;
  }

  get hasWork(): boolean {
    return !isHeld(this.#feed.row) && this.#head > this.#progress.sent.cursor;
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
    const askedInMs = attempts > 0 ? Math.round(this.retry.askedInMs()) : 0;
    return {
      pending: this.#head - cursor,
      oldestAgeMs: this.#head > cursor && receivedAt !== undefined ? Math.max(0, this.#clock.now() - receivedAt) : 0,
      attempts,
      nextAttemptInMs: attempts > 0 ? Math.round(this.retry.dueInMs()) : 0,
      ...(askedInMs > 0 && { askedInMs }),
      series,
      seq,
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#progress.confirm(signal);
      if (await this.#giveUp(signal)) continue;
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        await this.#settling;
        await this.#peek();
        this.#enter(waitMs === Infinity && !this.isFailing ? 'idle' : 'waiting');
        await this.bell.wait(this.#clock, Math.min(waitMs, this.#progress.confirmInMs));
        continue;
      }
      this.#enter('preparing');
      const step = await this.#next(signal);
      if (!step) continue;
      if (step.kind !== 'write') await this.#pass(step, signal);
      else if (this.#progress.mustWaitForConfirmation(step)) await this.bell.wait(this.#clock, this.#progress.confirmInMs);
      else await this.#feed.inTurn(this.#lane, async () => this.#write(step, signal));
    }
    await this.#settling;
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
    this.#headAtCut = this.#head;
    this.#progress.takeBack();
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
    return this.#progress.row;
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
    const { cursor } = this.#progress.sent;
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
    return this.#cut.next(this.#progress.sent, state === 'refused' ? 1 : this.#size.next, signal);
  }

  /** Moves over what is not sent. */
  async #pass(step: PassStep, signal: AbortSignal): Promise<void> {
    if (step.kind !== 'rotate') this.#fillUpTo(step.to);
    const fresh = this.#moves.freshSeries();
    const begins = step.kind === 'pass' ? fresh : await this.#progress.begins(step.kind === 'rotate' ? step.from : step.to, fresh, signal);
    await this.#progress.move(step, signal, this.#moves.passing(step, begins));
  }

  async #write(step: WriteStep, signal: AbortSignal): Promise<void> {
    const turn: Turn = { since: this.#clock.monotonic() };
    this.#enter('ready');
    for (let holdMs = this.#feed.order.holdMs(this.#lane, turn); holdMs > 0; holdMs = this.#feed.order.holdMs(this.#lane, turn)) {
      await this.bell.wait(this.#clock, holdMs);
      if (signal.aborted || this.#toGiveUp) return;
    }
    if (signal.aborted || this.#toGiveUp || this.#feed.row.state !== this.#stateAtCut) return; // it was learned meanwhile that this is not to be sent
    this.#enter('writing');
    this.#feed.began(this.#lane);
    this.#seenHead = this.#head;
    this.retry.begins();
    this.#isSent(step);
    const startedAt = this.#clock.monotonic();
    const failure = this.#sharedFailure(turn) ?? (await this.#attempt(step, signal));
    const writeMs = this.#clock.monotonic() - startedAt;
    this.retry.attempted();
    this.#lastFailure = failure;
    this.#fillUpTo(step.to);
    await this.#settling;
    if (!failure) await this.#delivered(step, writeMs, signal);
    else if (!signal.aborted && !this.#toGiveUp) await this.#failed(step, failure, writeMs, signal);
    this.#enter(this.isFailing ? 'waiting' : this.hasWork ? 'preparing' : 'idle');
    this.#feed.ring();
  }

  #isSent({ to, deliveries }: WriteStep): void {
    const { series, seq } = deliveries.at(-1)!.delivery;
    if (to < this.#sentTo!) return;
    this.#sentTo = to;
    this.#lastSent = { to, series, seq };
  }

  /** Everything below a position is on its way, or passed. What was there at the cut and lies behind it has waited already. */
  #fillUpTo(position: number): void {
    if (position >= this.#headAtCut) this.#fillsSince = undefined;
  }

  async #attempt(step: WriteStep, signal: AbortSignal): Promise<FondacoError | undefined> {
    const writing = this.#inFlight.run((stop) => this.#feed.attempt(step.deliveries, stop), signal);
    if (this.#head > step.to && !this.#size.isSearching) await this.#reader.ahead(step.to);
    return writing;
  }

  /** A destination that the urgent lane, just now, could not even reach is not tried again by this one. */
  #sharedFailure(turn: Turn): FondacoError | undefined {
    const { urgent } = this.#feed.lanes;
    const failure = this !== urgent && urgent.retry.lastAttemptAt >= turn.since ? urgent.#lastFailure : undefined;
    if (!failure?.facts.unreachable) return undefined;
    const { taken: _taken, ...facts } = failure.facts; // how far that lane got says nothing of this one
    return new FondacoError(failure.code, failure.text, facts);
  }

  async #delivered(step: WriteStep, writeMs: number, signal: AbortSignal): Promise<void> {
    const wasFailing = this.isFailing;
    const isNews = wasFailing || this.#feed.isOnProbe || this.#feed.row.outage !== undefined;
    await this.#feed.outage.prepare(this.#lane, step.to, writeMs);
    this.#settling = this.#progress.move(step, signal, this.#moves.delivering(step));
    this.#settling.catch(() => undefined); // it is waited for, before the next one at the latest
    const { cursor, series } = this.#progress.sent;
    // What follows under a series that begins here must find it in the row, should it come again.
    if (isNews || cursor < step.to || series !== step.deliveries[0]!.delivery.series) await this.#settling;
    if (this.#progress.isSettledLater(step) && isNews) {
      // Settled later, but known now: the destination takes what it failed at.
      await this.#progress.commit(signal, (lane, commit) => {
        lane.attempts = lane.waitMs = 0;
        this.#moves.succeeded(commit);
      });
    }
    this.#size.delivered(step.deliveries.length);
    this.#feed.wentThrough(this.#lane, wasFailing);
  }

  /** Where the writer says how far it got, that much is delivered, and the failure is about the one event behind it. */
  async #failed(step: WriteStep, failure: FondacoError, writeMs: number, signal: AbortSignal): Promise<void> {
    const { taken } = failure.facts;
    let failed: WriteStep | undefined = step;
    if (taken !== undefined && taken < step.deliveries.length && step.deliveries.length > 1) {
      const before = taken === 0 ? undefined : await this.#recut(step.deliveries.slice(0, taken), signal);
      if (before) await this.#delivered(before, writeMs, signal);
      failed = await this.#recut(step.deliveries.slice(taken, taken + 1), signal);
    }
    // What cannot be cut again was moved meanwhile, or cannot be read now: it comes again from where the row stands.
    if (failed) await this.#failures.handle(failed, failure, this.#stateAtCut, signal);
  }

  /** The step over these deliveries alone, which stand at the cursor; undefined where they do not any more. */
  async #recut(deliveries: readonly Delivery[], signal: AbortSignal): Promise<WriteStep | undefined> {
    const step = await this.#cut.next(this.#progress.sent, deliveries.length, signal);
    if (step?.kind !== 'write' || step.deliveries.length !== deliveries.length) return undefined;
    const isSame = step.deliveries.every(({ delivery: { series, seq } }, i) => {
      const { delivery } = deliveries[i]!;
      return series === delivery.series && seq === delivery.seq;
    });
    return isSame ? step : undefined;
  }

  /** What was sent and is not confirmed is to be sent again. */
  takeBack(): void {
    this.#progress.takeBack();
  }
}
