/** Takes over what an earlier life left: its rows, its entries and its exit file, put together again as far as they check. */
import { basename } from 'node:path';
import type { LostRange } from '../core/batch.ts';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import type { CutShort, Journal } from '../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import { uuidBytes, uuidText } from '../core/uuid.ts';
import { readExitFile, setAsideExitFile, type ExitLane } from './exit-file.ts';
import { isThere } from './life-directory.ts';
import { attach, openOrSetAside } from './life-opening.ts';
import { asLife, seriesOf, writeRows, type Life, type LifeParts } from './life.ts';
import { SeriesStore } from './series-store.ts';
import { LIFE_KEY, seriesKey, SpoolLane, type SeriesRow } from './spool.ts';

const READ_BYTES = 256 * 1024;
/** Of what was found damaged, in one notice. */
const FOUND_MAX = 10;

/** A spool that was found damaged: what checks of it is sent, the holes that are known of are declared lost. */
export interface SpoolDamage {
  /** The life, by its id, and per lane the series with the last seq that is known of. What was behind that is lost and cannot be counted. */
  readonly life: string;
  readonly lanes: PerLane<{ readonly series: string; readonly last: number }>;
  /** What was found, in words. */
  readonly found: readonly string[];
}

export interface AdoptionParts extends LifeParts {
  readonly onDamage: (damage: SpoolDamage) => void;
}

/**
 * Takes over an older life; `undefined` if its owner is alive, or if it is gone already. Rejects FULL, UNAVAILABLE or CONFIG: then it stays
 * as it is, for another time.
 */
export async function adoptLife(directory: string, adoption: AdoptionParts): Promise<Life | undefined> {
  if (!(await isThere(directory))) return undefined;
  const found: string[] = [];
  const onProblem = (problem: FondacoError): void => {
    if (problem.code === 'CORRUPT' && found.length < FOUND_MAX) found.push(problem.text);
    adoption.onProblem(problem);
  };
  const parts = { ...adoption, onProblem };
  let journal: Journal;
  try {
    journal = await openOrSetAside(directory, parts);
  } catch (error) {
    if (isFondacoError(error, 'UNAVAILABLE') && error.facts.isHeld) return undefined;
    throw error;
  }
  try {
    const life = asLife(directory, await restoreAll(directory, journal, parts));
    await attach(life, journal, parts);
    if (!(await areRowsGood(journal))) await writeRows(life, parts);
    if (found.length > 0) adoption.onDamage(damageOf(life, found));
    return life;
  } catch (error) {
    await journal.close();
    throw error;
  }
}

function damageOf({ id, stores }: Life, found: readonly string[]): SpoolDamage {
  return { life: id, lanes: perLane((lane) => ({ series: stores[lane].id, last: stores[lane].last })), found: [...found] };
}

/** The series of a life, from its open journal and its exit file. */
export async function restoreAll(directory: string, journal: Journal, parts: LifeParts): Promise<PerLane<SeriesStore>> {
  const exit = readExit(directory, parts);
  if (journal.cut?.isGone) parts.onProblem(missing(directory, journal.cut, 'another one, which is empty'));
  return {
    urgent: await restore('urgent', { directory, journal, exit: exit?.urgent }, parts),
    normal: await restore('normal', { directory, journal, exit: exit?.normal }, parts),
  };
}

function readExit(directory: string, { clock, onProblem }: LifeParts): PerLane<ExitLane> | undefined {
  try {
    return readExitFile(directory);
  } catch (error) {
    if (!isFondacoError(error, 'CORRUPT')) throw error;
    const evidence = setAsideExitFile(directory, clock.now());
    onProblem(new FondacoError('CORRUPT', `${error.text}; it is set aside as ${evidence}`, { cause: error }));
    return undefined;
  }
}

/** What there is of a series. */
interface Left {
  readonly directory: string;
  readonly journal: Journal;
  readonly exit: ExitLane | undefined;
}

/** Puts a series together again: its row, its entries, and by seq what the exit file holds beyond them. */
async function restore(lane: Lane, { directory, journal, exit }: Left, parts: LifeParts): Promise<SeriesStore> {
  const { row, counted } = withLostEnd(await spooledRow(lane, journal, exit), lane, { directory, journal, onProblem: parts.onProblem });
  const rows = [row, exit?.row].filter((found) => found !== undefined);
  const newest = rows.reduce<SeriesRow | undefined>((best, found) => (best && best.settled >= found.settled ? best : found), undefined);
  const series = (newest && uuidBytes(newest.series)) ?? seriesOf(basename(directory), lane);
  const start = { series, lane, settled: newest?.settled ?? 0, settledBy: newest?.settledBy ?? '' };
  const store = new SeriesStore(start, parts.clock, parts.events);
  for (const range of rows.flatMap((found): readonly LostRange[] => found.lost)) store.lost.add(range, range.cause);
  store.spool = new SpoolLane(journal, lane, { last: row?.last ?? 0, counted });
  const now = parts.clock.monotonic();
  for (const run of exit?.runs ?? []) store.memory.load(run.frames, run.first, now);
  store.last = Math.max(start.settled, ...rows.map((found) => found.last));
  store.memory.forget(store.durable);
  return store;
}

/**
 * A spool whose end is lost: as many seqs as it is known to have had positions are behind its last, at least, for those that were settled or
 * dropped before they were spilled took none. They are not there when they are read, and declared lost. Where not even a row is left, how much was
 * settled is unknown: the first ones are declared lost, and the proxy that had taken some passes over those. Another proxy counts them, too.
 */
function withLostEnd(
  row: SeriesRow | undefined,
  lane: Lane,
  { directory, journal, onProblem }: Pick<Left, 'directory' | 'journal'> & Pick<LifeParts, 'onProblem'>,
): { readonly row: SeriesRow | undefined; readonly counted: number | undefined } {
  const { cut } = journal;
  const heads = cut?.heads[lane] ?? 0;
  const lost = heads - Math.max(journal.head(lane), row?.counted ?? 0);
  if (!cut || lost <= 0) return { row, counted: row?.counted };
  if (!cut.isGone) onProblem(missing(directory, cut, `an end without ${lost} ${lane} events`));
  const known = row ?? { series: uuidText(seriesOf(basename(directory), lane)), settled: 0, settledBy: '', last: 0, lost: [] };
  return { row: { ...known, last: known.last + lost }, counted: heads };
}

function missing(directory: string, { at }: CutShort, got: string): FondacoError {
  return new FondacoError('CORRUPT', `the spool ${directory} must hold what it held at ${new Date(at).toISOString()}, got ${got}`);
}

/** What the spool's row says; where it is damaged or gone, what the exit file and the entries say. Entries may be newer than a row that an older copy gave. */
async function spooledRow(lane: Lane, journal: Journal, exit: ExitLane | undefined): Promise<SeriesRow | undefined> {
  const row = await readRow(journal, lane);
  if (!row) {
    const found = await rowFromEntries(journal, lane);
    return exit && found ? { ...exit.row, last: found.last } : found;
  }
  const head = journal.head(lane);
  const { entries } = head > journal.tail(lane) ? await journal.read(lane, head - 1, 1) : { entries: [] };
  const last = entries.at(-1);
  return last?.series === row.series && last.seq > row.last ? { ...row, last: last.seq } : row;
}

async function areRowsGood(journal: Journal): Promise<boolean> {
  for (const lane of LANES) if (!(await readRow(journal, lane))) return false;
  return journal.row(LIFE_KEY).then(
    (row) => row !== undefined,
    () => false,
  );
}

async function readRow(journal: Journal, lane: Lane): Promise<SeriesRow | undefined> {
  try {
    return (await journal.row(seriesKey(lane))) as SeriesRow | undefined;
  } catch (error) {
    if (isFondacoError(error, 'CORRUPT')) return undefined; // its entries tell most of it
    throw error;
  }
}

/**
 * What the entries say. How far the proxy has settled is unknown: everything before the first of them is declared lost, and the proxy, which
 * passes over what it knows, takes exactly the rest for lost.
 */
async function rowFromEntries(journal: Journal, lane: Lane): Promise<SeriesRow | undefined> {
  let first: { readonly series: string; readonly seq: number } | undefined;
  let last = 0;
  const head = journal.head(lane);
  for (let position = journal.tail(lane); position < head;) {
    const { entries, hole } = await journal.read(lane, position, READ_BYTES);
    for (const entry of entries) {
      first ??= entry;
      last = entry.seq;
      position = entry.position + 1;
    }
    if (hole) position = hole.to;
    else if (entries.length === 0) break;
  }
  if (!first) return undefined;
  const lost: LostRange[] = first.seq > 1 ? [{ first: 1, last: first.seq - 1, cause: 'corrupt' }] : [];
  return { series: first.series, settled: 0, settledBy: '', last, lost };
}
