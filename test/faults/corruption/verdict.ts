import type { Damage } from './damage.ts';

/** What one damage, or several at once, cost. */
export interface Verdict {
  /** Events that were confirmed before. */
  readonly events: number;
  /** Of those, neither kept or delivered nor named. */
  lost: number;
  repeated: number;
  discrepancy: number;
  /** What is false or not as promised, in words. */
  readonly wrong: string[];
  /** Named as lost. */
  named: number;
  /** In the cut-off tail of a log, of which nothing in the store can know. */
  beyond: number;
}

export function newVerdict(events: number): Verdict {
  return { events, lost: 0, repeated: 0, discrepancy: 0, wrong: [], named: 0, beyond: 0 };
}

/** A store that was closed, and a judge of what becomes of it. */
export interface Victim {
  /** How many bytes each of its files has. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Damages a copy, opens it, lets everything out of it, and judges. `scratch`: a directory of its own. */
  judge(damages: readonly Damage[], scratch: string): Promise<Verdict>;
}

/** Opening a store takes at most so long; a hang, not a measurement. */
export const OPEN_MS = 5000;

/** Rejects where it takes longer. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} must take ${ms} ms at most`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
