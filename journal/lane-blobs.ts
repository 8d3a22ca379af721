/** The blobs of a lane on a disk: read from a position on, measured, cleared. Every scan begins at a known key. */
import { isFondacoError } from '../core/errors.ts';
import type { Entry, Stretch } from '../core/journal.ts';
import type { Lane } from '../core/lane.ts';
import { BLOB_ENTRIES_MAX, readBlob, readHeader, type BlobHeader, type EpochOf } from './blob.ts';
import type { Disk } from './disk.ts';
import { blobKey, blobsEnd, positionOf } from './keys.ts';

/** A blob by its head. */
export interface Measured extends BlobHeader {
  readonly first: number;
  readonly bytes: number;
}

/** How many damaged blobs are passed in search of one that can be trusted. */
const DAMAGED_MAX = 64;

export class LaneBlobs {
  readonly #disk: Disk;
  readonly #lane: Lane;
  readonly #epochOf: EpochOf;

  constructor(disk: Disk, lane: Lane, epochOf: EpochOf) {
    this.#disk = disk;
    this.#lane = lane;
    this.#epochOf = epochOf;
  }

  /** Whole blobs from `from` on, below `head`, until `bytesMax` is passed; what is missing or damaged there is a hole. */
  async read(from: number, head: number, bytesMax: number): Promise<Stretch> {
    const entries: Entry[] = [];
    let next = from;
    let bytes = 0;
    try {
      const start = (await this.#startBefore(from + 1)) ?? from;
      for await (const [key, value] of this.#disk.scan(this.#key(start), this.#key(head), { bytes: bytesMax })) {
        const first = positionOf(key);
        if (first > next) return { entries, hole: { from: next, to: first } };
        const read = this.#tryRead(first, key, value);
        if (!read) return { entries, hole: { from: next, to: await this.#nextAfter(Math.max(first, next), head) } };
        const end = first + read.length;
        if (end <= next) continue; // an earlier blob that ends before `from`
        if (entries.length > 0 && entries[0]!.epoch !== read[0]!.epoch) return { entries };
        for (const entry of read) if (entry.position >= next) entries.push(entry);
        next = end;
        bytes += value.length;
        if (bytes >= bytesMax) return { entries };
      }
    } catch (error) {
      // The store cannot read a block: what lies there is lost, what lies behind it need not be.
      if (!isFondacoError(error, 'CORRUPT')) throw error;
      if (entries.length > 0) return { entries };
      return { entries, hole: { from: next, to: await this.#readableAfter(next, head) } };
    }
    return next < head ? { entries, hole: { from: next, to: head } } : { entries };
  }

  /** The last blob that begins below `position` and can be trusted. */
  async before(position: number): Promise<Measured | undefined> {
    const scan = this.#disk.scan(this.#key(0), this.#key(position), { reverse: true, limit: DAMAGED_MAX, bytes: 1 });
    for await (const [key, value] of scan) {
      const header = readHeader(key, value);
      if (header) return { ...header, first: positionOf(key), bytes: value.length };
    }
    return undefined;
  }

  /** Where the blobs begin at or after `position`; `undefined` if there is none. */
  async firstFrom(position: number): Promise<number | undefined> {
    for await (const key of this.#disk.keys(this.#key(position), blobsEnd(this.#lane), { limit: 1 })) return positionOf(key);
    return undefined;
  }

  /** Where the last blob begins. */
  async last(): Promise<number | undefined> {
    for await (const key of this.#disk.keys(this.#key(0), blobsEnd(this.#lane), { reverse: true, limit: 1 })) return positionOf(key);
    return undefined;
  }

  /** The first position in [tail, head] with at least `offset` bytes of the lane before it: a blob's, or `head`. */
  async positionAt(offset: number, tail: number, head: number): Promise<number> {
    let low = tail;
    let high = head;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const blob = await this.before(middle + 1);
      if (!blob || blob.offset < offset) low = Math.max(middle + 1, blob ? blob.first + blob.count : 0);
      else high = Math.min(blob.first, middle);
    }
    return Math.min(Math.max(high, tail), head);
  }

  /** Clears the blobs that lie wholly below `position`; `from` is where they begin, so that no cleared range is scanned. */
  async clearBelow(from: number, position: number): Promise<void> {
    const last = await this.#startBefore(position + 1);
    const start = last === undefined ? undefined : await this.firstFrom(Math.max(from - BLOB_ENTRIES_MAX, 0));
    if (last !== undefined && start !== undefined && start < last) await this.#disk.clear(this.#key(start), this.#key(last));
  }

  /** Gives the room of what was cleared below `position` back to the file system. */
  async compactBelow(position: number): Promise<void> {
    await this.#disk.compact(this.#key(0), this.#key(position));
  }

  #key(position: number): Buffer {
    return blobKey(this.#lane, position);
  }

  /** The key is enough: a damaged blob is still where it is. */
  async #startBefore(position: number): Promise<number | undefined> {
    for await (const key of this.#disk.keys(this.#key(0), this.#key(position), { reverse: true, limit: 1 })) return positionOf(key);
    return undefined;
  }

  #tryRead(first: number, key: Buffer, value: Buffer): Entry[] | undefined {
    try {
      const entries = readBlob({ lane: this.#lane, first, key, value }, this.#epochOf);
      return entries.length > 0 ? entries : undefined;
    } catch (error) {
      if (isFondacoError(error, 'CORRUPT') || error instanceof RangeError || error instanceof TypeError) return undefined;
      throw error;
    }
  }

  async #nextAfter(position: number, head: number): Promise<number> {
    try {
      return Math.min((await this.firstFrom(position + 1)) ?? head, head);
    } catch (error) {
      if (!isFondacoError(error, 'CORRUPT')) throw error;
      return this.#readableAfter(position, head);
    }
  }

  /** The lowest position found from which on the store can be read again: leaps forward, then halves back. */
  async #readableAfter(position: number, head: number): Promise<number> {
    let bad = position;
    let good = head;
    for (let leap = 1; position + leap < head; leap *= 2) {
      if (await this.#isReadable(position + leap)) {
        good = position + leap;
        break;
      }
      bad = position + leap;
    }
    while (good - bad > 1) {
      const middle = bad + Math.floor((good - bad) / 2);
      if (await this.#isReadable(middle)) good = middle;
      else bad = middle;
    }
    return Math.min(good === head ? head : ((await this.firstFrom(good)) ?? head), head);
  }

  async #isReadable(position: number): Promise<boolean> {
    try {
      await this.firstFrom(position);
      return true;
    } catch (error) {
      if (!isFondacoError(error, 'CORRUPT')) throw error;
      return false;
    }
  }
}
