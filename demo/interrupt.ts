/**
 * Ctrl-C, under npm, comes twice: the terminal sends SIGINT to everyone, and npm sends it on. So what comes within a second of the first is
 * the same wish; only a later one is another.
 */
import type { Clock } from '../core/clock.ts';

const SAME_WISH_MS = 1000;

/**
 * The result is awaited before the end: Node gives its signal handlers up while it exits, and an echo that npm sends only then would kill an
 * end that was clean. It resolves at once where nobody has asked, or no npm is there to echo; else with the echo, or a second after the wish.
 */
export function onInterrupt(
  clock: Pick<Clock, 'monotonic' | 'sleep'>,
  { first, again }: { first: () => void; again: () => void },
): { settled(): Promise<void> } {
  let askedAt: number | undefined;
  const echo = new AbortController();
  const asked = (): void => {
    const now = clock.monotonic();
    if (askedAt === undefined) {
      askedAt = now;
      first();
    } else if (now - askedAt > SAME_WISH_MS) again();
    else echo.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, asked);
  return {
    async settled() {
      if (askedAt === undefined || process.env.npm_lifecycle_event === undefined) return;
      await clock.sleep(askedAt + SAME_WISH_MS - clock.monotonic(), echo.signal);
    },
  };
}
