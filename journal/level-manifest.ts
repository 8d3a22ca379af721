/**
 * Which tables a closed database is made of, by its manifest: a table that is in none of its lists is one that was being written when the
 * process or the power went, and LevelDB deletes it unread at the next opening.
 *
 * CURRENT holds the manifest's name. A manifest is a log (LevelDB's doc/log_format.md): blocks of 32 KiB with fragments { masked crc32c of
 * type and data u32, length u16, type u8 (1: whole, 2: first, 3: middle, 4: last), data }, little-endian. Each record is a list of changes,
 * a varint tag before each: 1 comparator, 2 log, 3 next file, 4 last sequence, 5 compaction { level, key }, 6 table deleted { level, number },
 * 7 table added { level, number, size, smallest key, largest key }, 9 previous log. Keys and the comparator are texts behind a varint length.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { maskedCrc32c } from './crc32c.ts';
import { varint } from './level-varint.ts';

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const FRAGMENT = { whole: 1, first: 2, middle: 3, last: 4 } as const;

/** The numbers of the tables in use; `undefined` where the manifest cannot be read to its end: then any table may be one. */
export async function tablesInUse(directory: string): Promise<ReadonlySet<number> | undefined> {
  try {
    const current = await readFile(join(directory, 'CURRENT'), 'latin1');
    if (!/^MANIFEST-\d+\n$/.test(current)) return undefined;
    const tables = new Set<number>();
    for (const record of records(await readFile(join(directory, current.trim())))) apply(record, tables);
    return tables;
  } catch (error) {
    if (error instanceof RangeError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Throws a RangeError at what does not check; an unfinished end is none: LevelDB passes over it, too. */
function* records(bytes: Buffer): Generator<Buffer> {
  let parts: Buffer[] | undefined;
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    const length = bytes.readUInt16LE(at + 4);
    const type = bytes.readUInt8(at + 6);
    if (type === 0 && length === 0) {
      at += left; // room that was never written
      continue;
    }
    if (HEADER_BYTES + length > left) throw new RangeError('a fragment must lie inside of its block');
    const end = at + HEADER_BYTES + length;
    if (end > bytes.length) return;
    if (bytes.readUInt32LE(at) !== maskedCrc32c(bytes.subarray(at + 6, end))) throw new RangeError('a fragment must match its checksum');
    const data = bytes.subarray(at + HEADER_BYTES, end);
    at = end;
    if (type === FRAGMENT.whole) yield data;
    else if (type === FRAGMENT.first) parts = [data];
    else if (parts && (type === FRAGMENT.middle || type === FRAGMENT.last)) parts.push(data);
    else throw new RangeError(`a fragment must be of a type that is known, got ${type}`);
    if (type !== FRAGMENT.last) continue;
    yield Buffer.concat(parts!);
    parts = undefined;
  }
}

function apply(record: Buffer, tables: Set<number>): void {
  const cursor = { at: 0 };
  const number = (): number => varint(record, cursor);
  const text = (): void => {
    const length = number();
    cursor.at += length;
  };
  while (cursor.at < record.length) {
    const tag = number();
    if (tag === 4) sequence(record, cursor);
    else if (tag === 1) text();
    else if (tag === 2 || tag === 3 || tag === 9) number();
    else if (tag === 5 || tag === 6 || tag === 7) {
      number();
      if (tag === 5) text();
      else if (tag === 6) tables.delete(number());
      else {
        tables.add(number());
        number();
        text();
        text();
      }
    } else throw new RangeError(`a change must be one that is known, got ${tag}`);
  }
}

/** Passes over one: up to 2^56, which is nothing to calculate with. RangeError at the end of the bytes. */
export function sequence(record: Buffer, cursor: { at: number }): void {
  while (record.readUInt8(cursor.at++) >= 0x80);
}
