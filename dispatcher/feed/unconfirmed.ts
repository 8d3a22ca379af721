/**
 * What a writer without acknowledgements (a `resendWindow`) has sent and the feed has not settled: the changes of the row, in order, that
 * wait until so many events were sent after them, or until nothing was written for 10 s. When the connection breaks they are forgotten, and
 * what they covered is read from the journal and sent again.
 */
import type { Move } from './lane-moves.ts';

/** After the last write what the transport took counts as delivered. */
export const CONFIRM_MS = 10_000;

export class Unconfirmed {
  readonly #window: () => number;
  #moves: Move[] = [];
  #events = 0;
  #lastWriteAt = 0;

  /** `window`: the writer's resendWindow, which is known when it has been opened. */
  constructor(window: () => number) {
    this.#window = window;
  }

  get isEmpty(): boolean {
    return this.#moves.length === 0;
  }

  get dead(): number {
    return this.#moves.reduce((sum, move) => sum + move.dead, 0);
  }

  add(move: Move, now: number): void {
    this.#moves.push(move);
    this.#events += move.events;
    if (move.events > 0) this.#lastWriteAt = now;
  }

  /** The moves that may be settled now, from the first on. */
  settleable(now: number): readonly Move[] {
    if (now >= this.#lastWriteAt + CONFIRM_MS) return [...this.#moves];
    let after = this.#events;
    const count = this.#moves.findIndex((move) => (after -= move.events) < this.#window());
    return count < 0 ? [...this.#moves] : this.#moves.slice(0, count);
  }

  /** These were settled. */
  settled(moves: readonly Move[]): void {
    this.#moves = this.#moves.slice(moves.length);
    for (const move of moves) this.#events -= move.events;
  }

  /** Until all of it may be settled, if nothing more is written. */
  dueInMs(now: number): number {
    return this.isEmpty ? Infinity : Math.max(0, this.#lastWriteAt + CONFIRM_MS - now);
  }

  clear(): void {
    this.#moves = [];
    this.#events = 0;
  }
}
