/**
 * The sites below this proxy, by the heartbeats that their proxies forward: the rows `site:<name>`. A site that misses three is silent; the
 * proxy right above it says so, and says when it is back, each once, whatever restarts lie between.
 *
 * Silence is measured on the monotonic clock. After a restart every site gets its whole time anew: it could not be heard meanwhile.
 */
import type { Clock } from '../core/clock.ts';
import type { DecodedEvent } from '../core/event-codec.ts';
import type { JsonObject } from '../core/event.ts';
import type { Draft, Row } from '../core/journal.ts';
import { formatMs } from '../core/time.ts';
import { OWN_TYPES, type OwnEvent } from './own-events.ts';

export const SITE_PREFIX = 'site:';

/** Sites that are kept; of more, nothing is known. */
const SITES_MAX = 10_000;
/** Heartbeats that have to be missed, and a half of one for the way. */
const MISSED = 3.5;
const INTERVAL_MS = { min: 100, max: 86_400_000, default: 60_000 } as const;

/** What a proxy says of itself: the attributes of `fondaco.Heartbeat`. Counts are of its ledger, as of now. */
export interface Heartbeat {
  readonly version: string;
  readonly node: string;
  /** When the next one comes. */
  readonly intervalMs: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly lost: number;
  /** Entries that wait for a writer, the one furthest behind, and the age of the oldest. */
  readonly pending: number;
  readonly oldestAgeMs: number;
}

interface SiteRow {
  /** Who brings its events: the proxies between it and here, itself first. */
  via: readonly string[];
  /** Wall clocks, ms: here, when it was heard last; there, by its own. */
  heardAt: number;
  saidAt: string;
  /** Since when it is silent, wall clock in ms. */
  silentSince?: number;
  heartbeat: Heartbeat;
}

/** A site as it is shown. Times are RFC 3339. */
export interface SiteStatus extends Omit<Heartbeat, 'intervalMs'> {
  readonly site: string;
  readonly state: 'alive' | 'silent';
  readonly via: readonly string[];
  readonly lastHeartbeat: string;
  readonly sinceHeartbeatMs: number;
  readonly silentSince?: string;
}

export interface SitesParts {
  readonly clock: Clock;
  readonly record: (draft: Draft, event: OwnEvent) => void;
}

export class Sites {
  readonly #parts: SitesParts;
  #rows = new Map<string, SiteRow>();
  /** When a site is silent, on the monotonic clock. */
  readonly #due = new Map<string, number>();
  /** No site is silent before: asked for every batch. */
  #nextDue = Infinity;

  constructor(parts: SitesParts) {
    this.#parts = parts;
  }

  /** Takes up what is stored. */
  load(rows: readonly Row[]): void {
    const now = this.#parts.clock.monotonic();
    this.#rows = new Map();
    for (const { key, value } of rows) {
      if (!key.startsWith(SITE_PREFIX) || value === undefined) continue;
      const [site, row] = [key.slice(SITE_PREFIX.length), value as SiteRow];
      this.#rows.set(site, row);
      if (row.silentSince !== undefined) this.#due.delete(site);
      else if (!this.#due.has(site)) this.#due.set(site, now + MISSED * row.heartbeat.intervalMs);
    }
    for (const site of this.#due.keys()) if (!this.#rows.has(site)) this.#due.delete(site);
    this.#nextDue = Math.min(Infinity, ...this.#due.values());
  }

  /** A heartbeat came, over these sites. */
  beat(draft: Draft, event: DecodedEvent, via: readonly string[]): void {
    const { clock } = this.#parts;
    const { site } = event.source;
    const before = this.#rows.get(site);
    if (!before && this.#rows.size >= SITES_MAX) return;
    const heartbeat = heartbeatOf(event.attributes, event.source.node);
    const row: SiteRow = { via, heardAt: clock.now(), saidAt: event.time, heartbeat };
    this.#rows.set(site, row);
    this.#heard(site, heartbeat);
    this.#put(draft, site);
    if (before?.silentSince === undefined || via.length > 1) return;
    const silentMs = Math.max(0, row.heardAt - before.silentSince);
    const attributes = { site, silentSince: formatMs(before.silentSince), silentMs };
    this.#parts.record(draft, { type: OWN_TYPES.siteBack, severity: 'info', message: `site ${site} is back`, attributes });
  }

  /** Something else came over these sites: the last one is there. */
  seen(via: readonly string[]): void {
    const site = via.at(-1) ?? '';
    const row = this.#rows.get(site);
    if (row && row.silentSince === undefined) this.#heard(site, row.heartbeat);
  }

  /** When `closeDue` may have something to do at the earliest, on the monotonic clock. */
  nextDue(): number {
    return this.#nextDue;
  }

  /** Notes the sites that are silent by now. */
  closeDue(draft: Draft, now: number): void {
    if (now < this.#nextDue) return;
    this.#nextDue = Infinity;
    for (const [site, due] of this.#due) {
      if (due > now) {
        this.#nextDue = Math.min(this.#nextDue, due);
        continue;
      }
      this.#due.delete(site);
      const row = this.#rows.get(site)!;
      row.silentSince = this.#parts.clock.now();
      this.#put(draft, site);
      if (row.via.length > 1) continue; // the proxy right above it tells
      const attributes = { site, lastHeartbeat: formatMs(row.heardAt), intervalMs: row.heartbeat.intervalMs };
      const message = `site ${site} is silent: no heartbeat since ${formatMs(row.heardAt)}`;
      this.#parts.record(draft, { type: OWN_TYPES.siteSilent, severity: 'error', message, attributes });
    }
  }

  /** Forgets a site that is no more; it comes back with its next heartbeat. False: there is none of that name. */
  forget(draft: Draft, site: string): boolean {
    this.#due.delete(site);
    if (!this.#rows.delete(site)) return false;
    draft.delete(SITE_PREFIX + site);
    return true;
  }

  /** By name. */
  status(): SiteStatus[] {
    const now = this.#parts.clock.now();
    return [...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([site, row]) => statusOf(site, row, now));
  }

  #heard(site: string, { intervalMs }: Heartbeat): void {
    const due = this.#parts.clock.monotonic() + MISSED * intervalMs;
    this.#due.set(site, due);
    this.#nextDue = Math.min(this.#nextDue, due);
  }

  #put(draft: Draft, site: string): void {
    draft.put(SITE_PREFIX + site, () => this.#rows.get(site));
  }
}

function statusOf(site: string, { via, heardAt, silentSince, heartbeat }: SiteRow, now: number): SiteStatus {
  const { intervalMs: _interval, ...rest } = heartbeat;
  return {
    site,
    state: silentSince === undefined ? 'alive' : 'silent',
    via,
    lastHeartbeat: formatMs(heardAt),
    sinceHeartbeatMs: Math.max(0, now - heardAt),
    ...(silentSince !== undefined && { silentSince: formatMs(silentSince) }),
    ...rest,
  };
}

/** As far as another version, or anybody, has said it. */
function heartbeatOf(attributes: JsonObject, node: string): Heartbeat {
  const number = (name: keyof Heartbeat): number => {
    const value = attributes[name];
    return typeof value === 'number' && value >= 0 ? value : 0;
  };
  const { version } = attributes;
  const intervalMs = number('intervalMs') || INTERVAL_MS.default;
  return {
    version: typeof version === 'string' ? version.slice(0, 100) : '',
    node,
    intervalMs: Math.min(Math.max(intervalMs, INTERVAL_MS.min), INTERVAL_MS.max),
    accepted: number('accepted'),
    rejected: number('rejected'),
    lost: number('lost'),
    pending: number('pending'),
    oldestAgeMs: number('oldestAgeMs'),
  };
}
