/**
 * A row of the table: the event as the native JSON of the http writer has it, whole, and beside it the fields that people search by.
 *
 * Columns are for searching, the payload is the event. A text column cannot hold U+0000 in PostgreSQL, so it has ␀ (U+2400) in its place; the
 * payload has it escaped, as JSON does. Times have microseconds, UTC; what an event has beyond that is cut in the columns.
 */
import type { Delivery } from '../../core/writer.ts';
import { nativeJson } from '../native-json.ts';

/** A value of a column; null where the event has no such field. */
export type Cell = string | number | null;

interface Column {
  readonly name: string;
  /** The type that PostgreSQL is told of its values. */
  readonly type: 'text' | 'bigint' | 'timestamptz' | 'json';
  readonly of: (delivery: Delivery) => Cell;
}

/** All but `id` and `collector_timestamp`, which the database gives. */
export const COLUMNS: readonly Column[] = [
  { name: 'event_id', type: 'text', of: ({ event }) => cellText(event.id) },
  { name: 'revision', type: 'bigint', of: ({ event }) => event.revision },
  { name: 'type', type: 'text', of: ({ event }) => event.type },
  { name: 'severity', type: 'text', of: ({ event }) => event.severity },
  { name: 'lane', type: 'text', of: ({ delivery }) => delivery.lane },
  { name: 'source_site', type: 'text', of: ({ event }) => cellText(event.source.site) },
  { name: 'source_node', type: 'text', of: ({ event }) => cellText(event.source.node) },
  { name: 'source_component', type: 'text', of: ({ event }) => cellText(event.source.component) },
  { name: 'object_kind', type: 'text', of: ({ event }) => cellText(event.object?.kind) },
  { name: 'object_name', type: 'text', of: ({ event }) => cellText(event.object?.name) },
  { name: 'object_namespace', type: 'text', of: ({ event }) => cellText(event.object?.namespace) },
  { name: 'object_tenant', type: 'text', of: ({ event }) => cellText(event.object?.tenant) },
  { name: 'object_uri', type: 'text', of: ({ event }) => cellText(event.object?.uri) },
  { name: 'count', type: 'bigint', of: ({ event }) => event.count },
  { name: 'added', type: 'bigint', of: ({ event }) => event.added },
  { name: 'event_time', type: 'timestamptz', of: ({ event }) => cellTime(event.time) },
  { name: 'received_time', type: 'timestamptz', of: ({ event }) => cellTime(event.receivedTime) },
  { name: 'payload', type: 'json', of: nativeJson },
];

/** The first so many columns say which row it is. */
export const KEY_COLUMNS = 2;

/** Why a row that was inserted can be missing without an error. */
export function swallowedBy(table: string, eventId: unknown): string {
  return `the table ${table} must keep what is inserted, got no row of event ${String(eventId)}: a trigger, a rule or a policy of the table swallows rows`;
}

/** In the order of COLUMNS. */
export type EventRow = readonly Cell[];

export function eventRow(delivery: Delivery): EventRow {
  return COLUMNS.map(({ of }) => of(delivery));
}

/** A text as a column holds it. */
export function cellText(text: string | undefined): string | null {
  if (text === undefined) return null;
  return text.includes('\0') ? text.replaceAll('\0', '\u2400') : text;
}

/** RFC 3339 in UTC with six digits of a second, so that the order of texts is that of times. */
export function cellTime(time: string): string {
  return `${time.slice(0, 19)}.${time.slice(20, -1).padEnd(6, '0').slice(0, 6)}Z`;
}
