/**
 * The books. Per writer and lane, in entries:
 *
 *   accepted + made = delivered + folded + filtered + dead + expired + dropped + pending
 *
 * The left side is counted at acceptance, `pending` is head − cursor, the rest is counted as the cursor passes: four sources, so that the
 * check can fail. All of it is read from the rows of one and the same commit.
 */
import type { Journal, Row } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { formatMs } from '../../core/time.ts';
import { LEDGER_ROW, zeroCounts, type Counts } from './counts.ts';
import { WINDOW_PREFIX } from '../acceptance/dedup.ts';
import { FEED_PREFIX, type Beginning, type FeedRow } from '../feed/feed-row.ts';
import { LOSS_PREFIX, type Loss } from './losses.ts';

/** The books as of one commit. Counts are entries, if nothing else is said. */
export interface Ledger {
  /** The journal's UUID, and the number of its last opening. */
  readonly journal: string;
  readonly epoch: number;
  /** Entries of agents, and the proxy's own. */
  readonly accepted: PerLane<number>;
  readonly made: PerLane<number>;
  /** Σ `added` over the entries so far; with `windows.held` and `unreported` it is Σ `accepted`. */
  readonly added: number;
  readonly unreported: number;
  /** Events that never became entries. */
  readonly rejected: number;
  readonly lost: number;
  /** Of what writers dropped: dead letters that people purged. */
  readonly purged: number;
  /** What writers were given up that were removed with all they had; none of `writers` has it. */
  readonly droppedByRemoved: number;
  /** When something was lost last, rejected events and purged ones aside: RFC 3339, by the proxy's wall clock. */
  readonly lostAt?: string;
  /** Of those, and of what writers dropped: not announced yet. */
  readonly unannounced: number;
  readonly notices: number;
  /** Dedup windows that have folded, and what they hold that no summary has reported. */
  readonly windows: { readonly open: number; readonly held: number };
  readonly writers: readonly WriterLedger[];
  /** True when every discrepancy is 0. */
  readonly isBalanced: boolean;
  /** Σ `accepted` − Σ `added` − held − unreported. */
  readonly dedupDiscrepancy: number;
}

/** The books of one writer. */
export interface WriterLedger {
  readonly name: string;
  readonly lanes: PerLane<LaneLedger>;
}

/** In entries, since this writer began. */
export interface LaneLedger {
  readonly accepted: number;
  readonly made: number;
  readonly delivered: number;
  readonly folded: number;
  readonly filtered: number;
  readonly dead: number;
  readonly expired: number;
  readonly dropped: number;
  readonly pending: number;
  /** accepted + made − all the others. */
  readonly discrepancy: number;
}

/** The books of a journal, as of its last commit. */
export async function readLedger(journal: Journal): Promise<Ledger> {
  const rows = await journal.snapshot(['m:', LEDGER_ROW, WINDOW_PREFIX, LOSS_PREFIX, FEED_PREFIX]);
  const counts = { ...zeroCounts(), ...(valueOf(rows, LEDGER_ROW) as Counts | undefined) };
  const bounds = boundsOf(rows);
  const windows = valuesOf(rows, WINDOW_PREFIX) as { held: number }[];
  const held = sum(windows.map((window) => window.held));
  const writers = rows
    .filter(({ key, value }) => key.startsWith(FEED_PREFIX) && value !== undefined)
    .map(({ key, value }) => writerLedger(key, value as FeedRow, counts, bounds));
  const dedupDiscrepancy = sum(LANES.map((lane) => counts.accepted[lane])) - counts.added - held - counts.unreported;
  return {
    journal: journal.id,
    epoch: journal.epochs.at(-1)!.number,
    accepted: counts.accepted,
    made: counts.made,
    added: counts.added,
    unreported: counts.unreported,
    rejected: counts.rejected,
    lost: counts.lost,
    purged: counts.purged,
    droppedByRemoved: counts.droppedByRemoved,
    ...(counts.lostAt !== undefined && { lostAt: formatMs(counts.lostAt) }),
    unannounced: sum((valuesOf(rows, LOSS_PREFIX) as Loss[]).map((loss) => loss.count)),
    notices: counts.notices,
    windows: { open: windows.length, held },
    writers,
    dedupDiscrepancy,
    isBalanced: dedupDiscrepancy === 0 && writers.every((writer) => LANES.every((lane) => writer.lanes[lane].discrepancy === 0)),
  };
}

/** Where a writer that is new begins: behind all that is there, or, `isFirst` (nothing was accepted yet), before it. What is accepted meanwhile is in neither or in both of the numbers. */
export async function beginningOf(journal: Journal, { isFirst = false } = {}): Promise<Beginning> {
  const epoch = journal.epochs.at(-1)!.number;
  if (isFirst) {
    const heads = perLane((lane) => journal.tail(lane));
    return { heads, counts: { ...zeroCounts(), made: perLane((lane) => heads[lane] - 1) }, epoch };
  }
  const rows = await journal.snapshot(['m:lanes', LEDGER_ROW]);
  const { urgent, normal } = boundsOf(rows);
  const counts = { ...zeroCounts(), ...(valueOf(rows, LEDGER_ROW) as Counts | undefined) };
  return { heads: { urgent: urgent.head, normal: normal.head }, counts, epoch };
}

function boundsOf(rows: readonly Row[]): PerLane<{ head: number }> {
  return (valueOf(rows, 'm:lanes') as PerLane<{ head: number }> | undefined) ?? perLane(() => ({ head: 1 }));
}

function writerLedger(key: string, feed: FeedRow, counts: Counts, bounds: PerLane<{ head: number }>): WriterLedger {
  const laneLedger = (lane: Lane): LaneLedger => {
    const { cursor, acceptedBefore, madeBefore, delivered, folded, filtered, dead, expired, dropped } = feed.lanes[lane];
    const accepted = counts.accepted[lane] - acceptedBefore;
    const made = counts.made[lane] - madeBefore;
    const pending = bounds[lane].head - cursor;
    const discrepancy = accepted + made - delivered - folded - filtered - dead - expired - dropped - pending;
    return { accepted, made, delivered, folded, filtered, dead, expired, dropped, pending, discrepancy };
  };
  return { name: key.slice(FEED_PREFIX.length), lanes: perLane(laneLedger) };
}

function valueOf(rows: readonly Row[], key: string): unknown {
  return rows.find((row) => row.key === key)?.value;
}

function valuesOf(rows: readonly Row[], prefix: string): unknown[] {
  return rows.filter(({ key, value }) => key.startsWith(prefix) && value !== undefined).map(({ value }) => value);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
