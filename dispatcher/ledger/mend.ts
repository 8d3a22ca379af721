/**
 * Puts the books right again where rows of a damaged store are lost, or older ones came back: positions are dense, so the heads say how many
 * entries there were, whatever the row of the counts says. What cannot be known any more is counted as lost, and everything is told.
 */
import type { Journal, Row } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { formatMs } from '../../core/time.ts';
import { uuidV7 } from '../../core/uuid.ts';
import { LEDGER_ROW, zeroCounts, type Counts } from './counts.ts';
import { DEAD_PREFIX, type DeadLetter } from '../dead-letters/dead-letters.ts';
import { WINDOW_PREFIX } from '../acceptance/dedup.ts';
import { lastRow } from '../feed/delivery-series.ts';
import { lastOutage } from '../feed/outage-rows.ts';
import { FEED_PREFIX, newFeedRow, type FeedRow } from '../feed/feed-row.ts';
import type { Filter } from '../feed/filter.ts';
import { LOSS_PREFIX } from './losses.ts';
import { OWN_TYPES, type OwnEvent } from '../own-events.ts';
import { SITE_PREFIX } from '../sites.ts';

export interface Mended {
  readonly counts: Counts;
  /** Rows that are given up. */
  readonly deletions: readonly string[];
  /** Positions below are in use, whatever is there. */
  readonly heads: PerLane<number>;
  /** Recurrences whose summary can no longer be made, beside those known before. */
  readonly unreported: number;
  /** In words; empty where nothing had to be done. */
  readonly problems: readonly string[];
}

/** The end of a journal that was cut off, as far as it is known. */
export interface CutOff {
  /** Entries behind the heads that are not there. */
  readonly lost: PerLane<number>;
  /** In words. */
  readonly problems: readonly string[];
}

const NOTHING_CUT: CutOff = { lost: perLane(() => 0), problems: [] };

/** What the journal is known to have held and has not. `isGoneTold`: where all of it is gone, that was told. Rejects as a read does. */
export async function cutOff(journal: Journal, isGoneTold = false): Promise<CutOff> {
  const { cut } = journal;
  if (!cut || (cut.isGone && isGoneTold)) return NOTHING_CUT;
  const end = `what came after ${formatMs(cut.at)} may have gone with it: its end is not known`;
  if (cut.isGone) {
    const held = LANES.map((lane) => `${cut.heads[lane] - 1} of the ${lane} lane`).join(' and ');
    const what = `the store that was here is gone and another was begun: it had held positions up to ${held}; what of them was not delivered is lost`;
    return { ...NOTHING_CUT, problems: [`${what}; ${end}`] };
  }
  const lost = perLane((lane) => Math.max(0, cut.heads[lane] - journal.head(lane)));
  const problems: string[] = [];
  for (const lane of LANES.filter((each) => lost[each] > 0)) {
    const head = journal.head(lane);
    const { entries } = await journal.read(lane, Math.max(head - 1, journal.tail(lane)), 1);
    const since = entries[0] ? `, received after ${formatMs(entries[0].receivedAt)}` : '';
    problems.push(`the end of the log was lost: positions ${head} to ${cut.heads[lane] - 1} of the ${lane} lane${since}; ${end}`);
  }
  return { lost, problems };
}

/** What `rows` (those of the ledger, windows, losses and feeds) and the heads say together, and what is known to lie behind the heads. */
export function mend(rows: readonly Row[], heads: PerLane<number>, cut = NOTHING_CUT): Mended {
  const damaged = rows.filter(({ value }) => value === undefined).map(({ key }) => `row ${key} was damaged`);
  const problems = [...cut.problems, ...damaged];
  const deletions = rows.filter(({ key, value }) => value === undefined && isGivenUp(key)).map(({ key }) => key);
  const feeds = rows.filter(({ key, value }) => key.startsWith(FEED_PREFIX) && value !== undefined).map(({ value }) => value as FeedRow);
  const stored = rows.find(({ key }) => key === LEDGER_ROW)?.value as Counts | undefined;
  const counts: Counts = structuredClone({ ...zeroCounts(), ...stored });
  const used = perLane((lane) =>
    Math.max(heads[lane] + cut.lost[lane], counts.accepted[lane] + counts.made[lane] + 1, ...feeds.map(({ lanes }) => lanes[lane].cursor)),
  );
  let isBehind = false;
  for (const lane of LANES) {
    if (!stored) counts.made[lane] = Math.max(0, ...feeds.map(({ lanes }) => lanes[lane].madeBefore));
    const missing = used[lane] - 1 - counts.accepted[lane] - counts.made[lane];
    counts.accepted[lane] += missing;
    // Feeds come to the hole that is there and tell of it: of these no summary is missing.
    const known = Math.min(Math.max(missing, 0), cut.lost[lane]);
    if (stored) counts.added += known;
    isBehind ||= missing > known;
  }
  if (isBehind) problems.push('the counts of what was accepted were behind the entries');
  const windows = rows.filter(({ key, value }) => key.startsWith(WINDOW_PREFIX) && value !== undefined);
  if (!stored) counts.added = accepted(counts) - counts.unreported - held(windows);
  let unreported = accepted(counts) - counts.added - counts.unreported - held(windows);
  for (; unreported < 0 && windows.length > 0;) {
    const { key, value } = windows.shift()!;
    unreported += (value as { held: number }).held; // reported already: an older row of it came back
    deletions.push(key);
  }
  if (unreported !== 0 && stored) problems.push(`the counts of ${Math.abs(unreported)} recurrences did not agree with their windows`);
  if (unreported < 0) counts.added += unreported;
  unreported = Math.max(unreported, 0);
  counts.unreported += unreported;
  return { counts, deletions, heads: used, unreported, problems };
}

/** A feed's row that is lost: everything that is kept is delivered once more, under a new series; its dead letters stay. */
export async function lostFeedRow(
  journal: Journal,
  name: string,
  parts: { counts: Counts; filter: Filter; now: number },
): Promise<{ row: FeedRow; damaged: string[] }> {
  const tails = perLane((lane) => journal.tail(lane));
  const made = perLane((lane) => Math.min(parts.counts.made[lane], tails[lane] - 1));
  const counts = { ...parts.counts, made, accepted: perLane((lane) => tails[lane] - 1 - made[lane]) };
  const row = newFeedRow({ heads: tails, counts, epoch: journal.epochs.at(-1)!.number }, parts.filter, parts.now);
  const outages = await lastOutage(journal, name);
  if (outages > 0) row.outages = outages;
  const letters = await deadLettersOf(journal, name, tails);
  const damaged = LANES.flatMap((lane) => letters[lane].damaged);
  for (const lane of LANES) {
    const { count, bytes } = letters[lane];
    const rows = await lastRow(journal, { writer: name, lane });
    Object.assign(row.lanes[lane], { dead: count, deadBytes: bytes, series: uuidV7(parts.now), ...(rows > 0 && { rows }) });
    row.lanes[lane].start -= count;
    row.lanes[lane].acceptedBefore -= count;
  }
  return { row, damaged };
}

/** Makes a feed's counts agree with its dead letters. Resolves with what was lost, per lane, and damaged rows to delete. */
export async function mendDeadLetters(journal: Journal, name: string, row: FeedRow): Promise<{ lost: PerLane<number>; damaged: string[] }> {
  const letters = await deadLettersOf(
    journal,
    name,
    perLane((lane) => row.lanes[lane].cursor),
  );
  const lost = perLane(() => 0);
  for (const lane of LANES) {
    const counted = row.lanes[lane];
    lost[lane] = counted.dead - letters[lane].count;
    Object.assign(counted, { dead: letters[lane].count, deadBytes: letters[lane].bytes });
    if (lost[lane] > 0) counted.dropped += lost[lane];
    const back = Math.max(-lost[lane], 0); // replayed or purged already, and here again: they are counted as dead once more
    const ofDropped = Math.min(back, counted.dropped);
    counted.dropped -= ofDropped;
    counted.delivered -= back - ofDropped;
  }
  return { lost, damaged: LANES.flatMap((lane) => letters[lane].damaged) };
}

/** Those at or after a cursor that came back will be decided once more: like damaged ones they are to be deleted. */
async function deadLettersOf(
  journal: Journal,
  name: string,
  cursors: PerLane<number>,
): Promise<PerLane<{ count: number; bytes: number; damaged: string[] }>> {
  const letters = perLane(() => ({ count: 0, bytes: 0, damaged: [] as string[] }));
  for (const lane of LANES) {
    for await (const { key, value } of journal.rows(`${DEAD_PREFIX}${name}/${lane}/`)) {
      const isSettled = Number(key.slice(key.lastIndexOf('/') + 1)) < cursors[lane];
      if (value === undefined || !isSettled) letters[lane].damaged.push(key);
      else {
        letters[lane].count++;
        letters[lane].bytes += (value as DeadLetter).bytes;
      }
    }
  }
  return letters;
}

/** Rows of which only the key is left to be told. */
function isGivenUp(key: string): boolean {
  return [WINDOW_PREFIX, LOSS_PREFIX, SITE_PREFIX].some((prefix) => key.startsWith(prefix));
}

function accepted({ accepted }: Counts): number {
  return LANES.reduce((sum, lane: Lane) => sum + accepted[lane], 0);
}

function held(windows: readonly Row[]): number {
  return windows.reduce((sum, { value }) => sum + (value as { held: number }).held, 0);
}

/** Of what is told about a damaged store. */
const WHAT_MAX = 20;

/** The event that tells what was damaged and put right. */
export function mendedEvent(what: readonly string[]): OwnEvent {
  const shown = what.slice(0, WHAT_MAX).map((text) => text.slice(0, 500));
  const attributes = { what: shown, more: what.length - shown.length };
  return { type: OWN_TYPES.storeMended, severity: 'error', message: `the store was damaged: ${shown.join('; ')}`, attributes };
}
