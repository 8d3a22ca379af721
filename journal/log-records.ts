/**
 * Records of LevelDB's logs and manifests (its doc/log_format.md): blocks of 32 KiB of fragments, each with a header of 7 bytes { u32 masked
 * CRC-32C of type and content, u16 length, u8 type: 1 full, 2 first, 3 middle, 4 last }, little-endian; less than that at a block's end is padding.
 */
import { maskedCrc32c } from './crc32c.ts';

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4] as const;

/**
 * The records that are whole, and whether that is all there was: a record that the end of the file cuts short is none, as after a crash.
 * `zerosAreRoom`: a block that goes on with zeros was never written so far; else it is damaged.
 */
export function readRecords(log: Buffer, { zerosAreRoom = false } = {}): { records: Buffer[]; isWhole: boolean } {
  const records: Buffer[] = [];
  let parts: Buffer[] | undefined;
  let isWhole = true;
  for (let at = 0; at + HEADER_BYTES <= log.length;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    const end = at + HEADER_BYTES + log.readUInt16LE(at + 4);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    if (zerosAreRoom && end === at + HEADER_BYTES && log[at + 6] === 0) {
      at += left;
      continue;
    }
    if (end > log.length && end - at <= left) break;
    if (end - at > left || log.readUInt32LE(at) !== maskedCrc32c(log.subarray(at + 6, end))) {
      // Also its length may be wrong: the next block is the next place that is known.
      at += left;
      [parts, isWhole] = [undefined, false];
      continue;
    }
    const type = log[at + 6];
    if (type === FULL || type === FIRST) parts = [];
    parts?.push(log.subarray(at + HEADER_BYTES, end));
    if (parts && (type === FULL || type === LAST)) {
      records.push(Buffer.concat(parts));
      parts = undefined;
    }
    at = end;
  }
  return { records, isWhole };
}

/** A log of these records. */
export function writeRecords(records: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  const push = (bytes: Buffer): void => {
    parts.push(bytes);
    length += bytes.length;
  };
  for (const record of records) {
    for (let from = 0, isMore = true; isMore;) {
      const left = BLOCK_BYTES - (length % BLOCK_BYTES);
      if (left < HEADER_BYTES) {
        push(Buffer.alloc(left));
        continue;
      }
      const to = Math.min(record.length, from + left - HEADER_BYTES);
      isMore = to < record.length;
      const type = from === 0 ? (isMore ? FIRST : FULL) : isMore ? MIDDLE : LAST;
      const fragment = Buffer.concat([Buffer.from([type]), record.subarray(from, to)]);
      const header = Buffer.alloc(HEADER_BYTES - 1);
      header.writeUInt32LE(maskedCrc32c(fragment), 0);
      header.writeUInt16LE(to - from, 4);
      push(header);
      push(fragment);
      from = to;
    }
  }
  return Buffer.concat(parts);
}
