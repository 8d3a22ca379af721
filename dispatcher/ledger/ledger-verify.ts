/**
 * Holds the books against what is really there: counts of the ledger and of the writers' rows against the rows and entries that they speak
 * of, counted one by one. While it reads, the proxy goes on: the books are taken as of one commit and entries never change, and where rows
 * may have changed under the count, it counts again.
 */
import { setImmediate } from 'node:timers/promises';
import type { Entry, Journal, Row } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { LEDGER_ROW, zeroCounts, type Counts } from './counts.ts';
import { DEAD_PREFIX, storedLetter } from '../dead-letters/dead-letters.ts';
import { decodeEntry } from '../decode-entry.ts';
import { WINDOW_PREFIX } from '../acceptance/dedup.ts';
import { FEED_PREFIX, type FeedRow } from '../feed/feed-row.ts';
import { readLedger } from './ledger.ts';
import { LOSS_PREFIX, type Loss } from './losses.ts';
import { addresseeOf, OWN_TYPES } from '../own-events.ts';
import { SERIES_PREFIX } from '../acceptance/series-rows.ts';

export interface Check {
  readonly name: string;
  /** What the books say, and what was counted. */
  readonly expected: number;
  readonly found: number;
  readonly isGood: boolean;
}

export interface Verification {
  readonly isGood: boolean;
  readonly checks: readonly Check[];
  /** What could not be held against anything, and why. */
  readonly notChecked: readonly string[];
}

const READ_BYTES = 1024 * 1024;
/** How often rows are counted again that changed meanwhile. */
const COUNTS_MAX = 5;

/** Reads the whole journal once. Rejects UNAVAILABLE where the journal is being reopened, or with the reason of an aborted `signal`. */
export async function verifyLedger(journal: Journal, signal: AbortSignal): Promise<Verification> {
  const report = new Report();
  await checkRows(journal, report, signal);
  await checkEntries(journal, report, signal);
  return report.result();
}

class Report {
  readonly checks: Check[] = [];
  readonly notChecked: string[] = [];

  hold(name: string, expected: number, found: number): void {
    this.checks.push({ name, expected, found, isGood: expected === found });
  }

  result(): Verification {
    const { checks, notChecked } = this;
    return { isGood: checks.every(({ isGood }) => isGood), checks, notChecked };
  }
}

/** The books of one commit. */
interface Books {
  readonly counts: Counts;
  readonly feeds: ReadonlyMap<string, FeedRow>;
  readonly unannounced: number;
  readonly bounds: PerLane<{ head: number; tail: number }>;
  readonly damaged: number;
}

async function readBooks(journal: Journal): Promise<Books> {
  const rows = await journal.snapshot(['m:lanes', LEDGER_ROW, LOSS_PREFIX, FEED_PREFIX, WINDOW_PREFIX]);
  const valueOf = (key: string): unknown => rows.find((row) => row.key === key)?.value;
  const of = (prefix: string): Row[] => rows.filter(({ key, value }) => key.startsWith(prefix) && value !== undefined);
  return {
    counts: { ...zeroCounts(), ...(valueOf(LEDGER_ROW) as Counts | undefined) },
    feeds: new Map(of(FEED_PREFIX).map(({ key, value }) => [key.slice(FEED_PREFIX.length), value as FeedRow])),
    unannounced: of(LOSS_PREFIX).reduce((sum, { value }) => sum + (value as Loss).count, 0),
    bounds: (valueOf('m:lanes') as Books['bounds'] | undefined) ?? perLane(() => ({ head: 1, tail: 1 })),
    damaged: rows.filter(({ value }) => value === undefined).length,
  };
}

async function checkRows(journal: Journal, report: Report, signal: AbortSignal): Promise<void> {
  const ledger = await readLedger(journal);
  report.hold('accepted events that no entry and no window counts', 0, ledger.dedupDiscrepancy);
  for (const { name, lanes } of ledger.writers)
    for (const lane of LANES) report.hold(`${name}/${lane}: entries that are in no column of the ledger`, 0, lanes[lane].discrepancy);
  await checkLetters(journal, report, signal);
  await checkSeries(journal, report, signal);
  const { damaged } = await readBooks(journal);
  report.hold('damaged rows of the books', 0, damaged);
}

interface Letters {
  readonly count: Map<string, number>;
  readonly bytes: Map<string, number>;
  damaged: number;
}

/** Dead letters of each writer and lane, their number and size. */
async function checkLetters(journal: Journal, report: Report, signal: AbortSignal): Promise<void> {
  const columns = ({ feeds }: Books): string =>
    JSON.stringify(
      [...feeds].map(([name, { lanes }]) => [name, LANES.map((lane) => [lanes[lane].cursor, lanes[lane].dead, lanes[lane].deadBytes])]),
    );
  const settled = await countUnchanged(journal, columns, async () => countLetters(journal, signal));
  if (!settled) {
    report.notChecked.push('the number of dead letters: it changed during each of several counts');
    return;
  }
  const { books, counted } = settled;
  const places = [...books.feeds.keys()].flatMap((name) => LANES.map((lane) => `${name}/${lane}`));
  for (const place of new Set([...places, ...counted.count.keys()])) {
    const [name = '', lane] = place.split('/');
    const row = books.feeds.get(name)?.lanes[lane as Lane];
    report.hold(`${place}: dead letters`, row?.dead ?? 0, counted.count.get(place) ?? 0);
    if (counted.damaged === 0) report.hold(`${place}: bytes of dead letters`, row?.deadBytes ?? 0, counted.bytes.get(place) ?? 0);
  }
  report.hold('damaged dead letters', 0, counted.damaged);
  if (counted.damaged > 0) report.notChecked.push('the bytes of dead letters: some are damaged');
}

async function countLetters(journal: Journal, signal: AbortSignal): Promise<Letters> {
  const letters: Letters = { count: new Map(), bytes: new Map(), damaged: 0 };
  for await (const row of journal.rows(DEAD_PREFIX)) {
    signal.throwIfAborted();
    const { writer, lane, letter } = storedLetter(row);
    const place = `${writer}/${lane}`;
    letters.count.set(place, (letters.count.get(place) ?? 0) + 1);
    letters.bytes.set(place, (letters.bytes.get(place) ?? 0) + (letter?.bytes ?? 0));
    if (!letter) letters.damaged++;
  }
  return letters;
}

async function checkSeries(journal: Journal, report: Report, signal: AbortSignal): Promise<void> {
  const settled = await countUnchanged(
    journal,
    ({ counts }) => String(counts.series),
    async () => {
      let count = 0;
      for await (const _row of journal.rows(SERIES_PREFIX)) {
        signal.throwIfAborted();
        count++;
      }
      return count;
    },
  );
  if (settled) report.hold('rows of series', settled.books.counts.series, settled.counted);
  else report.notChecked.push('the number of rows of series: it changed during each of several counts');
}

/** Counts rows between two looks at the books that say the same, or gives up. */
async function countUnchanged<T>(
  journal: Journal,
  columns: (books: Books) => string,
  count: () => Promise<T>,
): Promise<{ books: Books; counted: T } | undefined> {
  for (let attempt = 0; attempt < COUNTS_MAX; attempt++) {
    const books = await readBooks(journal);
    const counted = await count();
    if (columns(await readBooks(journal)) === columns(books)) return { books, counted };
  }
  return undefined;
}

interface Tally {
  accepted: number;
  made: number;
  added: number;
  announced: number;
  damaged: number;
}

/** Entries of each lane by kind, from the tail to the head of the books; the sums over them. */
async function checkEntries(journal: Journal, report: Report, signal: AbortSignal): Promise<void> {
  const books = await readBooks(journal);
  const { counts, bounds } = books;
  const trimmed = LANES.filter((lane) => bounds[lane].tail > 1);
  for (const lane of trimmed)
    report.notChecked.push(`the number of entries in ${lane}: those below position ${bounds[lane].tail} were trimmed`);
  const tallies = perLane((): Tally => ({ accepted: 0, made: 0, added: 0, announced: 0, damaged: 0 }));
  for (const lane of LANES) {
    const isWhole = await tally(journal, lane, bounds[lane], { into: tallies[lane], signal });
    if (!isWhole && !trimmed.includes(lane)) {
      trimmed.push(lane);
      report.notChecked.push(`the number of entries in ${lane}: it was trimmed meanwhile`);
    }
    const { accepted, made, damaged } = tallies[lane];
    report.hold(`${lane}: damaged entries`, 0, damaged);
    if (trimmed.includes(lane)) continue;
    if (damaged > 0) report.notChecked.push(`the kinds of entries in ${lane}: some are damaged`);
    else {
      report.hold(`${lane}: accepted entries`, counts.accepted[lane], accepted);
      report.hold(`${lane}: entries made here`, counts.made[lane], made);
    }
  }
  if (trimmed.length > 0 || LANES.some((lane) => tallies[lane].damaged > 0))
    report.notChecked.push('Σ added and the announced losses: not all entries are there');
  else checkSums(books, tallies, report);
}

function checkSums({ counts, feeds, unannounced }: Books, { urgent, normal }: PerLane<Tally>, report: Report): void {
  report.hold('Σ added over the entries', counts.added, urgent.added + normal.added);
  const lanes = [...feeds.values()].flatMap((feed) => LANES.map((lane) => feed.lanes[lane]));
  const lost = lanes.reduce(
    (sum, { dropped, expired }) => sum + dropped + expired,
    counts.rejected + counts.lost + counts.unreported + counts.droppedByRemoved,
  );
  const told = urgent.announced + normal.announced + unannounced;
  report.hold('losses: announced and not announced yet', lost, told + counts.noticesLost);
}

/** False: the lane was trimmed while it was read. */
async function tally(
  journal: Journal,
  lane: Lane,
  { head, tail }: { head: number; tail: number },
  { into, signal }: { into: Tally; signal: AbortSignal },
): Promise<boolean> {
  for (let position = tail; position < head;) {
    signal.throwIfAborted();
    await setImmediate(); // what is in memory is read without a wait
    const { entries, hole } = await journal.read(lane, position, READ_BYTES);
    for (const entry of entries) if (entry.position < head) add(into, entry);
    if (entries.length > 0) position = entries.at(-1)!.position + 1;
    if (!hole && entries.length > 0) continue;
    if (journal.tail(lane) > tail) return false;
    const end = hole?.to ?? head;
    into.damaged += Math.max(0, Math.min(end, head) - position);
    position = end;
  }
  return true;
}

function add(into: Tally, entry: Entry): void {
  if (entry.kind !== 'made') {
    into.accepted++;
    if (entry.kind === 'accepted') into.added++;
    return;
  }
  into.made++;
  const event = decodeEntry(entry);
  if (event.revision > 0) into.added += event.added;
  // With an addressee it says again what was announced.
  if (event.type === OWN_TYPES.loss && addresseeOf(event) === undefined)
    into.announced += (event.attributes.count as number | undefined) ?? 0;
}
