/**
 * A disk on LevelDB, guarded against what it does not do by itself (all measured with classic-level 3):
 *
 * - A failed write (ENOSPC, EIO) makes every later one fail until the database is reopened: the journal does that.
 * - `clear` is neither synced nor atomic: it is used only below a tail that is already committed.
 * - Array batches and sublevel options halve the rate: chained batches, keys made by hand.
 * - A scan over cleared ranges crawls: every scan begins at a known key.
 */
import type { ClassicLevel } from 'classic-level';
import { Level } from 'level';
import { FondacoError } from '../core/errors.ts';
import type { Disk, DiskOperation } from './disk.ts';

/** Opens or creates the database. Rejects FULL, UNAVAILABLE (held by another process, or an I/O error) or CORRUPT. */
export async function openLevelDisk(directory: string, writeBufferBytes: number): Promise<Disk> {
  const options = { keyEncoding: 'buffer', valueEncoding: 'buffer', compression: false, writeBufferSize: writeBufferBytes } as const;
  // `level` is classic-level in Node; its own types are the intersection with the browser's, which has no snapshots.
  const db = new Level<Buffer, Buffer>(directory, options) as unknown as ClassicLevel<Buffer, Buffer>;
  try {
    await db.open();
  } catch (error) {
    throw ours(error, `the store ${directory} must open`);
  }
  return new LevelDisk(db);
}

class LevelDisk implements Disk {
  readonly #db: ClassicLevel<Buffer, Buffer>;

  constructor(db: ClassicLevel<Buffer, Buffer>) {
    this.#db = db;
  }

  async write(operations: readonly DiskOperation[]): Promise<void> {
    try {
      const batch = this.#db.batch();
      for (const { key, value } of operations) {
        if (value === undefined) batch.del(key);
        else batch.put(key, value);
      }
      await batch.write({ sync: true });
    } catch (error) {
      throw ours(error, 'the store must take a write');
    }
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    try {
      return await this.#db.get(key);
    } catch (error) {
      throw ours(error, 'the store must be readable');
    }
  }

  async *scan(from: Buffer, to: Buffer, { reverse = false, limit = -1 } = {}): AsyncIterable<readonly [Buffer, Buffer]> {
    try {
      const iterator = this.#db.iterator({ gte: from, lt: to, reverse, limit, highWaterMarkBytes: SCAN_BYTES });
      try {
        for (let pairs = await iterator.nextv(SCAN_PAIRS); pairs.length > 0; pairs = await iterator.nextv(SCAN_PAIRS)) yield* pairs;
      } finally {
        await iterator.close();
      }
    } catch (error) {
      throw ours(error, 'the store must be readable');
    }
  }

  async scanAll(ranges: readonly (readonly [Buffer, Buffer])[]): Promise<(readonly [Buffer, Buffer])[]> {
    try {
      const snapshot = this.#db.snapshot();
      try {
        const found: (readonly [Buffer, Buffer])[] = [];
        for (const [gte, lt] of ranges) for (const pair of await this.#db.iterator({ gte, lt, snapshot }).all()) found.push(pair);
        return found;
      } finally {
        await snapshot.close();
      }
    } catch (error) {
      throw ours(error, 'the store must be readable');
    }
  }

  async clear(from: Buffer, to: Buffer): Promise<void> {
    try {
      await this.#db.clear({ gte: from, lt: to });
    } catch (error) {
      throw ours(error, 'the store must take a delete');
    }
  }

  async close(): Promise<void> {
    try {
      await this.#db.close();
    } catch (error) {
      throw ours(error, 'the store must close');
    }
  }
}

const SCAN_BYTES = 1024 * 1024;
const SCAN_PAIRS = 1000;

/** LevelDB has no codes for what lies below it: the text of the deepest cause is all there is to tell a full disk by. */
function ours(error: unknown, expected: string): FondacoError {
  if (error instanceof FondacoError) return error;
  let deepest = error;
  while (deepest instanceof Error && deepest.cause !== undefined) deepest = deepest.cause;
  const text = deepest instanceof Error ? deepest.message : String(deepest);
  const code = /no space left|disk quota|file too large/i.test(text) ? 'FULL' : /corruption/i.test(text) ? 'CORRUPT' : 'UNAVAILABLE';
  return new FondacoError(code, `${expected}, got ${text}`, { cause: error });
}
