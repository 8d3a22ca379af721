import type { Clock } from '../../core/clock.ts';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** How many turns of the event loop `settle` gives: a simulated disk takes one a write, a chain of commits takes several. */
const TURNS = 20;

/** Lets what can run without time run: promises, and everything that takes a turn of the event loop. */
export async function settle(turns = TURNS): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Gives turns of the event loop until `check` holds; fails, naming `what`, when it does not within `limitMs` of real time. */
export async function eventually(check: () => boolean, what: string, limitMs = 15_000): Promise<void> {
  const started = performance.now();
  while (!check()) {
    if (performance.now() - started > limitMs) throw new Error(`still waiting after ${limitMs} ms: ${what}`);
    await settle(1);
  }
}

/** A clock that moves only when it is told to. `wall` may be set, also back, and says nothing about monotonic time. */
export class FakeClock implements Clock {
  wall: number;
  #monotonic = 0;
  readonly #sleepers: Sleeper[] = [];

  constructor(wall = Date.UTC(2026, 10, 22, 8)) {
    this.wall = wall;
  }

  now(): number {
    return this.wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const wake = (): void => {
        this.#forget(sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper: Sleeper = { at: this.#monotonic + Math.max(ms, 0), wake };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  /** How many sleep now. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  /** How long until the next one wakes, in ms; `undefined` if nobody sleeps. */
  get nextMs(): number | undefined {
    const next = this.#next();
    return next && next.at - this.#monotonic;
  }

  /** Lets `ms` pass, on both clocks: wakes who sleeps until then, in order, and lets things run between and after. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    await settle();
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#moveTo(next.at);
      next.wake();
      await settle();
    }
    this.#moveTo(end);
    await settle();
  }

  #next(): Sleeper | undefined {
    let next = this.#sleepers[0];
    for (const sleeper of this.#sleepers) if (next === undefined || sleeper.at < next.at) next = sleeper;
    return next;
  }

  #moveTo(monotonic: number): void {
    this.wall += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }

  #forget(sleeper: Sleeper): void {
    const at = this.#sleepers.indexOf(sleeper);
    if (at >= 0) this.#sleepers.splice(at, 1);
  }
}
