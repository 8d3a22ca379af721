import type { Clock } from '../../core/clock.ts';
import type { WriterLogger } from '../../core/define-writer.ts';
import { asError } from '../../core/errors.ts';
import { PRUNE_ROWS, type EventStore, type Retention } from './event-store.ts';

/** How often rows are looked at. */
const INTERVAL_MS = 60_000;

export interface RetentionParts {
  readonly store: EventStore;
  readonly retention: Retention;
  readonly clock: Clock;
  readonly logger: WriterLogger;
}

/**
 * Once a minute, beside the writes: deletes what is beyond the retention in short transactions, until `signal` is aborted. What was deleted is
 * a line in the log; so is what keeps it from being, once.
 */
export async function runRetention({ store, retention, clock, logger }: RetentionParts, signal: AbortSignal): Promise<void> {
  let isFailing = false;
  for (;;) {
    await clock.sleep(INTERVAL_MS, signal);
    if (signal.aborted) return;
    let deleted = 0;
    try {
      const bound = await store.bound(retention, signal);
      for (let last = PRUNE_ROWS; bound !== undefined && last > 0 && !signal.aborted; deleted += last)
        last = await store.prune(bound, signal);
      isFailing = false;
    } catch (error) {
      if (signal.aborted) return;
      if (!isFailing) logger.warn({ problem: asError(error).message }, 'rows beyond the retention could not be deleted, will try again');
      isFailing = true;
    }
    if (deleted > 0) logger.info({ deleted, table: store.what }, 'rows beyond the retention were deleted');
  }
}
