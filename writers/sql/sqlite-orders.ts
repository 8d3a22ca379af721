/** What a SqliteStore and its thread say to each other. */
import type { EventRow } from './event-row.ts';
import type { EventFilter, RowPlace } from './event-store.ts';
import type { SqliteFailure } from './node-sqlite.ts';

export interface SqlitePlace {
  /** Absolute. */
  readonly file: string;
  readonly table: string;
  /** For reading: then the file must be there, and nothing in it is changed. */
  readonly readOnly: boolean;
  /** How long another process that writes is waited for. */
  readonly busyMs: number;
}

/** Times are as `cellTime` gives them. */
export type SqliteOrder =
  | { readonly do: 'insert'; readonly rows: readonly EventRow[]; readonly now: string }
  | { readonly do: 'bound'; readonly before: string | undefined; readonly rowsMax: number | undefined }
  | { readonly do: 'prune'; readonly bound: string }
  | { readonly do: 'page'; readonly filter: EventFilter; readonly limit: number; readonly after: RowPlace | undefined }
  | { readonly do: 'close' };

export type SqliteAnswer = { readonly result: unknown } | { readonly failure: SqliteFailure };
