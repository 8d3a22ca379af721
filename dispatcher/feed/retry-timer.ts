import { attemptsOf, retryWaitMs, type RetryPolicy } from '../../core/backoff.ts';
import { restOfWait, type Clock } from '../../core/clock.ts';
import type { FondacoError } from '../../core/errors.ts';
import type { RetryState } from './feed-row.ts';

/** An attempt is brought forward at most once in this time. */
export const FORWARD_MS = 1000;

/** When a lane may try again: the row remembers the wait, this measures it on the monotonic clock. */
export class RetryTimer {
  readonly #clock: Clock;
  /** When the next attempt is due after a failure, and before when none may be made. */
  #dueAt = 0;
  #notBefore = 0;
  /** When it is due by the policy; an attempt may be brought forward. */
  #plannedAt = 0;
  #isEarly = false;
  /** When the last attempt ended, on the monotonic clock. */
  lastAttemptAt = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The row was loaded: a wait that it holds goes on. */
  load({ waitMs, waitSince, attempts, askedMs = 0 }: RetryState): void {
    const now = this.#clock.monotonic();
    this.#dueAt = this.#notBefore = this.#plannedAt = now;
    if (attempts === 0) return;
    const wall = this.#clock.now();
    const restMs = restOfWait(waitMs, waitSince, wall);
    this.#dueAt = this.#plannedAt = now + restMs;
    this.#notBefore = now + restOfWait(askedMs, waitSince, wall);
    this.lastAttemptAt = now - (waitMs - restMs);
  }

  /** An attempt begins. */
  begins(): void {
    this.#isEarly = this.#clock.monotonic() < this.#plannedAt;
  }

  /**
   * True where the attempt was brought forward and the policy has an end: it is none of those that the policy has, or a burst of urgent events
   * would use them up within seconds.
   */
  isExtra({ attempts }: RetryState, policy: RetryPolicy): boolean {
    return attempts > 0 && this.#isEarly && attemptsOf(policy) !== Infinity;
  }

  attempted(): void {
    this.lastAttemptAt = this.#clock.monotonic();
  }

  /** Counts a failed attempt in the row, and sets the next one: by the policy, and not before what the destination asked for. */
  failed(state: RetryState, failure: FondacoError, { policy, random }: { policy: RetryPolicy; random: () => number }): void {
    const now = this.#clock.monotonic();
    const askedMs = failure.facts.retryAfterMs ?? 0;
    const isExtra = this.isExtra(state, policy);
    if (state.attempts === 0) state.failingSince = this.#clock.now();
    if (!isExtra) state.attempts++;
    const policyMs = isExtra ? Math.max(0, this.#plannedAt - now) : retryWaitMs(policy, state.attempts, random);
    state.waitMs = Math.max(policyMs, askedMs);
    state.waitSince = this.#clock.now();
    state.askedMs = askedMs;
    this.#dueAt = this.#plannedAt = now + state.waitMs;
    this.#notBefore = askedMs > 0 ? now + askedMs : 0;
  }

  /** Tries now instead of at the end of a back-off; the count of attempts goes on. Never before what the destination asked for. */
  forward(): void {
    this.#dueAt = Math.min(this.#dueAt, this.#notBefore);
  }

  /** Tries now, whatever the destination asked for: a person says so. */
  now(): void {
    this.#dueAt = this.#notBefore = this.#clock.monotonic();
  }

  /** When an attempt may be brought forward: at most one a second, never before `Retry-After`. */
  forwardInMs(): number {
    return Math.max(this.lastAttemptAt + FORWARD_MS, this.#notBefore) - this.#clock.monotonic();
  }

  /** How long the destination asked not to be tried; 0 where it did not, or somebody has said that it is to be tried all the same. */
  askedInMs(): number {
    return Math.max(0, this.#notBefore - this.#clock.monotonic());
  }

  dueInMs(): number {
    return Math.max(0, this.#dueAt - this.#clock.monotonic());
  }
}
