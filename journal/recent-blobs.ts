import type { Entry } from '../core/journal.ts';
import { LANES, perLane, type Lane } from '../core/lane.ts';
import { readBlob, type Blob, type EpochOf } from './blob.ts';

/** Blobs whose entries are kept as objects, for readers who are at about the same place. Many live objects would cost more than decoding again. */
const PARSED_MAX = 16;

/** What was committed last, so that readers who are caught up do not touch the disk. Bounded in bytes; the oldest leaves first. */
export class RecentBlobs {
  readonly #bytesMax: number;
  readonly #lanes = perLane<Held[]>(() => []);
  readonly #parsed: Held[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(blobs: readonly Blob[]): void {
    for (const blob of blobs) {
      this.#lanes[blob.lane].push({ blob, entries: undefined });
      this.#bytes += blob.value.length;
    }
    while (this.#bytes > this.#bytesMax) {
      const lane = this.#lanes.normal.length >= this.#lanes.urgent.length ? 'normal' : 'urgent';
      const oldest = this.#lanes[lane].shift();
      if (!oldest) return;
      this.#bytes -= oldest.blob.value.length;
    }
  }

  /** The blobs' entries from the one that holds `from` on; `undefined` if that is not here any more. */
  read(lane: Lane, from: number, bytesMax: number, epochOf: EpochOf): Entry[] | undefined {
    const held = this.#lanes[lane];
    if (held.length === 0 || held[0]!.blob.first > from) return undefined;
    let low = 0;
    let high = held.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (held[middle]!.blob.first <= from) low = middle;
      else high = middle;
    }
    const entries: Entry[] = [];
    for (let bytes = 0; low < held.length && (entries.length === 0 || bytes < bytesMax); low++) {
      const item = held[low]!;
      const parsed = this.#parse(item, epochOf);
      if (entries.length > 0 && entries[0]!.epoch !== parsed[0]!.epoch) break;
      bytes += item.blob.value.length;
      for (const entry of parsed) if (entry.position >= from) entries.push(entry);
    }
    return entries;
  }

  #parse(item: Held, epochOf: EpochOf): Entry[] {
    if (item.entries) return item.entries;
    item.entries = readBlob(item.blob, epochOf);
    this.#parsed.push(item);
    if (this.#parsed.length > PARSED_MAX) this.#parsed.shift()!.entries = undefined;
    return item.entries;
  }

  clear(): void {
    this.#parsed.length = 0;
    for (const lane of LANES) this.#lanes[lane].length = 0;
    this.#bytes = 0;
  }
}

interface Held {
  readonly blob: Blob;
  entries: Entry[] | undefined;
}
