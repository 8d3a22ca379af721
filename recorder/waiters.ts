import type { Rejection } from '../core/batch.ts';
import type { Clock } from '../core/clock.ts';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import type { SeriesStore } from './series-store.ts';

/** Where an event is durable: in a proxy's journal, or in the spool of this machine. */
export type DurableLevel = 'proxy' | 'spool';

/** How long somebody waits. */
export interface DurableWait {
  readonly clock: Clock;
  readonly limitMs: number;
  readonly signal?: AbortSignal;
  /** What went wrong last, for the message. */
  readonly lastError: () => FondacoError | undefined;
}

/** Everything of a store up to `seq`. */
interface Mark {
  readonly store: SeriesStore;
  readonly seq: number;
}

interface Waiter {
  readonly seq: number;
  readonly resolve: (level: DurableLevel) => void;
  readonly reject: (error: FondacoError) => void;
}

/** Who waits for events of the own series to become durable. */
export class Waiters {
  readonly #waiting = new Map<SeriesStore, Set<Waiter>>();

  /** Resolves when the event is durable. Rejects FULL if it was lost, REJECTED if the proxy refused it, UNAVAILABLE after the wait or at its signal. */
  recorded(event: Mark, wait: DurableWait): Promise<DurableLevel> {
    return limited(wait, (signal) => this.#durable(event, signal));
  }

  /** Resolves when everything up to the marks is durable, or known to be lost or refused. Rejects UNAVAILABLE after the wait or at its signal. */
  async flushed(marks: readonly Mark[], wait: DurableWait): Promise<void> {
    const settle = (mark: Mark, signal: AbortSignal): Promise<unknown> =>
      this.#durable(mark, signal).catch((error: unknown) => {
        if (isFondacoError(error, 'UNAVAILABLE')) throw error;
      });
    if (marks.length > 0) await limited(wait, (signal) => Promise.all(marks.map((mark) => settle(mark, signal))));
  }

  #durable({ store, seq }: Mark, signal: AbortSignal): Promise<DurableLevel> {
    return new Promise((resolve, reject) => {
      let waiting = this.#waiting.get(store);
      if (!waiting) this.#waiting.set(store, (waiting = new Set()));
      const waiter: Waiter = {
        seq,
        resolve: (level) => end(() => resolve(level)),
        reject: (error) => end(() => reject(error)),
      };
      const aborted = (): void => end(() => reject(signal.reason));
      const end = (settle: () => void): void => {
        waiting.delete(waiter);
        signal.removeEventListener('abort', aborted);
        settle();
      };
      signal.addEventListener('abort', aborted, { once: true });
      waiting.add(waiter);
      if (signal.aborted) aborted();
      else this.changed(store);
    });
  }

  rejected(store: SeriesStore, rejections: readonly Rejection[]): void {
    const waiting = this.#waiting.get(store);
    if (!waiting || waiting.size === 0) return;
    const reasons = new Map(rejections.map(({ seq, reason }) => [seq, reason]));
    for (const waiter of waiting) {
      const reason = reasons.get(waiter.seq);
      if (reason !== undefined) waiter.reject(new FondacoError('REJECTED', reason));
    }
  }

  /** Looks again at who waits. */
  changed(store: SeriesStore): void {
    const waiting = this.#waiting.get(store);
    if (!waiting || waiting.size === 0) return;
    const { durable } = store;
    const { settled } = store.window;
    for (const waiter of waiting) {
      if (waiter.seq > settled && store.lost.has(waiter.seq)) {
        waiter.reject(new FondacoError('FULL', 'memory and spool must have room, got none: the event was dropped, and its loss declared'));
      } else if (waiter.seq <= settled) waiter.resolve('proxy');
      else if (waiter.seq <= durable) waiter.resolve('spool');
    }
  }
}

/** Runs `action` with a signal that is aborted, with UNAVAILABLE, after the wait or together with its own. */
async function limited<T>({ clock, limitMs, signal, lastError }: DurableWait, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const give = (up: string, cause: unknown): void => {
    const last = lastError();
    const text = `events must be durable within ${limitMs / 1000} s, got ${up}${last ? `; last error: ${last.text}` : ''}`;
    stop.abort(new FondacoError('UNAVAILABLE', text, { cause: cause ?? last }));
  };
  const aborted = (): void => give('an abort', signal?.reason);
  signal?.addEventListener('abort', aborted, { once: true });
  if (signal?.aborted) aborted();
  const done = new AbortController();
  void clock.sleep(limitMs, done.signal).then(() => {
    if (!done.signal.aborted) give('no answer', undefined);
  });
  try {
    return await action(stop.signal);
  } finally {
    done.abort();
    signal?.removeEventListener('abort', aborted);
  }
}
