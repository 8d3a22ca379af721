/**
 * The blocks of a table whose index or end is damaged or gone, found one after the other: a block tells by itself where it ends. Its first
 * entry shares nothing with a key before it; behind its last are as many restarts as its entries need (one for each 16), of which the first is
 * 0, which as an entry would have no key; and its checksum is right. Only blocks that are not packed, which ours are not.
 */
import type { BlockHandle } from './level-tables.ts';

const TRAILER_BYTES = 5;
const TAG_BYTES = 8;
/** LevelDB's `block_restart_interval`, at its default. */
const ENTRIES_PER_RESTART = 16;

/** Whole blocks in the order of the file. `isSound`: its checksum is right. */
export function* walkBlocks(table: Buffer, isSound: (block: BlockHandle) => boolean): Generator<BlockHandle> {
  for (let offset = 0; offset + TRAILER_BYTES < table.length;) {
    const size = sizeOfBlock(table, offset);
    const isBlock = size > 0 && isSound({ offset, size });
    if (isBlock) yield { offset, size };
    offset += isBlock ? size + TRAILER_BYTES : 1;
  }
}

/** 0 where there is none. */
function sizeOfBlock(table: Buffer, offset: number): number {
  const cursor = { at: offset };
  for (let count = 0, keyBytes = 0; cursor.at < table.length; count++) {
    const begin = cursor.at;
    const shared = varint(table, cursor);
    const unshared = varint(table, cursor);
    const length = varint(table, cursor);
    if (shared === 0 && unshared === 0) return sizeWithRestarts(table, { offset, end: begin, count });
    if (shared > keyBytes || shared + unshared < TAG_BYTES) return 0;
    keyBytes = shared + unshared;
    cursor.at += unshared + length;
  }
  return 0;
}

function sizeWithRestarts(table: Buffer, { offset, end, count }: { offset: number; end: number; count: number }): number {
  const restarts = Math.max(1, Math.ceil(count / ENTRIES_PER_RESTART));
  const last = end + 4 * restarts;
  if (last + 4 + TRAILER_BYTES > table.length || table.readUInt32LE(last) !== restarts || table[last + 4] !== 0) return 0;
  return last + 4 - offset;
}

/** Infinity where there is none of at most 32 bits: nothing lies there. */
function varint(bytes: Buffer, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 35 && cursor.at < bytes.length; scale *= 128) {
    const byte = bytes[cursor.at++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  return Infinity;
}
