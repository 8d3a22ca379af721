import { isExhausted } from '../../core/backoff.ts';
import { isFondacoError } from '../../core/errors.ts';
import type { Lane } from '../../core/lane.ts';
import type { FeedLane } from './feed-row.ts';
import type { Feed } from './feed.ts';
import type { InCommit, Move, WriteStep } from './lane-moves.ts';
import type { Step } from './lane-reader.ts';
import { Unconfirmed } from './unconfirmed.ts';

/**
 * Where a lane stands: what is settled, in the feed's row, and, for a writer with a `resendWindow`, what was sent beyond that. Every change
 * of the lane's row is a commit that is made here.
 */
export class LaneProgress {
  readonly #feed: Feed;
  readonly #lane: Lane;
  /** Of a writer with a resendWindow: what it has sent beyond what is settled. */
  readonly #unconfirmed: Unconfirmed;
  /** Where sending stands; the row itself while nothing is unconfirmed. */
  #ahead: FeedLane | undefined;
  /** Where the batch began that failed last. */
  #failedFrom = 0;

  constructor(feed: Feed, lane: Lane) {
    this.#feed = feed;
    this.#lane = lane;
    this.#unconfirmed = new Unconfirmed(() => feed.settings.writer.resendWindow ?? 0);
  }

  /** What is settled. */
  get row(): FeedLane {
    return this.#feed.row.lanes[this.#lane];
  }

  /** What was sent, settled or not. */
  get sent(): FeedLane {
    return this.#ahead ?? this.row;
  }

  /** Of what was sent and is not settled: events set aside. */
  get unconfirmedDead(): number {
    return this.#unconfirmed.dead;
  }

  /** Until there is something to confirm, if nothing more is written; Infinity where nothing waits for that. */
  get confirmInMs(): number {
    return this.#unconfirmed.dueInMs(this.#feed.clock.monotonic());
  }

  /** Of a batch that went through: it is settled later, and what had failed was in it or before it. */
  isSettledLater(step: WriteStep): boolean {
    return this.#ahead !== undefined && step.to > this.#failedFrom;
  }

  /**
   * The last attempt that the policy allows comes when all before it is confirmed: only what stands at the cursor can be set aside, and what
   * is merely unconfirmed must not be.
   */
  mustWaitForConfirmation(step: WriteStep): boolean {
    // Another life must not find the old filter in force where the new one was: first its taking effect is settled.
    if (this.row.before !== undefined && this.sent.before === undefined) return true;
    return !this.#unconfirmed.isEmpty && step.to > this.#failedFrom && isExhausted(this.#feed.settings.retry, this.row.attempts + 1);
  }

  /** Moves on: at once in a commit, or, with a resendWindow, in memory until it may be settled. */
  async move(step: Step, signal: AbortSignal, move: Move): Promise<void> {
    if (this.#feed.settings.writer.resendWindow === undefined) {
      const { series } = this.row;
      const isThere = (lane: FeedLane): boolean => lane.cursor === step.from && lane.series === series;
      await this.commit(signal, move.apply, isThere);
      return;
    }
    await this.#noteWindow(signal);
    this.#ahead ??= { ...this.row };
    if (this.#ahead.cursor !== step.from) return; // taken back meanwhile
    move.apply(this.#ahead);
    this.#unconfirmed.add(move, this.#feed.clock.monotonic());
  }

  /** The series that begins at a position: the one that it had when this was sent before, else a fresh one, in the row before it is used. */
  async begins(position: number, fresh: string, signal: AbortSignal): Promise<string> {
    const known = this.row.begun?.[position];
    if (known !== undefined) return known;
    if (this.#feed.settings.writer.resendWindow === undefined) return fresh; // it is settled at once
    await this.commit(signal, (lane) => void (lane.begun = { ...lane.begun, [position]: fresh }));
    return fresh;
  }

  /** The row says how much may be under way before so much is: the next life may have another filter. */
  async #noteWindow(signal: AbortSignal): Promise<void> {
    const { row, settings } = this.#feed;
    const { resendWindow = 0 } = settings.writer;
    if (row.resendWindow === resendWindow) return;
    await this.commit(signal, (_, { row: feed }) => void (feed.resendWindow = resendWindow));
  }

  /** Settles what may count as delivered by now; nothing where the connection that took it has ended meanwhile: then that is sent again. */
  async confirm(signal: AbortSignal): Promise<void> {
    if (!this.#unconfirmed.isEmpty && this.#feed.settings.writer.hasBroken?.(this.#lane)) {
      this.#feed.brokenAt = this.#feed.clock.monotonic();
      this.takeBack();
      return;
    }
    const moves = this.#unconfirmed.settleable(this.#feed.clock.monotonic());
    if (moves.length === 0) return;
    const { cursor } = this.row;
    const apply = (lane: FeedLane, commit: InCommit): void => moves.forEach((move) => move.apply(lane, commit));
    const isDone = await this.commit(signal, apply, (lane) => lane.cursor === cursor && !this.#unconfirmed.isEmpty);
    if (isDone) this.#unconfirmed.settled(moves);
    if (this.#unconfirmed.isEmpty) this.#ahead = undefined;
  }

  /** What was sent and is not confirmed is to be sent again: sent = settled. */
  takeBack(): void {
    this.#unconfirmed.clear();
    this.#ahead = undefined;
  }

  /** A batch from there on failed: what was sent and is not confirmed is sent again, too. */
  fellBack(step: WriteStep): void {
    this.takeBack();
    this.#failedFrom = step.from;
  }

  /** Commits a change of the lane, unless `isThere` says that it was moved meanwhile (the journal was reopened, the row loaded again). */
  async commit(
    signal: AbortSignal,
    change: (lane: FeedLane, commit: InCommit) => void,
    isThere: (lane: FeedLane) => boolean = () => true,
  ): Promise<boolean> {
    try {
      return await this.#feed.change((draft) => {
        const lane = this.row;
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
