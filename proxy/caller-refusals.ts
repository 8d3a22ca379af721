import type { Clock } from '../core/clock.ts';

/** At most one word about callers that were turned away, however many there are, in this time, ms. */
const QUIET_MS = 60_000;

/** Told that callers were turned away: how many since the last time, where the last one came from, and why. */
export type OnRefused = (refused: number, from: string, why?: string) => void;

/** Counts callers that were turned away, and tells of them now and then. */
export class Refusals {
  readonly #clock: Clock;
  readonly #onRefused: OnRefused;
  #refused = 0;
  #quietUntil = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, onRefused: OnRefused) {
    this.#clock = clock;
    this.#onRefused = onRefused;
  }

  count(from: string, why?: string): void {
    const now = this.#clock.monotonic();
    this.#refused++;
    if (now < this.#quietUntil) return;
    this.#onRefused(this.#refused, from, why);
    this.#refused = 0;
    this.#quietUntil = now + QUIET_MS;
  }
}
