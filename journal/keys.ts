/**
 * Keys on disk. The first character is the kind:
 *
 *   e<lane><position u64 BE>   a blob of entries, named by its first position (blob.ts)
 *   anything else              a row: the key is text, the value a record (row-record.ts)
 *     m:…                      of the journal itself: m:journal, m:epochs, m:lanes
 *     the rest belongs to the journal's owner (dispatcher/, recorder/), which names its rows where it writes them
 */
import { LANE_NUMBER, type Lane } from '../core/lane.ts';

/** Fixed width makes the byte order of keys the order of positions. */
export function blobKey(lane: Lane, position: number): Buffer {
  const key = Buffer.allocUnsafe(10);
  key[0] = 0x65;
  key[1] = 0x30 + LANE_NUMBER[lane];
  key.writeBigUInt64BE(BigInt(position), 2);
  return key;
}

/** Just above every blob of the lane. */
export function blobsEnd(lane: Lane): Buffer {
  return Buffer.from([0x65, 0x30 + LANE_NUMBER[lane] + 1]);
}

export function positionOf(key: Buffer): number {
  return Number(key.readBigUInt64BE(2));
}

export function rowKey(key: string): Buffer {
  return Buffer.from(key, 'utf8');
}

/** The range of the rows that begin with `prefix`. */
export function rowRange(prefix: string): readonly [Buffer, Buffer] {
  return [rowKey(prefix), Buffer.concat([rowKey(prefix), Buffer.from([0xff])])];
}
