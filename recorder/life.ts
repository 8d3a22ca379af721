/**
 * A life: one opening of a recorder, with a series for each lane and, once it had to spill, a directory (life-directory.ts) with a journal
 * (life-opening.ts).
 *
 * A life whose owner is gone is adopted (adoption.ts), under the lock, by a later recorder of the same component. Process ids prove nothing.
 */
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Draft, Journal } from '../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import { uuidBytes, uuidText, uuidV7Bytes } from '../core/uuid.ts';
import { syncDirectory } from './exit-file.ts';
import { directoryBytes, identityOf, NO_DIRECTORY } from './life-directory.ts';
import { SeriesStore, type StoreEvents } from './series-store.ts';
import { LIFE_KEY, seriesKey } from './spool.ts';

/** Opens the journal of a directory, made if absent; rejects UNAVAILABLE if another holds it. */
export type OpenJournal = (directory: string) => Promise<Journal>;

/** What all lives of a recorder share. */
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

/** One life, its directory open or not. */
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

/** What LevelDB takes beside the events: logs that are not in tables yet. */
const OVERHEAD_BYTES = 4 * 1024 * 1024;

/** A new life; its directory is only named. `bornAt`: wall clock, ms, later than that of every life that is there. */
export function newLife(base: string, bornAt: number, { clock, events }: Pick<LifeParts, 'clock' | 'events'>): Life {
  const id = uuidText(uuidV7Bytes(bornAt));
  const stores = perLane((lane) => new SeriesStore({ series: seriesOf(id, lane), lane }, clock, events));
  return asLife(join(base, id), stores);
}

/** The series of a life's lane: its id but for the last two bits, so that it is known when nothing is left of a life but its directory. */
export function seriesOf(id: string, lane: Lane): Uint8Array {
  const series = Uint8Array.from(uuidBytes(id)!);
  series[15] = (series[15]! & 0xfc) | (1 + LANES.indexOf(lane));
  return series;
}

/** A life of that directory, not opened. */
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

/** True if somebody removed the life's directory, or its store, while we have it open: what is written then goes nowhere. */
export async function isGone(life: Life): Promise<boolean> {
  if (!life.journal) return false;
  const identity = await identityOf(life.directory);
  return identity !== life.identity || identity.startsWith(NO_DIRECTORY); // it may have gone before it was first looked at
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
  const settled = await writeRows(life);
  await trim(life, lane, settled[lane]);
  return true;
}

/**
 * Writes back what is settled and lost, and trims. In this order, and no further than what was written: a crash between leaves entries that are
 * passed over, and none that are missed.
 */
export async function writeBack(life: Life): Promise<void> {
  if (!life.journal) return;
  const settled = await writeRows(life);
  for (const lane of LANES) {
    const { spool } = life.stores[lane];
    if (!spool) continue;
    life.garbage += spool.forget(0, settled[lane]);
    await trim(life, lane, settled[lane]);
  }
}

/** The rows as they are now; with `sender` that of the life, too. Resolves with what they say is settled. */
export async function writeRows(
  { journal, stores }: Life,
  sender?: { readonly node: string; readonly component: string },
): Promise<PerLane<number>> {
  const settled: Record<Lane, number> = { urgent: 0, normal: 0 };
  await journal?.commit((draft) => {
    if (sender) putLife(draft, sender);
    for (const lane of LANES) {
      const row = stores[lane].row();
      settled[lane] = row.settled;
      draft.put(seriesKey(lane), () => row);
    }
  });
  return settled;
}

/** Who it was, for people. */
export function putLife(draft: Draft, { node, component }: { readonly node: string; readonly component: string }): void {
  draft.put(LIFE_KEY, () => ({ version: 1, node, component }));
}

async function trim({ journal, stores }: Life, lane: Lane, settled: number): Promise<void> {
  const keep = stores[lane].spool!.positionToKeep(settled);
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
