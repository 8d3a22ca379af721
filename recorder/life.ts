/**
 * A life: one opening of a recorder, with a series for each lane and, once it had to spill, a directory.
 *
 *     <spool directory>/<component>/<uuid>/          the life: made at the first spill, or with an exit file
 *                                  /db, holder       the journal and its lock's name tag (journal/)
 *                                  /exit             what memory held when the process ended
 *                       /.<uuid>.tmp, .<uuid>.gone   being made, being deleted: never adopted
 *                       /<uuid>.corrupt              set aside
 *
 * A life whose owner is gone is adopted, under the lock, by a later recorder of the same component. Process ids prove nothing.
 */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { LostRange } from '../core/batch.ts';
import type { Clock } from '../core/clock.ts';
import { isFondacoError, type FondacoError } from '../core/errors.ts';
import type { Journal } from '../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import { uuidBytes, uuidText, uuidV7Bytes } from '../core/uuid.ts';
import { readExitFile, setAsideExitFile, syncDirectory, type ExitLane } from './exit-file.ts';
import { SeriesStore, type StoreEvents } from './series-store.ts';
import { seriesKey, SpoolLane, type SeriesRow } from './spool.ts';

/** Opens the journal of a directory, made if absent; rejects UNAVAILABLE if another holds it. */
export type OpenJournal = (directory: string) => Promise<Journal>;

export interface LifeParts {
  readonly clock: Clock;
  readonly openJournal: OpenJournal;
  readonly events: StoreEvents;
  /** Told of what was found damaged and set aside. */
  readonly onProblem: (problem: FondacoError) => void;
}

export interface Life {
  /** UUIDv7 text: lives are drained in the order of their names. */
  readonly id: string;
  readonly directory: string;
  readonly stores: PerLane<SeriesStore>;
  /** Open once something was spilled, always for an older life. */
  journal: Journal | undefined;
  /** What its directory takes, about. */
  bytes: number;
}

/** Writing an exit file takes milliseconds; one that is this old has no writer any more. */
const ABANDONED_MS = 60_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A new life; its directory is only named. */
export function newLife(base: string, { clock, events }: LifeParts): Life {
  const id = uuidText(uuidV7Bytes(clock.now()));
  const stores = perLane((lane) => new SeriesStore({ series: uuidV7Bytes(clock.now()), lane }, clock, events));
  return { id, directory: join(base, id), stores, journal: undefined, bytes: 0 };
}

/**
 * The names of the lives below a component's directory, oldest first. Finishes what a crash left half done: a deletion, and an exit file
 * that was written but not yet given its name.
 */
export async function listLives(base: string, now: number): Promise<string[]> {
  const names: string[] = await readdir(base).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) {
    const [, id = '', state] = /^\.(.+)\.(gone|tmp)$/.exec(name) ?? [];
    if (!UUID.test(id)) continue;
    if (state === 'gone') await rm(join(base, name), { recursive: true, force: true });
    else if (await giveName(base, id, now)) names.push(id);
  }
  return names.filter((name) => UUID.test(name)).sort();
}

async function giveName(base: string, id: string, now: number): Promise<boolean> {
  const unnamed = join(base, `.${id}.tmp`);
  try {
    if (now - (await stat(unnamed)).mtimeMs <= ABANDONED_MS) return false;
    await rename(unnamed, join(base, id));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false; // its writer, or another recorder, was quicker
    throw error;
  }
}

/** Takes over an older life; `undefined` if its owner is alive, or if it was damaged and had to be set aside. */
export async function adoptLife(directory: string, parts: LifeParts): Promise<Life | undefined> {
  let journal: Journal;
  try {
    journal = await parts.openJournal(directory);
  } catch (error) {
    if (!isFondacoError(error)) throw error;
    if (error.code === 'UNAVAILABLE') return undefined;
    if (error.code === 'CORRUPT') {
      await rename(directory, `${directory}.corrupt`);
      parts.onProblem(error);
      return undefined;
    }
    throw error;
  }
  try {
    const exit = readExit(directory, parts);
    const stores = {
      urgent: await restore('urgent', journal, exit?.urgent, parts),
      normal: await restore('normal', journal, exit?.normal, parts),
    };
    return { id: basename(directory), directory, stores, journal, bytes: await directoryBytes(directory) };
  } catch (error) {
    await journal.close();
    throw error;
  }
}

function readExit(directory: string, { clock, onProblem }: LifeParts): PerLane<ExitLane> | undefined {
  try {
    return readExitFile(directory);
  } catch (error) {
    if (!isFondacoError(error, 'CORRUPT')) throw error;
    setAsideExitFile(directory, clock.now());
    onProblem(error);
    return undefined;
  }
}

/** Puts a series together again: its row, its entries, and by seq what the exit file holds beyond them. */
async function restore(lane: Lane, journal: Journal, exit: ExitLane | undefined, parts: LifeParts): Promise<SeriesStore> {
  const row = (await readRow(journal, lane)) ?? (await rowFromEntries(journal, lane));
  const rows = [row, exit?.row].filter((found) => found !== undefined);
  const newest = rows.reduce<SeriesRow | undefined>((best, found) => (best && best.settled >= found.settled ? best : found), undefined);
  const series = (newest && uuidBytes(newest.series)) ?? uuidV7Bytes(parts.clock.now());
  const start = { series, lane, settled: newest?.settled ?? 0, settledBy: newest?.settledBy ?? '' };
  const store = new SeriesStore(start, parts.clock, parts.events);
  for (const range of rows.flatMap((found): readonly LostRange[] => found.lost)) store.lost.add(range, range.cause);
  store.spool = new SpoolLane(journal, lane, row?.last ?? 0);
  const now = parts.clock.monotonic();
  for (const run of exit?.runs ?? []) store.memory.load(run.frames, run.first, now);
  store.last = Math.max(start.settled, ...rows.map((found) => found.last));
  store.memory.forget(store.durable);
  return store;
}

async function readRow(journal: Journal, lane: Lane): Promise<SeriesRow | undefined> {
  try {
    return (await journal.row(seriesKey(lane))) as SeriesRow | undefined;
  } catch (error) {
    if (isFondacoError(error, 'CORRUPT')) return undefined; // its entries tell most of it
    throw error;
  }
}

/** What the entries say where the row is damaged. */
async function rowFromEntries(journal: Journal, lane: Lane): Promise<SeriesRow | undefined> {
  let row: SeriesRow | undefined;
  const head = journal.head(lane);
  for (let position = journal.tail(lane); position < head;) {
    const { entries, hole } = await journal.read(lane, position, 256 * 1024);
    for (const entry of entries) {
      row = row ? { ...row, last: entry.seq } : { series: entry.series, settled: entry.seq - 1, settledBy: '', last: entry.seq, lost: [] };
      position = entry.position + 1;
    }
    if (hole) position = hole.to;
    else if (entries.length === 0) break;
  }
  return row;
}

/** Gives up the oldest events that a lane of a life has on disk, some hundred KiB of them; false if there are none. */
export async function dropOldest(life: Life, lane: Lane): Promise<boolean> {
  const { journal } = life;
  const { spool, window } = life.stores[lane];
  if (!journal || !spool || spool.last <= window.settled) return false;
  const before = Math.max(window.settled, life.stores[lane].lost.endOf(window.settled));
  if (before >= spool.last) return false;
  const cut = await spool.read(before, { eventsMax: 10_000, bytesMax: 1024 * 1024 });
  life.stores[lane].lose({ first: before + 1, last: cut.last }, 'spool-full');
  const keep = spool.positionToKeep(cut.last);
  life.bytes = Math.max(0, life.bytes - spool.forget(cut.last));
  const row = life.stores[lane].row();
  await journal.commit((draft) => draft.put(seriesKey(lane), () => row));
  if (keep > journal.tail(lane)) await journal.trim(lane, keep);
  return true;
}

async function directoryBytes(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    // LevelDB deletes files of its own accord.
    if (entry.isFile())
      bytes += await stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      );
  }
  return bytes;
}

/** Writes back what is settled and lost, and trims. In this order: a crash between leaves entries that are passed over. */
export async function writeBack(life: Life): Promise<void> {
  const { journal, stores } = life;
  if (!journal) return;
  await journal.commit((draft) => {
    for (const lane of LANES) {
      const row = stores[lane].row();
      draft.put(seriesKey(lane), () => row);
    }
  });
  for (const lane of LANES) {
    const { spool, window } = stores[lane];
    if (!spool) continue;
    const keep = spool.positionToKeep(window.settled);
    life.bytes = Math.max(0, life.bytes - spool.forget(window.settled));
    if (keep > journal.tail(lane)) await journal.trim(lane, keep);
  }
}

/**
 * Deletes a life that is settled. The name goes first, and durably: after this the series may be closed at the proxy, and a life that came
 * back then would be taken for one whose events a proxy lost.
 */
export async function removeLife(life: Life): Promise<void> {
  const { journal, directory } = life;
  if (!journal) return;
  const gone = join(dirname(directory), `.${life.id}.gone`);
  await rename(directory, gone);
  syncDirectory(dirname(directory));
  life.journal = undefined;
  life.bytes = 0;
  for (const lane of LANES) life.stores[lane].spool = undefined;
  await journal.close();
  await rm(gone, { recursive: true, force: true });
}
