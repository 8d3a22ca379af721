/** How a feed or a client session tries again. */
export type RetryPolicy =
  | { readonly policy: 'backoff'; readonly initialMs: number; readonly maxMs: number }
  | { readonly policy: 'constant'; readonly intervalMs: number; readonly attempts?: number }
  | { readonly policy: 'suspend'; readonly attempts: number; readonly initialMs: number; readonly maxMs: number }
  | { readonly policy: 'dead-letter'; readonly attempts: number; readonly initialMs: number; readonly maxMs: number };

/**
 * The wait before the next attempt, in milliseconds, after `attempts` failed ones (1 or more).
 * Back-off doubles from `initialMs` to `maxMs`, with full jitter (a random part of it, at least a tenth),
 * so that a hundred sites do not come back at once. `random` gives numbers in [0, 1).
 */
export function retryWaitMs(policy: RetryPolicy, attempts: number, random: () => number): number {
  if (policy.policy === 'constant') return policy.intervalMs;
  const ceilingMs = Math.min(policy.maxMs, policy.initialMs * 2 ** Math.min(attempts - 1, 40));
  return Math.round(ceilingMs * (0.1 + 0.9 * random()));
}

/** True when the policy has no further attempt after `attempts` failed ones. */
export function isExhausted(policy: RetryPolicy, attempts: number): boolean {
  return attemptsOf(policy) <= attempts;
}

/** How many attempts the policy has; Infinity for one without an end. */
export function attemptsOf(policy: RetryPolicy): number {
  return policy.policy === 'backoff' ? Infinity : (policy.attempts ?? Infinity);
}
