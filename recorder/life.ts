/**
 * A life: one opening of a recorder, with a series for each lane and, once it had to spill, a directory.
 *
 *     <spool directory>/<component>/<uuid>/          the life: made at the first spill, or with an exit file
 *                                  /db, holder       the journal and its lock's name tag (journal/)
 *                                  /exit             what memory held when the process ended
 *                       /.<uuid>.tmp, .<uuid>.gone   being made, being deleted: never adopted
 *                       /<uuid>.corrupt              set aside
 *                       /.view-<uuid>                a view of a life for people (stopped-life.ts)
 *
 * A life whose owner is gone is adopted (adoption.ts), under the lock, by a later recorder of the same component. Process ids prove nothing.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Draft, Journal } from '../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import { uuidText, uuidV7Bytes } from '../core/uuid.ts';
import { EXIT_FILE, syncDirectory } from './exit-file.ts';
import { SeriesStore, type StoreEvents } from './series-store.ts';
import { LIFE_KEY, seriesKey, SpoolLane } from './spool.ts';
import { makeDirectory } from '../journal/make-directory.ts';

/** Opens the journal of a directory, made if absent; rejects UNAVAILABLE if another holds it. */
export type OpenJournal = (directory: string) => Promise<Journal>;

export interface LifeParts {
  readonly node: string;
  readonly component: string;
  readonly clock: Clock;
  readonly openJournal: OpenJournal;
  readonly events: StoreEvents;
  /** Told of what was found damaged and set aside. */
  readonly onProblem: (problem: FondacoError) => void;
  /** Called after every commit, and when a journal has been opened again. */
  readonly onCommit: () => void;
}

export interface Life {
  /** UUIDv7 text: lives are drained in the order of their names. */
  readonly id: string;
  readonly directory: string;
  readonly stores: PerLane<SeriesStore>;
  /** Open once something was spilled, always for an older life. */
  journal: Journal | undefined;
  /** What its directory takes: as measured last, and what was written since. */
  bytes: number;
  /** About what of that was given up since the journal was compacted last. */
  garbage: number;
  /** What its directory was when it was opened, so that its removal is seen. */
  identity: string;
  /** Its journal is to be opened again: it is damaged, or its directory is gone. */
  isBroken: boolean;
  /** Monotonic; after a failure the disk is left alone for a while. */
  pausedUntil: number;
  isFailing: boolean;
}

/** Writing an exit file takes milliseconds; one that is this old has no writer any more. */
const ABANDONED_MS = 60_000;
/** A view of a life for people (stopped-life.ts); one that is so old has no reader any more. */
export const VIEW = '.view-';
const VIEW_ABANDONED_MS = 24 * 60 * 60 * 1000;
/** The room that the journal keeps for bad days: not what events take. */
const RESERVE = 'reserve';
/** What a journal sets aside of its database, in its directory. */
const EVIDENCE = 'db.corrupt-';
/** Damaged things of a component that are kept; they sort by age. */
const EVIDENCE_MAX = 10;
/** What LevelDB takes beside the events: logs that are not in tables yet. */
const OVERHEAD_BYTES = 4 * 1024 * 1024;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A new life; its directory is only named. */
export function newLife(base: string, { clock, events }: Pick<LifeParts, 'clock' | 'events'>): Life {
  const id = uuidText(uuidV7Bytes(clock.now()));
  const stores = perLane((lane) => new SeriesStore({ series: uuidV7Bytes(clock.now()), lane }, clock, events));
  return asLife(join(base, id), stores);
}

export function asLife(directory: string, stores: PerLane<SeriesStore>): Life {
  const id = basename(directory);
  return {
    id,
    directory,
    stores,
    journal: undefined,
    bytes: 0,
    garbage: 0,
    identity: '',
    isBroken: false,
    pausedUntil: 0,
    isFailing: false,
  };
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
    if (name.startsWith(VIEW)) await removeAbandoned(join(base, name), now);
    const [, id = '', state] = /^\.(.+)\.(gone|tmp)$/.exec(name) ?? [];
    if (!UUID.test(id)) continue;
    if (state === 'gone') await rm(join(base, name), { recursive: true, force: true });
    else if (await giveName(base, id, now)) names.push(id);
  }
  return names.filter((name) => UUID.test(name)).sort();
}

/** What a killed `fondaco spool` left holds the room of files that are gone otherwise. */
async function removeAbandoned(view: string, now: number): Promise<void> {
  const { mtimeMs } = await stat(view).catch(() => ({ mtimeMs: now }));
  if (now - mtimeMs > VIEW_ABANDONED_MS) await rm(view, { recursive: true, force: true });
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

/**
 * Opens a life's journal, or opens it again: then positions are worth nothing any more, and what is not there is found missing when it is
 * read. What cannot be opened is set aside. Rejects FULL, UNAVAILABLE or CONFIG.
 */
export async function openLife(life: Life, parts: LifeParts): Promise<void> {
  await life.journal?.close().catch(() => undefined); // of a directory that is gone, or damaged
  life.journal = undefined;
  await makeDirectory(dirname(life.directory), 0o700);
  const journal = await openOrSetAside(life.directory, parts);
  for (const lane of LANES) {
    const store = life.stores[lane];
    store.spool = new SpoolLane(journal, lane, store.spool?.last ?? 0);
    store.unpark();
  }
  await attach(life, journal, parts);
}

/** Makes the journal the life's own. */
export async function attach(life: Life, journal: Journal, { onCommit, onProblem, clock }: LifeParts): Promise<void> {
  const tell = async (): Promise<void> => {
    const problem = await tellSalvage(life.directory, journal, clock.now());
    if (problem) onProblem(problem);
  };
  life.journal = journal;
  life.isBroken = false;
  journal.onCommit(onCommit);
  journal.onReopen(tell);
  await tell();
  life.identity = await identityOf(life.directory);
  await measure(life);
}

/** The journal of a directory; if that is beyond repair, one beside it that is set aside. The exit file stays. */
export async function openOrSetAside(directory: string, { openJournal, onProblem }: LifeParts): Promise<Journal> {
  try {
    return await openJournal(directory);
  } catch (error) {
    if (!isFondacoError(error, 'CORRUPT')) throw error;
    const evidence = await setAside(directory);
    onProblem(new FondacoError('CORRUPT', `${error.text}; it is set aside as ${evidence}`, { cause: error }));
    return openJournal(directory);
  }
}

/** What the journal's opening had to give up, with the place of the evidence: beside the life, which goes when it is drained. */
async function tellSalvage(directory: string, { salvaged }: Journal, now: number): Promise<FondacoError | undefined> {
  if (salvaged.length === 0) return undefined;
  const found = (await readdir(directory)).filter((name) => name.startsWith(EVIDENCE));
  const evidence = `${directory}.${now}.corrupt`;
  if (found.length > 0) await mkdir(evidence, { recursive: true });
  for (const name of found) await rename(join(directory, name), join(evidence, name));
  await limitEvidence(dirname(directory));
  const text = salvaged.join('; ').replaceAll(`${directory}/${EVIDENCE}`, `${evidence}/${EVIDENCE}`);
  return new FondacoError('CORRUPT', `the spool ${directory} must be whole, got damage, which is mended as far as it goes: ${text}`);
}

/** The oldest evidence of a component goes when there is more than a person would look at. */
async function limitEvidence(base: string): Promise<void> {
  const all = (await readdir(base)).filter((name) => name.endsWith('.corrupt')).sort();
  for (const name of all.slice(0, -EVIDENCE_MAX)) await rm(join(base, name), { recursive: true, force: true });
}

async function setAside(directory: string): Promise<string> {
  let evidence = `${directory}.corrupt`;
  for (let n = 2; await isThere(evidence); n++) evidence = `${directory}.${n}.corrupt`;
  await rename(directory, evidence);
  if (await isThere(join(evidence, EXIT_FILE))) {
    await mkdir(directory);
    await rename(join(evidence, EXIT_FILE), join(directory, EXIT_FILE));
  }
  syncDirectory(dirname(directory));
  await limitEvidence(dirname(directory));
  return evidence;
}

/** True if somebody removed the life's directory, or its store, while we have it open: what is written then goes nowhere. */
export async function isGone(life: Life): Promise<boolean> {
  return life.journal !== undefined && (await identityOf(life.directory)) !== life.identity;
}

async function identityOf(directory: string): Promise<string> {
  const inodes: string[] = [];
  for (const path of [directory, join(directory, 'db')]) {
    inodes.push(
      await stat(path, { bigint: true }).then(
        ({ ino }) => `${ino}`,
        () => '-',
      ),
    );
  }
  return `${inodes.join('/')}/${await isThere(join(directory, 'db', 'CURRENT'))}`;
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Gives up the oldest events that a lane of a life has on disk and that are not on their way, some hundred KiB of them; false if there are none. */
export async function dropOldest(life: Life, lane: Lane): Promise<boolean> {
  const { journal } = life;
  const store = life.stores[lane];
  const { spool, window } = store;
  if (!journal?.isOpen || !spool) return false;
  const before = store.lost.endOf(window.sent);
  if (before >= spool.last) return false;
  const cut = await spool.read(before, { eventsMax: 10_000, bytesMax: 1024 * 1024 }, (seq) => store.lost.has(seq));
  const first = Math.max(before, window.sent) + 1; // some may have been sent meanwhile
  if (first > cut.last) return true;
  store.lose({ first, last: cut.last }, 'spool-full');
  life.garbage += spool.forget(first, cut.last);
  await writeRows(life);
  await trim(life, lane);
  return true;
}

/** Writes back what is settled and lost, and trims. In this order: a crash between leaves entries that are passed over. */
export async function writeBack(life: Life): Promise<void> {
  if (!life.journal) return;
  await writeRows(life);
  for (const lane of LANES) {
    const { spool, window } = life.stores[lane];
    if (!spool) continue;
    life.garbage += spool.forget(0, window.settled);
    await trim(life, lane);
  }
}

/** The rows as they are now; with `sender` that of the life, too. */
export async function writeRows({ journal, stores }: Life, sender?: { readonly node: string; readonly component: string }): Promise<void> {
  await journal?.commit((draft) => {
    if (sender) putLife(draft, sender);
    for (const lane of LANES) {
      const row = stores[lane].row();
      draft.put(seriesKey(lane), () => row);
    }
  });
}

/** Who it was, for people. */
export function putLife(draft: Draft, { node, component }: { readonly node: string; readonly component: string }): void {
  draft.put(LIFE_KEY, () => ({ version: 1, node, component }));
}

async function trim({ journal, stores }: Life, lane: Lane): Promise<void> {
  const { spool, window } = stores[lane];
  const keep = spool!.positionToKeep(window.settled);
  if (keep > journal!.tail(lane)) await journal!.trim(lane, keep);
}

/** Everything is settled, and nothing is on its way. */
export function isLifeEmpty({ journal, stores }: Life): boolean {
  return journal !== undefined && LANES.every((lane) => stores[lane].isSettled && stores[lane].window.inFlight === 0);
}

/** What the disk said, as ours. */
export function asProblem(error: unknown): FondacoError {
  return isFondacoError(error) ? error : new FondacoError('UNAVAILABLE', `the spool failed, ${asError(error).message}`, { cause: error });
}

/** Gives the room of what was given up back to the disk. */
export async function reclaim(life: Life): Promise<void> {
  const { journal } = life;
  if (!journal?.isOpen) return;
  await journal.compact();
  await measure(life);
  // LevelDB leaves the files that a reader looked at meanwhile until the next time.
  life.garbage = Math.max(0, life.bytes - liveBytes(life) - OVERHEAD_BYTES);
}

/** What the events take that are kept. */
export function liveBytes({ journal }: Life): number {
  return journal ? journal.bytes('urgent') + journal.bytes('normal') : 0;
}

/** Looks up what the life's directory takes. */
export async function measure(life: Life): Promise<void> {
  if (life.journal) life.bytes = await directoryBytes(life.directory);
}

/** The sizes of the files below a directory, in bytes. */
export async function directoryBytes(directory: string): Promise<number> {
  let bytes = 0;
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile() || entry.name === RESERVE) continue;
    // LevelDB deletes files of its own accord.
    bytes += await stat(join(entry.parentPath, entry.name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return bytes;
}

/**
 * Deletes a life that is settled. The name goes first, and durably: after this the series may be closed at the proxy, and a life that came
 * back then would be taken for one whose events a proxy lost.
 */
export async function removeLife(life: Life): Promise<void> {
  const { journal, directory } = life;
  if (!journal) return;
  const gone = join(dirname(directory), `.${life.id}.gone`);
  try {
    await rename(directory, gone);
    syncDirectory(dirname(directory));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // somebody was quicker
  }
  life.journal = undefined;
  life.bytes = life.garbage = 0;
  for (const lane of LANES) life.stores[lane].spool = undefined;
  await journal.close();
  await rm(gone, { recursive: true, force: true });
}
