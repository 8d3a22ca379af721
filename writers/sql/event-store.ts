import type { Lane } from '../../core/lane.ts';
import type { Severity } from '../../core/severity.ts';
import type { EventRow } from './event-row.ts';

/** What is beyond it is deleted. */
export interface Retention {
  readonly ageMs: number | undefined;
  readonly rowsMax: number | undefined;
}

/** Which events, as `fondaco event list` asks for them; each that is there must be met. */
export interface EventFilter {
  /** `*` for any characters. */
  readonly type?: string | undefined;
  readonly severities?: readonly Severity[] | undefined;
  readonly node?: string | undefined;
  readonly component?: string | undefined;
  readonly lane?: Lane | undefined;
  /** As `cellTime` gives it, by when the first proxy received it: since ≤ received < until. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

/** Where a row stands in the order of a list, which is that of a proxy: newest first by when it was received, the urgent lane before the other. */
export interface RowPlace {
  readonly receivedTime: string;
  readonly lane: string;
  /** Digits: a bigint. */
  readonly id: string;
}

export interface StoredEvent extends RowPlace {
  /** The JSON text, as it was written. */
  readonly payload: string;
}

/** A table in a database. Rejects with what the database says as a FondacoError. When `signal` is aborted, it stops waiting and rejects. */
export interface EventStore {
  /** Where it is, for messages. */
  readonly what: string;
  /**
   * One transaction: makes the table if need be, and inserts the rows that are not there yet, by event id and revision. Resolves when the
   * database has committed, durably. Transactions of whoever writes so to the table come one after the other: ids, `collector_timestamp`
   * and what a reader sees ascend together.
   */
  insert(rows: readonly EventRow[], signal: AbortSignal): Promise<void>;
  /** The id up to which rows are beyond the retention, digits; undefined if none are. */
  bound(retention: Retention, signal: AbortSignal): Promise<string | undefined>;
  /** Deletes the oldest rows up to that id, PRUNE_ROWS at most, in a short transaction of its own; how many. */
  prune(bound: string, signal: AbortSignal): Promise<number>;
  /** Newest first, only those behind `after`. Makes no table: rejects REFUSED where there is none. */
  page(filter: EventFilter, limit: number, after: RowPlace | undefined, signal: AbortSignal): Promise<readonly StoredEvent[]>;
  /** May be called more than once. */
  close(): Promise<void>;
}

/** What one prune deletes at most. */
export const PRUNE_ROWS = 1000;
