/**
 * A disk on LevelDB, guarded against what it does not do by itself (all measured with classic-level 3):
 *
 * - A failed write (ENOSPC, EIO) makes every later one fail until the database is reopened: the journal does that.
 * - `clear` is neither synced nor atomic: it is used only below a tail that is already committed.
 * - Array batches and sublevel options halve the rate: chained batches, keys made by hand.
 * - A scan over cleared ranges crawls: every scan begins at a known key.
 * - Each open table keeps its index and its filter, some tens of KiB, and by default there may be a thousand: memory that grows with a backlog.
 * - Opening renames a new CURRENT into place and does not sync the directory: that is done here, before anything is taken.
 */
import type { ClassicLevel } from 'classic-level';
import { Level } from 'level';
import type { Clock } from '../core/clock.ts';
import { LANES, type PerLane } from '../core/lane.ts';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import { CheckedTables } from './checked-tables.ts';
import type { Disk, DiskOperation } from './disk.ts';
import { readHeader } from './blob.ts';
import { isNoSpace, levelError } from './level-error.ts';
import { KeptFiles } from './kept-files.ts';
import { blobKey, blobsEnd, positionOf, rowKey } from './keys.ts';
import { decodeRecord } from './row-record.ts';
import {
  checkedEntries,
  clearUnborn,
  commitOf,
  droppedAtOpen,
  holdsDatabase,
  isHeadless,
  nameEvidence,
  repairLevel,
  tablesIn,
} from './level-repair.ts';
import { BLOB_KEY, unsafeTables } from './level-tables.ts';
import { makeDirectory, syncDirectory } from './make-directory.ts';

const OPEN_FILES_MAX = 128;

/**
 * Opens or creates the database, repairing what is damaged (level-repair.ts). Rejects FULL, UNAVAILABLE (held by another process, or an I/O
 * error), or CORRUPT where it does not open after a repair either.
 */
export async function openLevelDisk(
  directory: string,
  { writeBufferBytes, isDamaged, clock }: { writeBufferBytes: number; isDamaged: boolean; clock: Clock },
): Promise<Disk> {
  const salvaged: string[] = [];
  const checked = await CheckedTables.take(directory);
  let evidence: string | undefined;
  const repair = async (): Promise<void> => {
    const done = await repairLevel(directory, await unsafeTables(directory));
    salvaged.push(done.what);
    evidence = done.evidence;
  };
  try {
    await makeStore(directory);
    await clearUnborn(directory);
    const isThere = await holdsDatabase(directory);
    if (isThere && (isDamaged || (await isHeadless(directory)) || (await checked.hasUnsafe()))) await repair();
  } catch (error) {
    throw levelError(error, `the store ${directory} must open`);
  }
  const open = async (): Promise<ClassicLevel<Buffer, Buffer>> => {
    const options = {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      compression: false,
      maxOpenFiles: OPEN_FILES_MAX,
      writeBufferSize: writeBufferBytes,
    } as const;
    // `level` is classic-level in Node; its own types are the intersection with the browser's, which has no snapshots.
    const db = new Level<Buffer, Buffer>(directory, options) as unknown as ClassicLevel<Buffer, Buffer>;
    try {
      await db.open();
      await syncDirectory(directory); // LevelDB has given CURRENT its name and not synced that
      return db;
    } catch (error) {
      throw levelError(error, `the store ${directory} must open`);
    }
  };
  const files = await KeptFiles.link(directory);
  try {
    const db = await open();
    if (evidence !== undefined) await putBack(db, tablesIn(evidence));
    const found = [...(await putBackDeleted(db, files)), ...(await droppedAtOpen(directory, files))];
    const aside = found.length > 0 ? await nameEvidence(directory) : '';
    const where = found.length > 0 && (await files.setAside(aside)) ? `; it is in ${aside}` : '';
    salvaged.push(...found.map((text) => text + where));
    return new LevelDisk(db, { salvaged, checked, clock });
  } catch (error) {
    await files.giveBack();
    if (!isFondacoError(error, 'CORRUPT') || salvaged.length > 0) throw error;
    await repair();
    const db = await open();
    if (evidence !== undefined) await putBack(db, tablesIn(evidence));
    return new LevelDisk(db, { salvaged, checked, clock });
  } finally {
    await files.drop();
  }
}

/** Puts back what can be read in tables that were set aside: blobs never change, and of a row the later commit counts. */
async function putBack(db: ClassicLevel<Buffer, Buffer>, tables: readonly string[]): Promise<void> {
  for (const { key, value } of checkedEntries(tables)) {
    const stored = await db.get(key);
    const isNewer = stored !== undefined && key[0] !== BLOB_KEY && commitOf(key, value) > commitOf(key, stored);
    if (stored === undefined || isNewer) await db.put(key, value);
  }
}

/**
 * LevelDB deletes tables that its manifest does not name: what a compaction has replaced, and, where the manifest was cut short, the only
 * ones. Entries at or above the tails that nothing else holds tell these from those.
 */
async function putBackDeleted(db: ClassicLevel<Buffer, Buffer>, files: KeptFiles): Promise<string[]> {
  const tables = await files.deletedTables();
  if (tables.length === 0) return [];
  const lanes = rowKey('m:lanes');
  const rows = [await db.get(lanes), ...[...checkedEntries(tables)].filter(({ key }) => key.equals(lanes)).map(({ value }) => value)];
  const newest = rows.reduce((best, row) => (row && (!best || commitOf(lanes, row) > commitOf(lanes, best)) ? row : best), undefined);
  const tails = newest && commitOf(lanes, newest) > 0 ? (decodeRecord(lanes, newest).value as PerLane<{ tail: number }>) : undefined;
  for (const { key, value } of checkedEntries(tables)) {
    if (key[0] !== BLOB_KEY || (await db.get(key)) !== undefined) continue;
    const lane = LANES.find((each) => key.compare(blobsEnd(each)) < 0 && key.compare(blobKey(each, 0)) >= 0);
    if (lane === undefined || positionOf(key) + (readHeader(key, value)?.count ?? 0) <= (tails?.[lane].tail ?? 0)) continue;
    await putBack(db, tables);
    return [`the manifest did not name ${tables.length} of the tables: what they held was put back`];
  }
  return [];
}

async function makeStore(directory: string): Promise<void> {
  try {
    await makeDirectory(directory);
  } catch (error) {
    const { message } = error as Error;
    throw new FondacoError(isNoSpace(message) ? 'FULL' : 'UNAVAILABLE', `the store ${directory} must open, got ${message}`, {
      cause: error,
    });
  }
}

class LevelDisk implements Disk {
  readonly salvaged: readonly string[];
  readonly #db: ClassicLevel<Buffer, Buffer>;
  readonly #closing = new AbortController();
  readonly #watched: Promise<void>;
  /** What the medium lost while the database was open. */
  #damage: FondacoError | undefined;

  constructor(db: ClassicLevel<Buffer, Buffer>, parts: { salvaged: readonly string[]; checked: CheckedTables; clock: Clock }) {
    this.#db = db;
    this.salvaged = parts.salvaged;
    this.#watched = parts.checked.watch(parts.clock, this.#closing.signal).then((unsafe) => {
      if (unsafe !== undefined)
        this.#damage = new FondacoError('CORRUPT', `the table ${unsafe} must be as it was written, got other bytes`);
    });
  }

  async write(operations: readonly DiskOperation[]): Promise<void> {
    try {
      if (this.#damage) throw this.#damage;
      const batch = this.#db.batch();
      for (const { key, value } of operations) {
        if (value === undefined) batch.del(key);
        else batch.put(key, value);
      }
      await batch.write({ sync: true });
    } catch (error) {
      throw levelError(error, 'the store must take a write');
    }
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    try {
      if (this.#damage) throw this.#damage;
      return await this.#db.get(key);
    } catch (error) {
      throw levelError(error, 'the store must be readable');
    }
  }

  async *scan(
    from: Buffer,
    to: Buffer,
    { reverse = false, limit = -1, bytes }: { reverse?: boolean; limit?: number; bytes?: number } = {},
  ): AsyncIterable<readonly [Buffer, Buffer]> {
    try {
      const iterator = this.#db.iterator({
        gte: from,
        lt: to,
        reverse,
        limit,
        highWaterMarkBytes: Math.min(bytes ?? SCAN_BYTES, SCAN_BYTES),
      });
      try {
        for (let pairs = await iterator.nextv(SCAN_PAIRS); pairs.length > 0; pairs = await iterator.nextv(SCAN_PAIRS)) yield* pairs;
      } finally {
        if (bytes !== undefined && !reverse) await empty(iterator, to);
        await iterator.close();
      }
    } catch (error) {
      throw levelError(error, 'the store must be readable');
    }
  }

  async *keys(from: Buffer, to: Buffer, { reverse = false, limit = -1 } = {}): AsyncIterable<Buffer> {
    try {
      yield* this.#db.keys({ gte: from, lt: to, reverse, limit });
    } catch (error) {
      throw levelError(error, 'the store must be readable');
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
      throw levelError(error, 'the store must be readable');
    }
  }

  async clear(from: Buffer, to: Buffer): Promise<void> {
    try {
      await this.#db.clear({ gte: from, lt: to });
    } catch (error) {
      throw levelError(error, 'the store must take a delete');
    }
  }

  async compact(from: Buffer, to: Buffer): Promise<void> {
    try {
      await this.#db.compactRange(from, to);
    } catch (error) {
      throw levelError(error, 'the store must take a compaction');
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watched;
    try {
      await this.#db.close();
    } catch (error) {
      throw levelError(error, 'the store must close');
    }
  }
}

/**
 * An iterator that is closed keeps what it read last until V8 collects it, which does not know how much that is: with a large backlog it came
 * to a gigabyte. So it reads on at the end of its range, where there is nothing. That end must lie inside of the range: beyond it classic-level
 * ends the process where the database is empty.
 */
async function empty(iterator: ReturnType<ClassicLevel<Buffer, Buffer>['iterator']>, to: Buffer): Promise<void> {
  const last = to.length - 1;
  const end = Buffer.concat([to.subarray(0, last), to[last] === 0 ? Buffer.alloc(0) : Buffer.from([to[last]! - 1, 0xff, 0xff])]);
  try {
    iterator.seek(end);
    await iterator.nextv(1);
  } catch {
    // It is damaged there, which who reads there will be told.
  }
}

const SCAN_BYTES = 1024 * 1024;
const SCAN_PAIRS = 1000;
