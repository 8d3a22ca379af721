/**
 * Ctrl-C, under npm, comes twice: the terminal sends SIGINT to everyone, and npm sends it on. So what comes within a second of the first is
 * the same wish; only a later one is another.
 */
const SAME_WISH_MS = 1000;

export function onInterrupt(clock: { monotonic(): number }, { first, again }: { first: () => void; again: () => void }): void {
  let askedAt: number | undefined;
  const asked = (): void => {
    const now = clock.monotonic();
    if (askedAt === undefined) {
      askedAt = now;
      first();
    } else if (now - askedAt > SAME_WISH_MS) again();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, asked);
}
