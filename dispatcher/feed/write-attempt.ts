import type { Clock } from '../../core/clock.ts';
import { FondacoError } from '../../core/errors.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { asFailure } from './write-failure.ts';

/** A write in flight when the feed is stopped may take so long to end. */
const GRACE_MS = 5000;
/** A write that was aborted may take so long to end; then it is left to itself, and what it was to write comes again. */
const UNHEEDED_MS = 10_000;
/** So many of them may go on beside each other. */
const UNHEEDED_MAX = 4;

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

/** Of one writer and lane: how many of its writes go on although they were aborted. */
export interface Unheeded {
  count: number;
}

/**
 * One write, within `timeoutMs`. Resolves with what went wrong, as an error with a code, or `undefined`; never rejects, and never waits for
 * longer than some seconds for a writer that does not heed its abort.
 */
export async function attemptWrite(
  { writer, clock, timeoutMs, unheeded }: { writer: Writer; clock: Clock; timeoutMs: number; unheeded: Unheeded },
  deliveries: readonly Delivery[],
  signal: AbortSignal,
): Promise<FondacoError | undefined> {
  if (unheeded.count >= UNHEEDED_MAX) {
    return new FondacoError('UNAVAILABLE', `the writer must end the ${UNHEEDED_MAX} writes that were aborted, they go on`);
  }
  const over = new AbortController();
  const abort = new AbortController();
  const watch = async (ms: number, reason: string): Promise<void> => {
    await clock.sleep(ms, over.signal);
    if (!over.signal.aborted) abort.abort(new FondacoError('UNAVAILABLE', reason));
  };
  const stop = (): void => void watch(GRACE_MS, 'the feed is being stopped');
  signal.addEventListener('abort', stop, { once: true });
  void watch(timeoutMs, `the destination must answer within ${timeoutMs} ms, got nothing`);
  // The writer gets a list of its own: what it does to it must not change what is counted.
  const writing = (async (): Promise<void> => writer.write([...deliveries], abort.signal))().then(
    () => undefined,
    (error: unknown) => (abort.signal.aborted ? (abort.signal.reason as FondacoError) : asFailure(error)),
  );
  try {
    return await Promise.race([writing, leftAlone(abort.signal, over.signal, clock)]);
  } finally {
    if (abort.signal.aborted) {
      unheeded.count++;
      void writing.then(() => unheeded.count--);
    }
    over.abort();
    signal.removeEventListener('abort', stop);
  }
}

/** Resolves some seconds after `aborted`, with why. */
async function leftAlone(aborted: AbortSignal, over: AbortSignal, clock: Clock): Promise<FondacoError> {
  await new Promise((resolve) => aborted.addEventListener('abort', resolve, { once: true }));
  await clock.sleep(UNHEEDED_MS, over);
  const { text } = aborted.reason as FondacoError;
  return new FondacoError('UNAVAILABLE', `${text}; and the writer goes on although it was aborted`, { cause: aborted.reason });
}
