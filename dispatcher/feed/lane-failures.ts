import { isExhausted, type RetryPolicy } from '../../core/backoff.ts';
import type { FondacoError } from '../../core/errors.ts';
import type { BatchSize } from './batch-size.ts';
import { noRoom, roomFor } from '../dead-letters/dead-letters.ts';
import { errorOf, type FeedRow } from './feed-row.ts';
import { refuse, stateBelow, suspend } from './feed-state.ts';
import type { Feed } from './feed.ts';
import type { LaneMoves, WriteStep } from './lane-moves.ts';
import type { LaneProgress } from './lane-progress.ts';
import type { RetryTimer } from './retry-timer.ts';

/** A wrong setting must not turn a backlog into dead letters: with so many lone rejections in a row, without a success, the feed pauses. */
const LONE_REJECTIONS_MAX = 10;
const PROBE: RetryPolicy = { policy: 'backoff', initialMs: 1000, maxMs: 300_000 };

/** What a lane does when a write failed: the table of faults in ARCHITECTURE.md, "What dies". */
export class LaneFailures {
  readonly #feed: Feed;
  readonly #progress: LaneProgress;
  readonly #moves: LaneMoves;
  readonly #retry: RetryTimer;
  readonly #size: BatchSize;

  constructor(feed: Feed, lane: { progress: LaneProgress; moves: LaneMoves; retry: RetryTimer; size: BatchSize }) {
    this.#feed = feed;
    this.#progress = lane.progress;
    this.#moves = lane.moves;
    this.#retry = lane.retry;
    this.#size = lane.size;
  }

  /** `stateAtCut`: the feed's, when the batch was cut. Resolves when what follows is durable, or, with a resendWindow, remembered. */
  async handle(step: WriteStep, failure: FondacoError, stateAtCut: FeedRow['state'], signal: AbortSignal): Promise<void> {
    if (failure.code === 'REJECTED') await this.#rejected(step, failure, stateAtCut, signal);
    else if (failure.code === 'REFUSED' || failure.code === 'CONFIG') await this.#refuse(step, failure, signal);
    else await this.#unavailable(step, failure, signal);
  }

  /** The destination's fault, passing: everything is kept, and tried again by the policy. */
  async #unavailable(step: WriteStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    const { name, retry } = this.#feed.settings;
    this.#feed.brokenAt = this.#feed.clock.monotonic();
    this.#progress.fellBack(step);
    const state = this.#progress.row;
    const isEnd = isExhausted(retry, state.attempts + 1) && !this.#retry.isExtra(state, retry);
    const isLast = isEnd && this.#feed.row.state === 'delivering';
    // Only what stands at the cursor can be set aside: what was sent before it and is not confirmed goes first.
    if (isLast && retry.policy === 'dead-letter' && this.#progress.row.cursor === step.from) {
      if (!this.#hasRoomFor(step)) await this.#refuse(step, failure, signal, true);
      else await this.#progress.move(step, signal, this.#moves.settingAside(step, failure, false));
      return;
    }
    await this.#progress.commit(signal, (lane, { draft, row }) => {
      if (isLast && retry.policy !== 'dead-letter') {
        suspend(row);
        this.#feed.report(draft, 'writerSuspended', `writer ${name} is suspended after ${lane.attempts + 1} attempts: resume it`, failure);
      }
      this.#wait(retry, failure);
    });
  }

  /** The event's fault, if it is alone in its batch; else the one at fault is looked for. */
  async #rejected(step: WriteStep, failure: FondacoError, stateAtCut: FeedRow['state'], signal: AbortSignal): Promise<void> {
    const events = step.deliveries.length;
    if (events > 1) {
      if (failure.facts.tooLarge) this.#size.tooLarge(events);
      else this.#size.rejected(events);
      return;
    }
    const { row } = this.#feed;
    if (stateAtCut === 'refused' && row.state === 'delivering') return; // released meanwhile: what it says now counts
    const isFull = !this.#hasRoomFor(step);
    if (isFull || stateBelow(row) === 'refused' || row.loneRejections + this.#progress.unconfirmedDead + 1 >= LONE_REJECTIONS_MAX) {
      await this.#refuse(step, failure, signal, isFull);
      return;
    }
    await this.#progress.move(step, signal, this.#moves.settingAside(step, failure, true));
    this.#size.found();
  }

  #hasRoomFor(step: WriteStep): boolean {
    return roomFor(this.#feed.row, this.#feed.settings) >= step.deliveries.length + this.#progress.unconfirmedDead;
  }

  /** The destination will not have us, or nothing of what we send: everything is kept, a lone event probes. */
  async #refuse(step: WriteStep, cause: FondacoError, signal: AbortSignal, isFull = false): Promise<void> {
    const { name, retry } = this.#feed.settings;
    const failure = isFull ? noRoom(name, this.#feed.settings, cause) : cause;
    this.#progress.fellBack(step);
    await this.#progress.commit(signal, (_lane, { draft, row }) => {
      const what = isFull ? 'waits' : 'is refused by its destination';
      if (refuse(row, isFull)) this.#feed.report(draft, 'writerRefused', `writer ${name} ${what}: ${failure.text}`, failure);
      this.#wait(retry.policy === 'backoff' ? retry : PROBE, failure);
    });
    this.#size.found();
  }

  #wait(policy: RetryPolicy, failure: FondacoError): void {
    this.#retry.failed(this.#progress.row, failure, { policy, random: this.#feed.dispatcher.random });
    const { row, clock } = this.#feed;
    row.lastError = errorOf(failure, clock.now());
    this.#feed.outage.failed(row, row.lastError);
  }
}
