import type { Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Delivery, Writer } from '../core/writer.ts';

/** A write in flight when the feed is stopped may take so long to end. */
const GRACE_MS = 5000;

/** At most one write at a time, which can be let go. */
export class InFlight {
  #stop: AbortController | undefined;

  /** Runs `write` with a signal that is aborted with `signal`, or by `letGo`. */
  async run<T>(write: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    this.#stop = stop;
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await write(stop.signal);
    } finally {
      signal.removeEventListener('abort', abort);
      this.#stop = undefined;
    }
  }

  /** Ends the write that is in flight, if any: it gets some seconds for that. */
  letGo(): void {
    this.#stop?.abort();
  }
}

/** One write, within `timeoutMs`. Resolves with what went wrong, as an error with a code, or `undefined`; never rejects. */
export async function attemptWrite(
  { writer, clock, timeoutMs }: { writer: Writer; clock: Clock; timeoutMs: number },
  deliveries: readonly Delivery[],
  signal: AbortSignal,
): Promise<FondacoError | undefined> {
  const over = new AbortController();
  const abort = new AbortController();
  const watch = async (ms: number, reason: string): Promise<void> => {
    await clock.sleep(ms, over.signal);
    if (!over.signal.aborted) abort.abort(new FondacoError('UNAVAILABLE', reason));
  };
  const stop = (): void => void watch(GRACE_MS, 'the feed is being stopped');
  signal.addEventListener('abort', stop, { once: true });
  void watch(timeoutMs, `the destination must answer within ${timeoutMs} ms, got nothing`);
  try {
    await writer.write(deliveries, abort.signal);
    return undefined;
  } catch (error) {
    if (abort.signal.aborted) return abort.signal.reason as FondacoError;
    return isFondacoError(error) ? error : new FondacoError('UNAVAILABLE', asError(error).message, { cause: error });
  } finally {
    over.abort();
    signal.removeEventListener('abort', stop);
  }
}
