/**
 * The rows `delivery:<writer>/<lane>/<number>`: what a writer's own record must have, kept after the delivery series has ended. A delivery
 * series gives each delivery the next number, so a record shows a gap in its middle; where a series ended, and which of its numbers became
 * dead letters (perhaps replayed or purged since), only the proxy knows. A row is written once, when a series ends, or when
 * many of its numbers were set aside; the last 1,000 of a lane are kept.
 */
import type { Draft, Journal } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { FEED_PREFIX, type FeedLane, type FeedRow } from './feed-row.ts';
import { REPLAY_PREFIX, type ReplayRow } from '../dead-letters/replay-row.ts';

export const DELIVERY_PREFIX = 'delivery:';

/** Of a lane. */
const ROWS_MAX = 1000;
/** Ranges of dead letters that a feed's row holds, before they go into a row of their own. */
const RANGES_MAX = 100;

/** Why a series ended: another opening of the journal, another filter, the end of a replay, or what was given up there. */
export type SeriesEnd = 'epoch' | 'filter' | 'replay' | 'age' | 'budget' | 'corrupt';

/** Seqs first to last, both included. */
type Ranges = [first: number, last: number][];

interface DeliveryRow {
  readonly series: string;
  /** Numbers that became dead letters, as far as no row before names them. */
  readonly dead: Ranges;
  /** The last number, why there is none after it, and how many entries were given up there. */
  readonly end?: { readonly seq: number; readonly cause: SeriesEnd; readonly entries?: number };
}

/** A delivery series as its writer's record must have it. */
export interface DeliverySeries {
  readonly series: string;
  /** Its last number that is settled. What was sent beyond it may be in the record, too. */
  readonly seq: number;
  /** False while it goes on. */
  readonly hasEnded: boolean;
  readonly isReplay: boolean;
  /** Numbers that became dead letters: their destination never took them under this number. */
  readonly dead: Ranges;
  /** What was given up behind its last number. */
  readonly gaveUp?: { readonly cause: SeriesEnd; readonly entries: number };
}

export interface DeliveryRecord {
  readonly writer: string;
  /** UUID of the journal. */
  readonly journal: string;
  readonly lanes: PerLane<{
    /** In the order in which they ended; the one that goes on last. */
    readonly series: readonly DeliverySeries[];
    /** False where older ones are not known any more. */
    readonly isComplete: boolean;
  }>;
}

/** Whose numbers: a lane of a writer. */
export interface LaneOf {
  readonly writer: string;
  readonly lane: Lane;
}

/** In the commit that ends a feed's series. */
export function endSeries(draft: Draft, of: LaneOf, row: FeedLane, end: { cause: SeriesEnd; entries?: number }): void {
  const { series, seq } = row;
  const dead = row.setAside ?? [];
  delete row.setAside;
  if (seq === 0 && end.entries === undefined) return; // no number was given
  // Of a backlog that expires in many pieces, one after the other, one row tells.
  const before = seq === 0 && row.gaveUp?.cause === end.cause ? row.gaveUp : undefined;
  if (before && end.entries !== undefined) {
    before.entries += end.entries;
    put(draft, of, row.rows!, {
      series: before.series,
      dead: before.dead,
      end: { seq: before.seq, cause: before.cause, entries: before.entries },
    });
    return;
  }
  append(draft, of, row, { series, dead, end: { seq, ...end } });
  if (end.entries === undefined) delete row.gaveUp;
  else row.gaveUp = { series, seq, dead, cause: end.cause, entries: end.entries };
}

/** In the commit that sets the numbers first to last of the series aside. */
export function noteSetAside(draft: Draft, of: LaneOf, row: FeedLane, [first, last]: readonly [number, number]): void {
  const ranges = (row.setAside ??= []);
  addRange(ranges, first, last);
  if (ranges.length <= RANGES_MAX) return;
  append(draft, of, row, { series: row.series, dead: ranges });
  delete row.setAside;
}

/** In the commit that ends a replay. */
export function endReplay(draft: Draft, writer: string, feed: FeedRow, replay: ReplayRow): void {
  for (const lane of LANES) {
    const { series, seq, setAside: dead = [] } = replay.lanes[lane];
    if (seq > 0) append(draft, { writer, lane }, feed.lanes[lane], { series, dead, end: { seq, cause: 'replay' } });
  }
}

/** Joins what follows the last range; numbers only grow. */
export function addRange(ranges: Ranges, first: number, last: number): void {
  const before = ranges.at(-1);
  if (before?.[1] === first - 1) before[1] = last;
  else ranges.push([first, last]);
}

/** What the writer's record must have, as of one commit. Undefined where there never was such a writer. Rejects UNAVAILABLE. */
export async function readDeliveries(journal: Journal, writer: string): Promise<DeliveryRecord | undefined> {
  const [feedKey, replayKey, prefix] = [FEED_PREFIX + writer, REPLAY_PREFIX + writer, `${DELIVERY_PREFIX}${writer}/`];
  const rows = await journal.snapshot([feedKey, replayKey, prefix]);
  const feed = rows.find(({ key }) => key === feedKey)?.value as FeedRow | undefined;
  if (!feed) return undefined;
  const replay = rows.find(({ key }) => key === replayKey)?.value as ReplayRow | undefined;
  const lanes = perLane((lane) => {
    const own = rows.filter(({ key, value }) => key.startsWith(`${prefix}${lane}/`) && value !== undefined);
    const series = seriesOf(own.map(({ value }) => value as DeliveryRow));
    if (replay?.state === 'running') addOpen(series, replay.lanes[lane], true);
    addOpen(series, feed.lanes[lane], false);
    return { series: [...series.values()], isComplete: own.length === (feed.lanes[lane].rows ?? 0) };
  });
  return { writer, journal: journal.id, lanes };
}

/** Where the numbers of rows go on, when the feed's row is lost: behind those that are there. */
export async function lastRow(journal: Journal, { writer, lane }: LaneOf): Promise<number> {
  let last = 0;
  for await (const { key } of journal.rows(`${DELIVERY_PREFIX}${writer}/${lane}/`)) last = Number(key.slice(key.lastIndexOf('/') + 1));
  return last;
}

function seriesOf(rows: readonly DeliveryRow[]): Map<string, DeliverySeries> {
  const all = new Map<string, DeliverySeries>();
  for (const { series, dead, end } of rows) {
    const before = all.get(series);
    all.set(series, {
      series,
      seq: Math.max(end?.seq ?? 0, before?.seq ?? 0),
      hasEnded: end !== undefined,
      isReplay: end?.cause === 'replay',
      dead: [...(before?.dead ?? []), ...dead],
      ...(end?.entries !== undefined && { gaveUp: { cause: end.cause, entries: end.entries } }),
    });
  }
  return all;
}

function addOpen(all: Map<string, DeliverySeries>, open: Pick<FeedLane, 'series' | 'seq' | 'setAside'>, isReplay: boolean): void {
  const { series, seq, setAside = [] } = open;
  const dead = [...(all.get(series)?.dead ?? []), ...setAside];
  all.delete(series); // to the end of the order
  all.set(series, { series, seq, hasEnded: false, isReplay, dead });
}

function append(draft: Draft, of: LaneOf, row: FeedLane, value: DeliveryRow): void {
  row.rows = (row.rows ?? 0) + 1;
  put(draft, of, row.rows, value);
  if (row.rows > ROWS_MAX) draft.delete(keyOf(of, row.rows - ROWS_MAX));
  delete row.gaveUp;
}

function put(draft: Draft, of: LaneOf, number: number, value: DeliveryRow): void {
  draft.put(keyOf(of, number), () => value);
}

function keyOf({ writer, lane }: LaneOf, number: number): string {
  return `${DELIVERY_PREFIX}${writer}/${lane}/${String(number).padStart(16, '0')}`;
}
