/**
 * What a store is known to have held: the file `heads` beside the database, `{ id, at, heads, crc32 }` as JSON, written after commits that are
 * durable, once a second at most, and at the end. LevelDB takes a log that was cut short for one that ends there: nothing inside the database
 * can tell. The file is not synced; one that is behind, or cannot be read, says less and nothing wrong.
 */
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Clock } from '../core/clock.ts';
import type { CutShort, Journal } from '../core/journal.ts';
import { LANES, perLane, type PerLane } from '../core/lane.ts';

/** Its name in the directory of a store. */
export const HEADS_FILE = 'heads';
const WRITE_MS = 1000;
/** An id and four numbers, with room to spare. */
const FILE_BYTES = 256;

interface Heads {
  readonly id: string;
  /** Wall clock, ms. */
  readonly at: number;
  readonly heads: PerLane<number>;
}

export class HeadWitness {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #found: Heads | undefined;
  #writing: Promise<void> | undefined;
  readonly #stop = new AbortController();

  private constructor(path: string, clock: Clock, found: Heads | undefined) {
    this.#path = path;
    this.#clock = clock;
    this.#found = found;
  }

  /** Reads what the last opening of the directory's journal left. */
  static async open(directory: string, clock: Clock): Promise<HeadWitness> {
    const path = join(directory, HEADS_FILE);
    const text = await readFile(path, 'utf8').catch(() => '');
    return new HeadWitness(path, clock, parse(text));
  }

  /** What the journal, just opened, is known to have had and has not. */
  cut(journal: Journal): CutShort | undefined {
    const found = this.#found;
    if (!found) return undefined;
    const isGone = found.id !== journal.id;
    const isCut = LANES.some((lane) => found.heads[lane] > (isGone ? 1 : journal.head(lane)));
    return isCut ? { heads: found.heads, at: found.at, isGone } : undefined;
  }

  /** Follows the journal until `close`. */
  follow(journal: Journal): void {
    journal.onCommit(() => {
      this.#writing ??= this.#clock
        .sleep(WRITE_MS, this.#stop.signal)
        .then(async () => this.#write(journal))
        .finally(() => (this.#writing = undefined));
    });
  }

  /** Writes what is durable at the end. */
  async close(journal: Journal): Promise<void> {
    this.#stop.abort();
    await (this.#writing ?? this.#write(journal));
  }

  async #write(journal: Journal): Promise<void> {
    const { id } = journal;
    const before = this.#found?.id === id ? this.#found.heads : undefined; // as long as nobody has put it right
    const heads = perLane((lane) => Math.max(journal.head(lane), before?.[lane] ?? 1));
    const found = { id, at: this.#clock.now(), heads };
    const text = JSON.stringify({ ...found, crc32: checksum(found) });
    // Over what is there, always as long: it takes no room of a disk that is full. What that tears is not read.
    const write = async (flag: 'r+' | 'w'): Promise<void> => writeFile(this.#path, text.padEnd(FILE_BYTES), { flag, mode: 0o600 });
    await write('r+')
      .catch(async (error: unknown) => ((error as NodeJS.ErrnoException).code === 'ENOENT' && !journal.isLow ? write('w') : undefined))
      .catch(() => undefined); // a disk that fails is told by the journal
  }
}

/** For a view of a store: a copy, for a journal writes into it in its place. A store of an earlier version, or of one commit, has none. */
export async function copyHeads(from: string, to: string): Promise<void> {
  await copyFile(join(from, HEADS_FILE), join(to, HEADS_FILE)).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
}

function parse(text: string): Heads | undefined {
  try {
    const { id, at, heads, crc32: sum } = JSON.parse(text) as Heads & { readonly crc32: number };
    const isWhole = typeof id === 'string' && Number.isFinite(at) && LANES.every((lane) => Number.isSafeInteger(heads[lane]));
    return isWhole && sum === checksum({ id, at, heads }) ? { id, at, heads } : undefined;
  } catch {
    return undefined;
  }
}

function checksum({ id, at, heads }: Heads): number {
  return crc32(JSON.stringify([id, at, ...LANES.map((lane) => heads[lane])]));
}
