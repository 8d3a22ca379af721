/** Time as a parameter, so that tests need no patience. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. Shown, never used for order, windows, retries or retention. */
  now(): number;
  /** Milliseconds since some fixed moment of this process; never goes back. Durations are measured with it. */
  monotonic(): number;
  /** Resolves after `ms` of monotonic time, or as soon as `signal` is aborted (it never rejects; callers look at the signal). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. Its timers do not keep a process alive when `unref` is set, as a recorder wants. */
export function systemClock({ unref = false }: { unref?: boolean } = {}): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
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
        // A longer delay would overflow the timer and fire at once; callers look at the clock and sleep again.
        const timer = setTimeout(end, Math.min(Math.max(ms, 0), 2 ** 31 - 1));
        if (unref) timer.unref();
        signal?.addEventListener('abort', end, { once: true });
      }),
  };
}

/** What is left of a wait of `lengthMs` that began at wall time `startedAt`, in a later life: clamped, because wall clocks jump. */
export function restOfWait(lengthMs: number, startedAt: number, now: number): number {
  return Math.min(Math.max(startedAt + lengthMs - now, 0), lengthMs);
}

/** Chance as a parameter has this default: numbers in [0, 1). */
export const systemRandom = (): number => Math.random();
