import type { Clock } from '../../core/clock.ts';
import type { Lane, PerLane } from '../../core/lane.ts';
import type { LaneFeed } from './lane-feed.ts';
import { FORWARD_MS } from './retry-timer.ts';

/** How long a lane may keep the other waiting. */
const HANG_MS = 1000;
const URGENT_BATCHES_MAX = 4;

/** A lane's wait for its turn. */
export interface Turn {
  /** When the wait began, and when the urgent lane was asked to try first because of it; monotonic. */
  readonly since: number;
  askedAt?: number;
}

/**
 * Who of a feed's two lanes may write. Urgent first: the normal lane holds while the urgent one has something it can send, but after four
 * urgent batches at least one normal one begins. A lane that fails or hangs does not hold the other for longer than `HANG_MS`: each has its
 * own write in flight and its own retry. A destination that was away gets the urgent lane's probe first.
 */
export class LaneOrder {
  readonly #clock: Clock;
  readonly #lanes: PerLane<LaneFeed>;
  #urgentBatches = 0;

  constructor(clock: Clock, lanes: PerLane<LaneFeed>) {
    this.#clock = clock;
    this.#lanes = lanes;
  }

  /** How long a lane has to hold before it may write; 0 to go. Asked again after every ring, with the same `turn`. */
  holdMs(lane: Lane, turn: Turn): number {
    const now = this.#clock.monotonic();
    const { urgent, normal } = this.#lanes;
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

  /** A lane begins to write. */
  began(lane: Lane): void {
    if (lane === 'normal') this.#urgentBatches = 0;
  }

  /** A lane's write went through: what the other one waits for may be over, too. `isFirst`: it had failed before. */
  wentThrough(lane: Lane, isFirst: boolean): void {
    if (lane === 'urgent') this.#urgentBatches++; // an attempt that fails is no batch: it must not let the normal lane by
    const other = this.#lanes[lane === 'urgent' ? 'normal' : 'urgent'];
    if (isFirst || (other.isFailing && other.retry.forwardInMs() <= 0)) other.forward();
  }
}
