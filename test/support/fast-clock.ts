import type { Clock } from '../../core/clock.ts';

/** The machine's clock, running `factor` times as fast, for tests that have to live through real seconds of waiting. */
export function fastClock(factor: number): Clock {
  const start = Date.now();
  const monotonic = (): number => performance.now() * factor;
  const began = monotonic();
  return {
    now: () => Math.round(start + monotonic() - began),
    monotonic,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) {
          resolve();
          return;
        }
        const end = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', end);
          resolve();
        };
        const timer = setTimeout(end, ms / factor);
        signal?.addEventListener('abort', end, { once: true });
      }),
  };
}
