/**
 * What a closed database is made of, by its manifest: a table that is in none of its lists is one that was being written when the process or
 * the power went, and LevelDB deletes it unread at the next opening.
 *
 * CURRENT holds the manifest's name. A manifest is a log (log-records.ts) whose records are lists of changes (db/version_edit.cc), a varint tag
 * before each: 1 comparator, 2 log, 3 next file, 4 last sequence, 5 compaction { level, key }, 6 table deleted { level, number },
 * 7 table added { level, number, size, smallest key, largest key }, 9 previous log. Keys and the comparator are texts behind a varint length.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { varint } from './level-varint.ts';
import { readRecords } from './log-records.ts';

/** Behind each key: its sequence number and type. */
export const TAG_BYTES = 8;

/** A table, as a manifest has it. */
export interface Table {
  readonly level: number;
  readonly number: number;
  readonly size: number;
  /** Its first and its last key, each with the 8 bytes that LevelDB appends to them. */
  readonly smallest: Buffer;
  readonly largest: Buffer;
  /** Its size and keys, as they are written. */
  readonly bytes: Buffer;
}

/** Of a key as LevelDB has it: what its owner has written. */
export function keyOf(internal: Buffer): Buffer {
  return internal.subarray(0, -TAG_BYTES);
}

/** What the changes of a manifest come to. */
export interface Content {
  readonly tables: readonly Table[];
  /** Below it a database has given out names; 0 where that is not said. */
  readonly nextFile: number;
}

/** The tables in use, by number; `undefined` where the manifest cannot be read to its end: then any table may be one. */
export async function tablesInUse(directory: string): Promise<ReadonlyMap<number, Table> | undefined> {
  try {
    const current = await readFile(join(directory, 'CURRENT'), 'latin1');
    if (!/^MANIFEST-\d+\n$/.test(current)) return undefined;
    const { records, isWhole } = readRecords(await readFile(join(directory, current.trim())), { zerosAreRoom: true });
    return isWhole ? new Map(contentOf(records).tables.map((table) => [table.number, table])) : undefined;
  } catch (error) {
    if (error instanceof RangeError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Throws a RangeError at a change that is not known, or cut short. */
export function contentOf(records: readonly Buffer[]): Content {
  const tables = new Map<string, Table>();
  let nextFile = 0;
  for (const record of records) nextFile = apply(record, tables) ?? nextFile;
  return { tables: [...tables.values()], nextFile };
}

/** Returns the next file number, if the record says one. */
function apply(record: Buffer, tables: Map<string, Table>): number | undefined {
  const cursor = { at: 0 };
  let nextFile: number | undefined;
  const number = (): number => varint(record, cursor);
  const text = (): Buffer => {
    const length = number();
    cursor.at += length;
    return record.subarray(cursor.at - length, cursor.at);
  };
  const key = (): Buffer => {
    const bytes = text();
    if (bytes.length < TAG_BYTES) throw new RangeError(`a key must have at least ${TAG_BYTES} bytes, got ${bytes.length}`);
    return Buffer.from(bytes);
  };
  while (cursor.at < record.length) {
    const tag = number();
    if (tag === 1) text();
    else if (tag === 3) nextFile = number();
    else if (tag === 4) passSequence(record, cursor);
    else if (tag === 2 || tag === 9) number();
    else if (tag === 5) {
      number();
      text();
    } else if (tag === 6) tables.delete(`${number()}/${number()}`);
    else if (tag === 7) {
      const place = { level: number(), number: number() };
      const from = cursor.at;
      const content = { size: number(), smallest: key(), largest: key() };
      tables.set(`${place.level}/${place.number}`, { ...place, ...content, bytes: Buffer.from(record.subarray(from, cursor.at)) });
    } else throw new RangeError(`a change must be one that is known, got ${tag}`);
  }
  return nextFile;
}

/** Up to 2^56, which is nothing to calculate with. RangeError at the end of the bytes. */
function passSequence(record: Buffer, cursor: { at: number }): void {
  while (record.readUInt8(cursor.at++) >= 0x80);
}
