/**
 * LevelDB trusts the structure of its tables: it verifies no checksum unless it is asked to, which cannot be done from here, and an offset
 * of a block that points outside of it is followed, and ends the process. So before a database is opened, the parts of its tables that
 * LevelDB follows blindly are checked, the order of its keys, and the checksums of blocks with rows. Blobs are not: each has a checksum of its own.
 *
 * A table (LevelDB's doc/table_format.md): blocks, a Bloom filter, metaindex block, index block, footer of 48 bytes { handle of the metaindex,
 * handle of the index, padding, magic u64 }. The index has an entry for each block: a key at or after its last, and its handle; the metaindex
 * has the filter's. A handle is two varints, offset and size; a block is followed by a type (0: as it is, 1: Snappy) and a u32 checksum. A
 * block is entries { varints shared, unshared, value length; unshared key; value }, then u32 offsets of its restarts, and their u32 count; all
 * little-endian.
 *
 * Our tables are not compressed, but those that LevelDB's repair makes are, and no option keeps it from that. One flipped bit of such a block
 * is none of a blob but of everything behind it: its checksum has to be right whatever is in it.
 */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readHeader } from './blob.ts';
import { maskedCrc32c } from './crc32c.ts';
import { keyOf, TAG_BYTES, type Table } from './level-manifest.ts';
import { varint } from './level-varint.ts';
import { unsnappy } from './snappy.ts';
import { TableFile } from './table-file.ts';
import { walkBlocks } from './table-walk.ts';

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
/** The type of a block that is compressed. */
const SNAPPY = 1;
/** No block of ours is larger once it is unpacked: an index, and a row of 16 MiB, are the largest. */
const UNPACKED_BYTES_MAX = 64 * 1024 * 1024;
/** What is read for an entry's key, unless that is longer. */
const KEY_WINDOW_BYTES = 256;
/** What is read for a block's restarts, unless they are more: those of a blob are one. */
const END_WINDOW_BYTES = 64;
/** The first byte of a blob's key (keys.ts). */
export const BLOB_KEY = 0x65;
const MAGIC = 0xdb4775248b80fb57n;
/** No index of ours is larger: a table has 2 MiB. */
const INDEX_BYTES_MAX = 64 * 1024 * 1024;

export interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

/** Names of the tables of a closed database that LevelDB must not open. */
export async function unsafeTables(directory: string): Promise<string[]> {
  const unsafe: string[] = [];
  for (const name of await tableNames(directory)) {
    if (!isSafeTable(join(directory, name))) unsafe.push(name);
    await new Promise((resolve) => setImmediate(resolve)); // a table takes some hundred reads
  }
  return unsafe;
}

/** Of those in use, where that is known. */
export async function tableNames(directory: string, inUse?: ReadonlyMap<number, Table>): Promise<string[]> {
  const names = await readdir(directory).catch(() => []); // what is no directory yet, or never, LevelDB will say
  return names.filter((name) => /\.(ldb|sst)$/.test(name) && (inUse?.has(Number.parseInt(name, 10)) ?? true));
}

/** The blocks of a table, its index last. Throws a RangeError where it is damaged. */
export function tableBlocks(path: string): BlockHandle[] {
  return TableFile.use(path, (file) => {
    const { blocks, meta, index } = readIndex(file);
    return [...blocks.map(({ handle }) => handle), meta, index];
  });
}

/** What can be read of a table of which a part is damaged: the entries of its sound blocks. */
export function* soundEntries(path: string): Generator<TableEntry> {
  const file = new TableFile(path);
  try {
    const blocks = tryOr(() => soundIndex(file), undefined);
    const found = blocks ?? walkBlocks(readFileSync(path), (handle) => hasSoundChecksum(file, handle));
    for (const handle of found) yield* tryOr(() => readEntries(file, handle), []);
  } finally {
    file.close();
  }
}

/** The blocks that an index names which is as it was written: another one may pass over some of them. */
function soundIndex(file: TableFile): BlockHandle[] | undefined {
  const { blocks, index } = readIndex(file);
  return hasSoundChecksum(file, index) ? blocks.map(({ handle }) => handle) : undefined;
}

export interface TableEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

interface Block {
  readonly handle: BlockHandle;
  /** No key in it holds a row of ours: only blobs, which tell by themselves what they are. */
  readonly isOfBlobs: boolean;
}

/** Of a table, by the manifest. */
type Bounds = Pick<Table, 'size' | 'smallest' | 'largest'>;

/**
 * Whether LevelDB may open a table. Where no manifest tells how long it must be, a file without an end is safe: LevelDB sees that itself, and a
 * table that was being written when the disk was full, or the process killed, is like that and belongs to nothing. Throws what opening the
 * file throws.
 */
export function isSafeTable(path: string, bounds?: Bounds): boolean {
  return TableFile.use(path, (file) => {
    if (bounds && file.size !== bounds.size) return false;
    if (!bounds && (file.size < FOOTER_BYTES || file.read(file.size - 8, 8).readBigUInt64LE() !== MAGIC)) return true;
    return tryOr(() => {
      const { blocks, meta, index } = readIndex(file, bounds);
      if (!hasSoundChecksum(file, index) || !hasSoundChecksum(file, meta) || !hasSoundFilter(file, meta)) return false;
      const areSound = blocks.every(({ handle, isOfBlobs }) => isOfBlobs || hasSoundChecksum(file, handle));
      return areSound && isInOrder(file, blocks, bounds) && (bounds !== undefined || hasSoundEnd(file, blocks));
    }, false);
  });
}

/**
 * Newer versions of a key come first. Out of this order LevelDB brings back what was overwritten or deleted; and a compaction that meets it
 * ends the process, with a failed assertion.
 */
function isInOrder(file: TableFile, blocks: readonly Block[], bounds: Bounds | undefined): boolean {
  let before: TableKey | undefined;
  for (const { handle } of blocks) {
    for (const key of keysOf(file, handle)) {
      if ((key.tag & 0xffn) > 1n || !(before ? isBefore(before, key) : isAt(key, bounds?.smallest))) return false;
      before = key;
    }
  }
  return before === undefined || isAt(before, bounds?.largest);
}

function isAt({ key, tag }: TableKey, bound: Buffer | undefined): boolean {
  return bound === undefined || (tag === bound.readBigUInt64LE(bound.length - TAG_BYTES) && key.equals(keyOf(bound)));
}

/** What the metaindex names: the Bloom filter. Where a bit of it is gone, LevelDB says of a row that is there that it is not. */
function hasSoundFilter(file: TableFile, meta: BlockHandle): boolean {
  const named = readEntries(file, meta, true).map(({ value }) => checked(handleAt(value, { at: 0 }), meta.offset));
  return named.every((handle) => hasSoundChecksum(file, handle));
}

/** The last key of a table bounds it, also where no manifest says so: a blob's checksum says whether it is right. */
function hasSoundEnd(file: TableFile, blocks: readonly Block[]): boolean {
  const last = blocks.at(-1);
  const entry = last?.isOfBlobs === true ? readEntries(file, last.handle, true).at(-1) : undefined;
  return entry === undefined || (entry.tag & 0xffn) === 0n || readHeader(entry.key, entry.value) !== undefined;
}

/** A RangeError says that bytes are not what they should be. */
function tryOr<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) return otherwise;
    throw error;
  }
}

function readIndex(file: TableFile, bounds?: Bounds): { blocks: Block[]; meta: BlockHandle; index: BlockHandle } {
  const footer = file.read(file.size - FOOTER_BYTES, FOOTER_BYTES);
  if (footer.readBigUInt64LE(40) !== MAGIC) throw new RangeError('a table must end with its magic number');
  const cursor = { at: 0 };
  const meta = checked(handleAt(footer, cursor), file.size - FOOTER_BYTES);
  const index = checked(handleAt(footer, cursor), file.size - FOOTER_BYTES);
  if (index.size > INDEX_BYTES_MAX) throw new RangeError(`an index must have at most ${INDEX_BYTES_MAX} bytes, got ${index.size}`);
  entriesEnd(file, index);
  const entries = readEntries(file, index, true); // its keys are those of blocks, also of blocks that end with a deleted one
  let before = bounds?.smallest[0];
  const blocks = entries.map(({ key, value }, i) => {
    // What the index has for the last block may lie behind its last key.
    const last = i === entries.length - 1 && bounds ? bounds.largest[0] : key[0];
    const isOfBlobs = before === BLOB_KEY && last === BLOB_KEY;
    before = last;
    return { handle: checked(handleAt(value, { at: 0 }), index.offset), isOfBlobs };
  });
  return { blocks, meta, index };
}

/** A row under a wrong sequence number would be one that nothing overwrites any more: no checksum of ours sees that. */
function hasSoundChecksum(file: TableFile, { offset, size }: BlockHandle): boolean {
  const bytes = file.read(offset, size + TRAILER_BYTES);
  return bytes.readUInt32LE(size + 1) === maskedCrc32c(bytes.subarray(0, size + 1));
}

interface TableKey {
  readonly key: Buffer;
  readonly tag: bigint;
}

function isBefore(a: TableKey, b: TableKey): boolean {
  const order = Buffer.compare(a.key, b.key);
  return order < 0 || (order === 0 && a.tag > b.tag);
}

/** The keys of a block. Values are not read: a journal may have gigabytes of them. */
function keysOf(file: TableFile, handle: BlockHandle): TableKey[] {
  let window = file.read(handle.offset, Math.min(KEY_WINDOW_BYTES, handle.size)); // first, for it was read with the block before
  const { type, end, restarts } = entriesEnd(file, handle);
  if (type === SNAPPY) return readEntries(file, handle, true);
  const keys: TableKey[] = [];
  let last = Buffer.alloc(0);
  for (let at = 0, next = 0; at < end;) {
    if (at > 0) window = file.read(handle.offset + at, Math.min(KEY_WINDOW_BYTES, end - at));
    const cursor = { at: 0 };
    const [shared, unshared, length] = [varint(window, cursor), varint(window, cursor), varint(window, cursor)];
    if (cursor.at + unshared > end - at) throw new RangeError('an entry must lie inside of its block');
    if (at > (restarts[next] ?? Infinity)) throw new RangeError('a restart must be at an entry');
    if (at === restarts[next]) {
      if (shared > 0) throw new RangeError('an entry at a restart must have a key of its own');
      next++;
    }
    if (cursor.at + unshared > window.length) window = file.read(handle.offset + at, cursor.at + unshared);
    last = joined(last, { shared, unshared: window.subarray(cursor.at, cursor.at + unshared) });
    at += cursor.at + unshared + length;
    if (at > end) throw new RangeError('an entry must lie inside of its block');
    keys.push({ key: keyOf(last), tag: last.readBigUInt64LE(last.length - TAG_BYTES) });
    if (at >= end && next < restarts.length) throw new RangeError('a restart must be at an entry');
  }
  return keys;
}

/** A key, with its tag. */
function joined(before: Buffer, { shared, unshared }: { shared: number; unshared: Buffer }): Buffer<ArrayBuffer> {
  if (shared > before.length || shared + unshared.length < TAG_BYTES) throw new RangeError('an entry must have a key');
  return Buffer.concat([before.subarray(0, shared), unshared]);
}

/** The entries of a block; keys without the 8 bytes that LevelDB appends to them, which are the tag. */
function readEntries(file: TableFile, handle: BlockHandle, withDeleted = false): (TableEntry & { tag: bigint })[] {
  const bytes = typeAt(file, handle) === SNAPPY ? unpacked(file, handle) : file.read(handle.offset, handle.size);
  const end = bytes.length - 4 - 4 * bytes.readUInt32LE(bytes.length - 4);
  const entries: (TableEntry & { tag: bigint })[] = [];
  let last = Buffer.alloc(0);
  for (const cursor = { at: 0 }; cursor.at < end;) {
    const shared = varint(bytes, cursor);
    const unshared = varint(bytes, cursor);
    const length = varint(bytes, cursor);
    const from = cursor.at + unshared;
    if (from + length > end) throw new RangeError('an entry must lie inside of its block');
    last = joined(last, { shared, unshared: bytes.subarray(cursor.at, from) });
    cursor.at = from + length;
    const tag = last.readBigUInt64LE(last.length - TAG_BYTES);
    if (withDeleted || (tag & 0xffn) === 1n) entries.push({ key: keyOf(last), value: bytes.subarray(from, cursor.at), tag });
  }
  return entries;
}

/** The type that is written behind a block. LevelDB refuses others by itself, with an error. */
function typeAt(file: TableFile, { offset, size }: BlockHandle): number {
  return file.read(offset + size, 1).readUInt8(0);
}

function unpacked(file: TableFile, handle: BlockHandle): Buffer {
  if (!hasSoundChecksum(file, handle)) throw new RangeError('a packed block must match its checksum');
  return unsnappy(file.read(handle.offset, handle.size), UNPACKED_BYTES_MAX);
}

/**
 * The type of a block, where its entries end once it is unpacked, and its restarts. Of a large block that is not packed only its end is read:
 * a journal may have gigabytes of them. Throws a RangeError at restarts that are not in order, or outside of the entries.
 */
function entriesEnd(file: TableFile, handle: BlockHandle): { type: number; end: number; restarts: number[] } {
  const window = Math.min(handle.size, END_WINDOW_BYTES);
  const last = file.read(handle.offset + handle.size - window, window + 1);
  const type = last.readUInt8(window);
  const bytes = type === SNAPPY ? unpacked(file, handle) : last.subarray(0, window);
  const size = type === SNAPPY ? bytes.length : handle.size;
  const count = size < 8 ? 0 : bytes.readUInt32LE(bytes.length - 4);
  const end = size - 4 - 4 * count;
  if (count === 0 || end < 0) throw new RangeError('a block must have its restarts inside of it');
  const from = bytes.length - 4 - 4 * count;
  const written = from < 0 ? file.read(handle.offset + end, 4 * count) : bytes.subarray(from);
  const restarts: number[] = [];
  for (let i = 0, before = -1; i < count; i++) {
    const restart = written.readUInt32LE(4 * i);
    if (restart <= before || (restart >= end && restart > 0))
      throw new RangeError('the restarts of a block must be in order, inside of it');
    restarts.push((before = restart));
  }
  return { type, end, restarts };
}

function checked(handle: BlockHandle, limit: number): BlockHandle {
  if (handle.offset + handle.size + TRAILER_BYTES > limit) throw new RangeError('a block must lie inside of its table');
  return handle;
}

function handleAt(bytes: Buffer, cursor: { at: number }): BlockHandle {
  const offset = varint(bytes, cursor);
  return { offset, size: varint(bytes, cursor) };
}
