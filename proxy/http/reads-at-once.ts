import { HttpError } from './http-error.ts';

/** Lets at most `max` reads of the journal run at a time, each of which takes some MiB; one more is answered 503. */
export function readsAtOnce(max: number): <T>(read: () => Promise<T>) => Promise<T> {
  let reads = 0;
  return async (read) => {
    if (reads >= max)
      throw new HttpError(503, `at most ${max} requests at a time may read the journal, got one more`, { retryAfterMs: 1000 });
    reads++;
    try {
      return await read();
    } finally {
      reads--;
    }
  };
}
