/**
 * Entries on disk. A blob holds the entries of one commit and lane, cut at 256 entries or 64 KiB; its key is the lane and the position of
 * its first entry. Positions are dense: the next blob's first is this first + count, or something is missing, and it is known what.
 *
 *   0   u8   version, 2
 *   1   u32  crc32 of all that follows, begun with the crc32 of the key
 *   5   u16  count
 *   7   u32  number of the epoch
 *   11  u48  birth of the epoch, ms since 1970: where the row of the epochs is lost, the blobs still name their entries
 *   17  u48  wall clock of the commit, ms since 1970
 *   23  u48  offset: bytes of all blobs of the lane before this one, trimmed ones included; so a backlog's size is a subtraction
 *   29       count entries:
 *            u8      kind: 0 accepted, 1 folded, 2 made
 *            u8      series, as an index into those seen so far in this blob; the first unseen index is followed by its 16 bytes
 *            varint  seq
 *            varint  folded only: position of the first occurrence (same lane)
 *            varint  length of the event's bytes
 *            bytes   fondaco.v1.Event
 */
import { crc32 } from 'node:zlib';
import { FondacoError } from '../core/errors.ts';
import type { Entry, EntryKind, Epoch, NewEntry } from '../core/journal.ts';
import type { Lane } from '../core/lane.ts';
import { ProtobufReader, ProtobufWriter } from '../core/protobuf.ts';
import { uuidText } from '../core/uuid.ts';
import { blobKey } from './keys.ts';

const VERSION = 2;
const HEADER_BYTES = 29;
export const BLOB_ENTRIES_MAX = 256;
const BYTES_MAX = 64 * 1024;
const KINDS: readonly EntryKind[] = ['accepted', 'folded', 'made'];

export interface Blob {
  readonly lane: Lane;
  readonly first: number;
  readonly count: number;
  readonly key: Buffer;
  readonly value: Buffer;
}

/** Collects the entries of one lane of a commit. */
export class BlobBuilder {
  readonly lane: Lane;
  readonly blobs: Blob[] = [];
  /** Bytes of all blobs so far. */
  offset: number;
  readonly #writer = new ProtobufWriter(BYTES_MAX + 4096);
  readonly #series: Uint8Array[] = [];
  #first = 0;
  #count = 0;
  #epoch: Pick<Epoch, 'number' | 'birth'> = { number: 0, birth: 0 };
  #receivedAt = 0;

  constructor(lane: Lane, offset: number) {
    this.lane = lane;
    this.offset = offset;
  }

  append(position: number, entry: NewEntry, epoch: Pick<Epoch, 'number' | 'birth'>, receivedAt: number): void {
    if (this.#count === 0) this.#begin(position, epoch, receivedAt);
    const writer = this.#writer;
    writer.reserve(64);
    writer.buffer[writer.length++] = KINDS.indexOf(entry.kind);
    this.#appendSeries(entry.series);
    writer.varint(entry.seq);
    if (entry.kind === 'folded') writer.varint(entry.first);
    const { bytes, start, end } = entry;
    writer.varint(end - start);
    writer.raw(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
    this.#count++;
    if (this.#count === BLOB_ENTRIES_MAX || writer.length >= BYTES_MAX) this.cut();
  }

  /** Ends the blob that is being filled, if any. */
  cut(): void {
    if (this.#count === 0) return;
    const key = blobKey(this.lane, this.#first);
    const value = Buffer.from(this.#writer.view());
    value[0] = VERSION;
    value.writeUInt16BE(this.#count, 5);
    value.writeUInt32BE(this.#epoch.number, 7);
    value.writeUIntBE(this.#epoch.birth, 11, 6);
    value.writeUIntBE(this.#receivedAt, 17, 6);
    value.writeUIntBE(this.offset, 23, 6);
    value.writeUInt32BE(crc32(value.subarray(5), crc32(key)), 1);
    this.offset += value.length;
    this.blobs.push({ lane: this.lane, first: this.#first, count: this.#count, key, value });
    this.#count = 0;
  }

  #begin(position: number, epoch: Pick<Epoch, 'number' | 'birth'>, receivedAt: number): void {
    this.#first = position;
    this.#epoch = epoch;
    this.#receivedAt = receivedAt;
    this.#series.length = 0;
    this.#writer.reset();
    this.#writer.length = HEADER_BYTES;
  }

  #appendSeries(series: Uint8Array): void {
    const writer = this.#writer;
    let index = 0;
    while (index < this.#series.length && !isSame(this.#series[index]!, series)) index++;
    writer.buffer[writer.length++] = index;
    if (index < this.#series.length) return;
    this.#series.push(new Uint8Array(series)); // a copy: slice() of a Buffer is none
    writer.raw(series);
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  for (let i = 15; i >= 0; i--) if (a[i] !== b[i]) return false; // from the random end
  return true;
}

const reader = new ProtobufReader();

/** Finds the epoch of a blob's header. */
export type EpochOf = (number: number, birth: number) => Epoch;

/** Reads a blob's entries. Throws CORRUPT if it is not what was written under this key. */
export function readBlob(blob: { lane: Lane; first: number; key: Buffer; value: Buffer }, epochOf: EpochOf): Entry[] {
  const { lane, first, key, value } = blob;
  if (!isIntact(key, value)) {
    throw new FondacoError('CORRUPT', `entries ${lane}/${first} must match their checksum, got ${value.length} other bytes`);
  }
  const { count, epoch: number, birth, receivedAt } = headerOf(value);
  const epoch = epochOf(number, birth);
  const series: string[] = [];
  const entries: Entry[] = [];
  reader.over(value, HEADER_BYTES, value.length);
  for (let i = 0; i < count; i++) {
    const kind = KINDS[value[reader.at++]!]!;
    const index = value[reader.at++]!;
    if (index === series.length) {
      series.push(uuidText(value.subarray(reader.at, reader.at + 16)));
      reader.at += 16;
    }
    const seq = reader.varint();
    const folds = kind === 'folded' ? reader.varint() : 0;
    const length = reader.varint();
    const bytes = value.subarray(reader.at, reader.at + length);
    reader.at += length;
    entries.push({ lane, position: first + i, epoch, receivedAt, series: series[index]!, seq, kind, first: folds, bytes });
  }
  return entries;
}

/** What the head of a blob says. */
export interface BlobHeader {
  /** Positions that it takes. */
  readonly count: number;
  /** Number and birth of its epoch. */
  readonly epoch: number;
  readonly birth: number;
  readonly receivedAt: number;
  /** Bytes of the lane's blobs before this one. */
  readonly offset: number;
}

/** The head of a blob; `undefined` where that cannot be trusted. */
export function readHeader(key: Buffer, value: Buffer): BlobHeader | undefined {
  return isIntact(key, value) ? headerOf(value) : undefined;
}

function headerOf(value: Buffer): BlobHeader {
  return {
    count: value.readUInt16BE(5),
    epoch: value.readUInt32BE(7),
    birth: value.readUIntBE(11, 6),
    receivedAt: value.readUIntBE(17, 6),
    offset: value.readUIntBE(23, 6),
  };
}

function isIntact(key: Buffer, value: Buffer): boolean {
  return value.length >= HEADER_BYTES && value[0] === VERSION && value.readUInt32BE(1) === crc32(value.subarray(5), crc32(key));
}
