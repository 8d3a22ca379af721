import { Bell } from '../core/bell.ts';
import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import { describeEnding, type Child, type Ending } from './child.ts';

/** A process that could not be started again so often in a row will not do better the next time. */
const FAILURES_MAX = 3;

export interface KeepParts {
  readonly clock: Clock;
  /** Resolves with the process at work; rejects if it could not be started, or when `signal` is aborted. */
  readonly start: (signal: AbortSignal) => Promise<Child>;
  /** Before it is started again. */
  readonly pauseMs: number;
  /** How long it may take to end when it is asked to. */
  readonly stopMs: number;
  readonly onStart: (child: Child, starts: number) => void;
  /** It ended unasked. */
  readonly onEnd: (how: string) => void;
}

/** A process of the demo that is started again whenever it ends: what a service manager does at a site. */
export class KeptProcess {
  /** The process, while it is at work. */
  child: Child | undefined;
  /** How the last one ended. */
  ending: Ending | undefined;
  readonly #parts: KeepParts;
  readonly #bell = new Bell();

  constructor(parts: KeepParts) {
    this.#parts = parts;
  }

  /** Cuts a pause before a start short. */
  hurry(): void {
    this.#bell.ring();
  }

  /** Keeps it running until `signal` is aborted; then asks it to end and resolves when it has. Rejects if it cannot be started. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pauseMs, stopMs } = this.#parts;
    const asked = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    signal.addEventListener('abort', () => this.#bell.ring(), { once: true });
    let failures = 0;
    for (let starts = 1; !signal.aborted; starts++) {
      const problem = await this.#live(starts, asked, signal);
      if (signal.aborted) break;
      failures = problem ? failures + 1 : 0;
      if (problem && (starts === 1 || failures >= FAILURES_MAX)) throw problem;
      await this.#bell.wait(clock, pauseMs);
    }
    if (this.child) this.ending = await this.child.stop(clock, stopMs);
  }

  /** One life: resolves at its end, or when the end is asked for; with why it could not be started, if so. */
  async #live(starts: number, asked: Promise<void>, signal: AbortSignal): Promise<Error | undefined> {
    const { start, onStart, onEnd } = this.#parts;
    try {
      this.child = await start(signal);
    } catch (error) {
      return asError(error);
    }
    if (!signal.aborted) onStart(this.child, starts);
    const ending = await Promise.race([asked, this.child.ended]);
    if (!ending || signal.aborted) return undefined;
    this.child = undefined;
    this.ending = ending;
    onEnd(describeEnding(ending));
    return undefined;
  }
}
