/**
 * Looks into spools from outside, without changing them. LevelDB writes when it opens, so it opens another directory, beside the life's own,
 * whose files are links to the life's: LevelDB never writes into a file that was there. A life whose owner is alive is left alone.
 */
import { rmSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { SeqRange } from '../core/batch.ts';
import { systemClock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Journal } from '../core/journal.ts';
import { LANES, type Lane, type PerLane } from '../core/lane.ts';
import { ProtobufReader } from '../core/protobuf.ts';
import { LevelJournal } from '../journal/level-journal.ts';
import { lockDirectory } from '../journal/directory-lock.ts';
import { copyHeads } from '../journal/head-witness.ts';
import { linkStore } from '../journal/link-store.ts';
import { restoreAll } from './adoption.ts';
import { EXIT_FILE } from './exit-file.ts';
import { directoryBytes, VIEW } from './life-directory.ts';
import { openOrSetAside } from './life-opening.ts';
import type { LifeParts } from './life.ts';
import type { SeriesStore } from './series-store.ts';
import { LIFE_KEY, seriesKey } from './spool.ts';

const HOLDER = `fondaco spool, process ${process.pid}`;
const CUT = { eventsMax: 1000, bytesMax: 1024 * 1024 };
const WRITE_BUFFER_BYTES = 2 * 1024 * 1024;

/** Where a life is. */
export interface LifePlace {
  /** As the recorder was told. */
  readonly component: string;
  readonly life: string;
  readonly directory: string;
}

/** Something about a life that is not as it was written, in words. */
export interface Damage {
  readonly what: string;
  /** The seqs that are lost by it, where they are known. */
  readonly lane?: Lane;
  readonly lost?: SeqRange;
}

/** The lives below a directory, which is a spool's, a component's, or a life's own; oldest first. Rejects CONFIG if it cannot be read. */
export async function findLives(directory: string): Promise<LifePlace[]> {
  if (await isLife(directory)) return [placeOf(directory)];
  const lives: LifePlace[] = [];
  for (const path of await foldersIn(directory)) {
    if (await isLife(path)) lives.push(placeOf(path));
    else for (const below of await foldersIn(path)) if (await isLife(below)) lives.push(placeOf(below));
  }
  return lives.sort((a, b) => (a.component === b.component ? (a.life < b.life ? -1 : 1) : a.component < b.component ? -1 : 1));
}

/** Views that are open, for a reader that is ended by a signal. */
const views = new Set<string>();

/** Takes away every view that is open. Synchronous: the last thing that a process does. */
export function removeViews(): void {
  for (const view of views) rmSync(view, { recursive: true, force: true });
}

/** A life that nobody has open, read from a view of its files. */
export class StoppedLife {
  readonly place: LifePlace;
  /** What is not as it was written, as far as that has been found: all of it once `events` has come to its end in both lanes. */
  readonly damages: Damage[] = [];
  readonly #view: string;
  #journal: Journal | undefined;
  #stores!: PerLane<SeriesStore>;
  #unreadable: Error | undefined;

  private constructor(place: LifePlace, view: string) {
    this.place = place;
    this.#view = view;
  }

  /** Rejects UNAVAILABLE, naming the holder, if its owner is alive; FULL if there is no room for what LevelDB writes to open it. */
  static async open(place: LifePlace): Promise<StoppedLife> {
    const view = join(dirname(place.directory), `${VIEW}${randomUUID()}`);
    const life = new StoppedLife(place, view);
    views.add(view);
    try {
      const lock = await lockDirectory(place.directory, HOLDER);
      try {
        await linkStore(place.directory, join(view, place.life), [EXIT_FILE]);
        await copyHeads(place.directory, join(view, place.life));
      } finally {
        await lock.release();
      }
      await life.#load();
      return life;
    } catch (error) {
      await life.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#journal?.close();
    await rm(this.#view, { recursive: true, force: true });
    views.delete(this.#view);
  }

  /** Events that wait to be sent. */
  waiting(lane: Lane): number {
    return this.#stores[lane].spooled + this.#stores[lane].queued;
  }

  /** The events that wait, in order. Damages that are met on the way are noted. */
  async *events(lane: Lane): AsyncGenerator<{ readonly seq: number; readonly bytes: Buffer }> {
    const store = this.#stores[lane];
    const reader = new ProtobufReader();
    store.window.reset();
    while (store.hasMore) {
      let seq = store.window.sent;
      const cut = await store.read(CUT);
      if (!cut)
        throw this.#unreadable ?? new FondacoError('CORRUPT', `${this.place.directory} must be readable, got an end before its end`);
      for (const slice of cut.events.slices) {
        for (reader.over(Buffer.from(slice)); reader.next();) {
          do seq++;
          while (store.lost.has(seq));
          yield { seq, bytes: Buffer.from(slice.subarray(reader.start, reader.at)) };
        }
      }
      store.window.send(cut.last);
    }
  }

  /** The id of an event: that of its series and its seq. */
  idOf(lane: Lane, seq: number): string {
    return `${this.#stores[lane].id}-${seq}`;
  }

  async #load(): Promise<void> {
    const directory = join(this.#view, this.place.life);
    const parts = this.#parts();
    this.#journal = await openOrSetAside(directory, parts);
    const journal = this.#journal;
    this.#stores = await restoreAll(directory, journal, parts);
    for (const text of journal.salvaged) this.damages.push({ what: text.replace(/;? (what was given up|it is in) .*/, '') });
    const isUsed = LANES.some((lane) => journal.head(lane) > 1);
    for (const key of [LIFE_KEY, ...LANES.map(seriesKey)]) {
      const problem = await journal.row(key).then(
        (row) => (row === undefined && isUsed ? `row ${JSON.stringify(key)} is missing` : undefined),
        (error: unknown) => textOf(error),
      );
      if (problem !== undefined) this.damages.push({ what: problem });
    }
  }

  #parts(): LifeParts {
    const clock = systemClock();
    const note = (what: string): void => void this.damages.push({ what: what.replaceAll(this.#view, dirname(this.place.directory)) });
    return {
      node: '',
      component: this.place.component,
      clock,
      openJournal: (directory) =>
        LevelJournal.open(directory, {
          clock,
          stamp: { site: '' },
          holder: HOLDER,
          writeBufferBytes: WRITE_BUFFER_BYTES,
          recentBytes: 0,
          isWitnessed: true,
          onProblem: ({ text }) => note(text),
        }),
      onProblem: ({ text }) => note(text.replace(/; it is set aside as .*/, '')),
      onCommit: () => undefined,
      events: {
        changed: () => undefined,
        rejected: () => undefined,
        unreadable: (_, error) => (this.#unreadable = error),
        damaged: ({ lane, id }, lost) => {
          const which = lost.first === lost.last ? `event ${id}-${lost.first} is` : `events ${id}-${lost.first} to -${lost.last} are`;
          this.damages.push({ what: `${which} gone`, lane, lost });
        },
      },
    };
  }
}

/** What a life's directory takes, in bytes. */
export function bytesOf({ directory }: LifePlace): Promise<number> {
  return directoryBytes(directory);
}

async function foldersIn(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => join(directory, name));
  } catch (error) {
    throw new FondacoError('CONFIG', `${directory} must be a readable directory, got ${asError(error).message}`, { cause: error });
  }
}

async function isLife(directory: string): Promise<boolean> {
  for (const name of ['db', EXIT_FILE]) {
    if (await stat(join(directory, name)).then(() => true, () => false)) return true; // prettier-ignore
  }
  return false;
}

function placeOf(directory: string): LifePlace {
  const name = basename(dirname(directory));
  let component = name;
  try {
    component = decodeURIComponent(name);
  } catch {
    // not a name of ours
  }
  return { component, life: basename(directory), directory };
}

function textOf(error: unknown): string {
  return isFondacoError(error) ? error.text : asError(error).message;
}
