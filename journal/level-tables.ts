/**
 * LevelDB trusts the structure of its tables: it verifies no checksum unless it is asked to, which cannot be done from here, and an offset
 * of a block that points outside of it is followed, and ends the process. So before a database is opened, the parts of its tables that
 * LevelDB follows blindly are checked. What keys and values hold is none of this: blobs and rows have checksums of their own.
 *
 * A table (LevelDB's doc/table_format.md): blocks, index block, footer of 48 bytes { handle of the metaindex, handle of the index, padding,
 * magic u64 }. A handle is two varints, offset and size; a block is followed by a type (0: uncompressed) and a u32 checksum. A block is
 * entries { varints shared, unshared, value length; unshared key; value }, then u32 offsets of its restarts, and their u32 count; all
 * little-endian.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const MAGIC = 0xdb4775248b80fb57n;
/** No index of ours is larger: a table has 2 MiB. */
const INDEX_BYTES_MAX = 64 * 1024 * 1024;

export interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

/**
 * Names of the tables of a closed database that LevelDB must not open. A file without an end is none of them: LevelDB sees that itself, and
 * a table that was being written when the disk was full, or the process killed, is like that and belongs to nothing.
 */
export async function unsafeTables(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => []); // what is no directory yet, or never, LevelDB will say
  const unsafe: string[] = [];
  for (const name of names) {
    if (!/\.(ldb|sst)$/.test(name)) continue;
    if (!isSafe(join(directory, name))) unsafe.push(name);
    await new Promise((resolve) => setImmediate(resolve)); // a table takes some hundred reads
  }
  return unsafe;
}

/** The blocks of a table, its index last. Throws a RangeError where it is damaged. */
export function tableBlocks(file: string): BlockHandle[] {
  const fd = openSync(file, 'r');
  try {
    return blocksOf(fd, fstatSync(fd).size);
  } finally {
    closeSync(fd);
  }
}

function isSafe(file: string): boolean {
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    if (size < FOOTER_BYTES || readAt(fd, size - 8, 8).readBigUInt64LE() !== MAGIC) return true;
    return blocksOf(fd, size).every((handle) => hasSoundRestarts(fd, handle));
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  } finally {
    closeSync(fd);
  }
}

function blocksOf(fd: number, size: number): BlockHandle[] {
  const footer = readAt(fd, size - FOOTER_BYTES, FOOTER_BYTES);
  if (footer.readBigUInt64LE(40) !== MAGIC) throw new RangeError('a table must end with its magic number');
  const cursor = { at: 0 };
  const within = (): BlockHandle => checked(handleAt(footer, cursor), size - FOOTER_BYTES);
  const meta = within();
  const index = within();
  if (index.size > INDEX_BYTES_MAX) throw new RangeError(`an index must have at most ${INDEX_BYTES_MAX} bytes, got ${index.size}`);
  if (!hasSoundRestarts(fd, index)) throw new RangeError('the restarts of an index must be inside of it');
  const blocks: BlockHandle[] = [];
  const bytes = readAt(fd, index.offset, index.size);
  const end = index.size - 4 - 4 * bytes.readUInt32LE(index.size - 4);
  for (let at = 0; at < end;) {
    const entry = { at };
    varint(bytes, entry);
    const unshared = varint(bytes, entry);
    const length = varint(bytes, entry);
    const value = { at: entry.at + unshared };
    blocks.push(checked(handleAt(bytes, value), index.offset));
    at = entry.at + unshared + length;
  }
  return [...blocks, meta, index];
}

function hasSoundRestarts(fd: number, { offset, size }: BlockHandle): boolean {
  if (size < 8) return false;
  const count = readAt(fd, offset + size - 4, 4).readUInt32LE(0);
  const end = size - 4 - 4 * count;
  if (count === 0 || end < 0) return false;
  const restarts = readAt(fd, offset + end, 4 * count);
  for (let i = 0, last = -1; i < count; i++) {
    const restart = restarts.readUInt32LE(4 * i);
    if (restart <= last || (restart >= end && restart > 0)) return false;
    last = restart;
  }
  return true;
}

function checked(handle: BlockHandle, limit: number): BlockHandle {
  if (handle.offset + handle.size + TRAILER_BYTES > limit) throw new RangeError('a block must lie inside of its table');
  return handle;
}

function handleAt(bytes: Buffer, cursor: { at: number }): BlockHandle {
  const offset = varint(bytes, cursor);
  return { offset, size: varint(bytes, cursor) };
}

/** Up to 2^49, which no file of ours reaches; RangeError beyond, and at the end of the bytes. */
function varint(bytes: Buffer, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 49; scale *= 128) {
    const byte = bytes.readUInt8(cursor.at++);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw new RangeError('a number must be below 2^49');
}

function readAt(fd: number, at: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  if (at < 0 || readSync(fd, bytes, 0, length, at) !== length) throw new RangeError('a table must be as long as it says');
  return bytes;
}
