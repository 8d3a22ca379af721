/** The rows `outage:<writer>/<number>`: outages that are over, as their writers were told. The last 100 of each writer are kept. */
import type { Draft, Journal } from '../../core/journal.ts';
import type { PerLane } from '../../core/lane.ts';
import { formatMs } from '../../core/time.ts';
import type { BacklogTally } from './backlog-tally.ts';
import { FEED_PREFIX, type FeedRow } from './feed-row.ts';

export const OUTAGE_PREFIX = 'outage:';

/** Of a writer. */
const OUTAGES_MAX = 100;

/** The attributes of `fondaco.Outage`. Everything but `lost` and `uncounted` is in deliveries: what this writer's filter lets through. */
export interface KeptOutage extends BacklogTally {
  readonly writer: string;
  /** First attempt that failed, and first delivery after it: RFC 3339, by the proxy's wall clock. */
  readonly from: string;
  readonly to: string;
  /** By the monotonic clock; across restarts of the proxy clamped. */
  readonly durationMs: number;
  /** That failed. */
  readonly attempts: number;
  /** What went wrong last, and what the destination said. */
  readonly reason: string;
  readonly status?: string;
  /** Entries given up meanwhile: too old, over the budget of the backlog, damaged. Of the last two a `fondaco.Loss` says which. */
  readonly lost: { readonly expired: number; readonly dropped: number; readonly corrupt: number };
  /** Set aside as dead letters meanwhile. */
  readonly dead: number;
  /** Deliveries behind this event that had come by then. */
  readonly toCome: PerLane<number>;
  /** How fast batches go now, and how long it will take at this rate while new events come as they did; null: for ever. */
  readonly deliveriesPerSecond: number;
  readonly toComeMs: number | null;
  /** Entries that could not be looked at in time: they are in none of the counts. */
  readonly uncounted: number;
}

/** An outage under way, as far as a row tells. */
export type OpenOutageView = Pick<KeptOutage, 'writer' | 'from' | 'durationMs' | 'attempts' | 'reason' | 'lost' | 'dead'> & {
  readonly isOpen: true;
};

/** In the commit that ends it. */
export function keepOutage(draft: Draft, writer: string, row: FeedRow, outage: KeptOutage): void {
  row.outages = (row.outages ?? 0) + 1;
  draft.put(keyOf(writer, row.outages), () => outage);
  if (row.outages > OUTAGES_MAX) draft.delete(keyOf(writer, row.outages - OUTAGES_MAX));
}

/** Those under way, then those that are over, latest end first, `limit` at most in all; also of writers that the config no longer has. */
export async function readOutages(
  journal: Journal,
  { writer, limit, now }: { writer?: string | undefined; limit: number; now: number },
): Promise<{ outages: (KeptOutage | OpenOutageView)[]; more: number }> {
  const open: OpenOutageView[] = [];
  for await (const { key, value } of journal.rows(FEED_PREFIX)) {
    const name = key.slice(FEED_PREFIX.length);
    const view = value === undefined || (writer !== undefined && name !== writer) ? undefined : openView(name, value as FeedRow, now);
    if (view) open.push(view);
  }
  const over: KeptOutage[] = [];
  let total = open.length;
  for await (const { value } of journal.rows(OUTAGE_PREFIX + (writer === undefined ? '' : `${writer}/`))) {
    if (value === undefined) continue;
    total++;
    over.push(value as KeptOutage);
    if (over.length >= 2 * limit) over.sort(latestFirst).splice(limit);
  }
  const outages = [...open, ...over.sort(latestFirst)].slice(0, limit);
  return { outages, more: total - outages.length };
}

/** Where numbers go on when the feed's row is lost. */
export async function lastOutage(journal: Journal, writer: string): Promise<number> {
  let last = 0;
  for await (const { key } of journal.rows(`${OUTAGE_PREFIX}${writer}/`)) last = Number(key.slice(key.lastIndexOf('/') + 1));
  return last;
}

function latestFirst(a: KeptOutage, b: KeptOutage): number {
  return Date.parse(b.to) - Date.parse(a.to);
}

const DAY_MS = 86_400_000;

function openView(writer: string, { outage }: FeedRow, now: number): OpenOutageView | undefined {
  if (!outage) return undefined;
  const { from, lastedMs, at, attempts, reason, lost, dead } = outage;
  return {
    writer,
    isOpen: true,
    from: formatMs(from),
    durationMs: Math.round(lastedMs + Math.min(Math.max(now - at, 0), DAY_MS)),
    attempts,
    reason: reason.message.slice(0, 500),
    lost: { expired: lost.age, dropped: lost.budget, corrupt: lost.corrupt },
    dead,
  };
}

function keyOf(writer: string, number: number): string {
  return `${OUTAGE_PREFIX}${writer}/${String(number).padStart(16, '0')}`;
}
