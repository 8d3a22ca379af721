import type { Clock } from '../core/clock.ts';

export interface Patience {
  readonly clock: Clock;
  readonly limitMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly everyMs?: number;
}

/** What a wait may look at: anything but `undefined` and `false` ends it. */
export type Look<T> = () => T | undefined | false | Promise<T | undefined | false>;

/** Looks until there is something, and gives it. Rejects after `limitMs`, naming `what` it waited for, and when `signal` is aborted. */
export async function until<T>(what: string, look: Look<T>, { clock, limitMs, signal, everyMs = 50 }: Patience): Promise<T> {
  const end = clock.monotonic() + limitMs;
  for (;;) {
    if (signal?.aborted) throw new Error(`stopped while waiting for ${what}`);
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (clock.monotonic() >= end) throw new Error(`waited ${Math.round(limitMs / 100) / 10} s in vain for ${what}`);
    await clock.sleep(everyMs, signal);
  }
}
