import { findMember, listItems } from '../core/json-text.ts';
import { askProxyText, type Api } from './api.ts';
import { parseEventView, query, type EventFilter, type EventView } from './event-view.ts';

/** Which events are asked for. */
export interface EventQuery extends EventFilter {
  /** RFC 3339. */
  readonly since?: string;
  readonly until?: string;
  readonly before?: string;
}

/** A page of events, and where the next one begins. */
export interface FoundEvents {
  /** Newest first, each with the JSON that it was read from. */
  readonly found: readonly { readonly event: EventView; readonly text: string }[];
  /** Leads to older ones. */
  readonly next?: string;
  /** JSON of positions that are damaged. */
  readonly missing: readonly string[];
}

/** History: `limit` events, if there are so many. A page may hold fewer than were asked for, because of what the filter leaves out. */
export async function findEvents(api: Api, { before, ...filter }: EventQuery, limit: number): Promise<FoundEvents> {
  const found: { event: EventView; text: string }[] = [];
  const missing: string[] = [];
  let cursor = before;
  do {
    const page = await askProxyText(api, `/v1/events${query({ ...filter, limit: limit - found.length, before: cursor })}`);
    const events = findMember(page, 'events');
    found.push(...(events === '' ? [page] : listItems(events)).map((text) => ({ event: parseEventView(text), text })));
    missing.push(...listItems(findMember(page, 'missing')));
    const { next } = JSON.parse(page) as { next?: unknown };
    cursor = typeof next === 'string' ? next : undefined;
  } while (cursor !== undefined && found.length < limit);
  return { found, missing, ...(cursor !== undefined && { next: cursor }) };
}

/** The query of flags, which have more than that. */
export function queryOf({ type, minSeverity, node, component, lane, since, until, before }: EventQuery): EventQuery {
  const given = Object.entries({ type, minSeverity, node, component, lane, since, until, before }).filter(
    ([, value]) => value !== undefined,
  );
  return Object.fromEntries(given);
}
