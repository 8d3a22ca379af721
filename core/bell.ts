import type { Clock } from '../core/clock.ts';

/** Wakes the one loop that waits for it. A ring while nobody waits is kept, any number of rings is one. */
export class Bell {
  #isRung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  /** Resolves at the next ring, or after `ms` of the clock. Never rejects. */
  async wait(clock: Clock, ms = Number.POSITIVE_INFINITY): Promise<void> {
    if (!this.#isRung && ms > 0) {
      const rung = new Promise<void>((resolve) => (this.#wake = resolve));
      if (Number.isFinite(ms)) {
        const timer = new AbortController();
        await Promise.race([rung, clock.sleep(ms, timer.signal)]);
        timer.abort();
      } else await rung;
      this.#wake = undefined;
    }
    this.#isRung = false;
  }
}
