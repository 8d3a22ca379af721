/**
 * A row's value on disk, all integers big-endian:
 *
 *   0  u8   version, 1
 *   1  u32  crc32 of all that follows, begun with the crc32 of the key, so that a value under a wrong key is seen
 *   5  u48  number of the commit that wrote it
 *   11      JSON, UTF-8
 *
 * JSON because rows are few and small beside entries, and because a person with a damaged store has to read them.
 */
import { crc32 } from 'node:zlib';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import type { Row } from '../core/journal.ts';

const VERSION = 1;
const HEADER_BYTES = 11;

export function encodeRecord(key: Buffer, value: unknown, commit: number): Buffer {
  const json = JSON.stringify(value);
  const record = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(json));
  record[0] = VERSION;
  record.writeUIntBE(commit, 5, 6);
  record.write(json, HEADER_BYTES, 'utf8');
  record.writeUInt32BE(crc32(record.subarray(5), crc32(key)), 1);
  return record;
}

/** Throws CORRUPT. */
export function decodeRecord(key: Buffer, record: Buffer): { value: unknown; commit: number } {
  if (record.length < HEADER_BYTES || record[0] !== VERSION || record.readUInt32BE(1) !== crc32(record.subarray(5), crc32(key))) {
    throw new FondacoError(
      'CORRUPT',
      `row ${JSON.stringify(key.toString('utf8'))} must match its checksum, got ${record.length} other bytes`,
    );
  }
  return { value: JSON.parse(record.toString('utf8', HEADER_BYTES)), commit: record.readUIntBE(5, 6) };
}

/** A row as a reader gets it: without a value where it is damaged. */
export function readRow(key: Buffer, record: Buffer): Row {
  const name = key.toString('utf8');
  try {
    return { key: name, value: decodeRecord(key, record).value };
  } catch (error) {
    if (isFondacoError(error, 'CORRUPT')) return { key: name, value: undefined };
    throw error;
  }
}
