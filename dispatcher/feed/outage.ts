/**
 * An outage of a writer: from the first attempt that failed until something is delivered again, through restarts, refusals, pauses and
 * suspensions. What it is made of is in the feed's row; how long it lasts is measured on the monotonic clock and, between two lives, by the
 * wall clock, clamped.
 *
 * The commit of the first delivery after an outage of more than a minute holds the event that tells this writer, and the row that keeps it for
 * people: exactly once, wherever a kill falls.
 */
import type { Clock } from '../../core/clock.ts';
import type { JsonObject } from '../../core/event.ts';
import type { Draft } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { formatMs } from '../../core/time.ts';
import { OWN_TYPES } from '../own-events.ts';
import { BacklogCount } from './backlog-count.ts';
import type { BacklogTally } from './backlog-tally.ts';
import type { FeedError, FeedRow } from './feed-row.ts';
import type { Feed } from './feed.ts';
import { keepOutage, type KeptOutage } from './outage-rows.ts';

/** In the feed's row, while it lasts. */
export interface OpenOutage {
  /** When the first attempt failed: wall clock, ms, to be shown. */
  readonly from: number;
  /** How long it lasted until `at`, a wall clock in ms. */
  lastedMs: number;
  at: number;
  /** Attempts that failed. */
  attempts: number;
  /** What was not settled when it began. */
  readonly start: PerLane<number>;
  /** Entries given up since, as they are announced: by age, by budget, because they are damaged. */
  lost: { age: number; budget: number; corrupt: number };
  /** Events set aside as dead letters since. */
  dead: number;
  /** What went wrong last. */
  reason: FeedError;
}

/** A shorter one is not told. */
export const OUTAGE_MS = 60_000;
/** Of a downtime of the proxy, what counts at most. */
const DOWNTIME_MS = 86_400_000;
/** It may take so long from the look at what waits to the commit. */
const PREPARE_MS = 10_000;

interface Counted extends BacklogTally {
  readonly uncounted: number;
}

/** What is known just before the commit of the first delivery. */
interface Prepared {
  readonly from: number;
  /** Deliveries that are still to come. */
  readonly toCome: PerLane<number>;
  /** The lane that does not commit, and what it had settled then. */
  readonly other: Lane;
  readonly settled: number;
  /** What was counted, and entries that were not counted in time, as of one moment: the count goes on. */
  readonly counted: Counted;
  /** How long a batch takes now, ms. */
  readonly writeMs: number;
}

export class Outage {
  readonly #feed: Feed;
  readonly #clock: Clock;
  readonly #count: BacklogCount;
  /** Of the one under way: its `from`, and when it would have begun on the monotonic clock. */
  #measured: { readonly from: number; readonly since: number } | undefined;
  #prepared: Prepared | undefined;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#clock = feed.clock;
    this.#count = new BacklogCount(feed);
  }

  /** The feed's row was loaded. */
  async load(): Promise<void> {
    const { outage } = this.#feed.row;
    if (outage && outage.from !== this.#measured?.from) {
      const awayMs = Math.min(Math.max(this.#clock.now() - outage.at, 0), DOWNTIME_MS);
      this.#measured = { from: outage.from, since: this.#clock.monotonic() - outage.lastedMs - awayMs };
    }
    await this.#count.load(outage);
  }

  /** Something came, or the feed is being stopped. */
  ring(): void {
    this.#count.ring();
  }

  /** Counts what waits, in the background, until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#count.run(() => this.#feed.row.outage, signal);
  }

  /** In the commit of an attempt that failed. */
  failed(row: FeedRow, reason: FeedError): void {
    const now = this.#clock.now();
    if (!row.outage) {
      const start = perLane((lane) => row.lanes[lane].cursor);
      row.outage = { from: now, lastedMs: 0, at: now, attempts: 0, start, lost: { age: 0, budget: 0, corrupt: 0 }, dead: 0, reason };
      this.#measured = { from: now, since: this.#clock.monotonic() };
      this.#count.begin(row.outage);
    }
    Object.assign(row.outage, { lastedMs: this.#lastedMs, at: now, reason });
    row.outage.attempts++;
  }

  /**
   * Before the commit of a delivery up to `to`, which took `writeMs`: counts what came last, for a bounded time, where an outage is to be told.
   * Never rejects for the journal.
   */
  async prepare(lane: Lane, to: number, writeMs: number): Promise<void> {
    const { outage } = this.#feed.row;
    if (!outage || this.#lastedMs <= OUTAGE_MS - PREPARE_MS) return;
    await this.#count.catchUp();
    const counted = this.#counted();
    const other = lane === 'urgent' ? 'normal' : 'urgent';
    const { cursor, ...row } = this.#feed.row.lanes[other];
    const [own, others] = [await this.#count.waiting(lane, to), await this.#count.waiting(other, cursor)];
    const toCome = lane === 'urgent' ? { urgent: own, normal: others } : { urgent: others, normal: own };
    this.#prepared = { from: outage.from, toCome, other, settled: settledOf(row), counted, writeMs };
  }

  /** In the commit of a delivery: the outage under way, if any, is over, and told where it was long enough. */
  succeeded(draft: Draft, row: FeedRow): void {
    const { outage } = row;
    if (!outage) return;
    delete row.outage;
    this.#count.end(draft);
    const prepared = this.#prepared?.from === outage.from ? this.#prepared : undefined;
    const lastedMs = this.#lastedMs;
    if (lastedMs <= OUTAGE_MS) return;
    const { name } = this.#feed.settings;
    const kept = this.#kept(outage, lastedMs, prepared);
    keepOutage(draft, name, row, kept);
    this.#feed.dispatcher.record(draft, 'urgent', {
      type: OWN_TYPES.outage,
      severity: kept.lost.expired + kept.lost.dropped + kept.lost.corrupt > 0 ? 'error' : 'warn',
      message: messageOf(kept),
      attributes: kept as unknown as JsonObject,
    });
  }

  get #lastedMs(): number {
    return this.#measured ? Math.max(0, this.#clock.monotonic() - this.#measured.since) : 0;
  }

  #kept(outage: OpenOutage, lastedMs: number, prepared: Prepared | undefined): KeptOutage {
    const { name, batch } = this.#feed.settings;
    const { reason, lost, dead, attempts } = outage;
    const counted = prepared?.counted ?? this.#counted();
    const toCome = perLane((lane) => this.#toCome(lane, prepared));
    const total = LANES.reduce((sum, lane) => sum + toCome[lane], 0);
    const rate = rateOf({ total, arrived: counted.deliveries, lastedMs, writeMs: prepared?.writeMs ?? 0, eventsMax: batch.eventsMax });
    return {
      writer: name,
      from: formatMs(outage.from),
      to: formatMs(this.#clock.now()),
      durationMs: Math.round(lastedMs),
      attempts,
      reason: reason.message.slice(0, 500),
      ...(reason.status !== undefined && { status: reason.status }),
      ...counted,
      lost: { expired: lost.age, dropped: lost.budget, corrupt: lost.corrupt },
      dead,
      toCome,
      ...rate,
    };
  }

  #counted(): Counted {
    return { ...this.#count.tally(), uncounted: this.#count.behind() };
  }

  /** Corrected by what the other lane settled since it was counted. */
  #toCome(lane: Lane, prepared: Prepared | undefined): number {
    if (!prepared) return 0;
    const since = lane === prepared.other ? settledOf(this.#feed.row.lanes[lane]) - prepared.settled : 0;
    return Math.max(0, prepared.toCome[lane] - since);
  }
}

function settledOf({ delivered, dead }: { delivered: number; dead: number }): number {
  return delivered + dead;
}

/**
 * How long the backlog will take: batches of the size that is set, each as long as the one that just went through, while new events come as
 * they came during the outage.
 */
function rateOf(facts: { total: number; arrived: number; lastedMs: number; writeMs: number; eventsMax: number }): {
  deliveriesPerSecond: number;
  toComeMs: number | null;
} {
  const { total, arrived, lastedMs, eventsMax } = facts;
  const writeMs = Math.max(facts.writeMs, 1);
  const perMs = eventsMax / writeMs;
  const rest = perMs - arrived / lastedMs;
  const perSecond = Number((perMs * 1000).toPrecision(3));
  return { deliveriesPerSecond: perSecond, toComeMs: total === 0 ? 0 : rest > 0 ? Math.ceil(total / rest) : null };
}

function messageOf({ writer, durationMs, deliveries, folded, lost, dead, toCome }: KeptOutage): string {
  const gone = lost.expired + lost.dropped + lost.corrupt;
  const parts = [
    `${deliveries} deliveries waited`,
    ...(folded > 0 ? [`${folded} events were folded`] : []),
    ...(gone > 0 ? [`${gone} entries were lost`] : []),
    ...(dead > 0 ? [`${dead} are dead letters`] : []),
    `${toCome.urgent + toCome.normal} are to come`,
  ];
  return `writer ${writer} was away for ${Math.round(durationMs / 1000)} s: ${parts.join(', ')}`;
}
