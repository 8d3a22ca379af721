/**
 * The open dedup windows: which events were seen within the interval. Windows have one length and so end in the order in which they began:
 * they live in a ring, found through a hash table, with the first occurrence's bytes beside them in a second ring (the arena). Typed arrays,
 * because a hundred thousand live objects would cost the garbage collector more than all the rest of ingest.
 *
 * Hashes only point: two events are the same if the bytes of their keys are, so no collision can swallow one.
 */
import { hashKey, type EventWalk } from '../../core/event-walk.ts';
import type { NewEntry } from '../../core/journal.ts';
import { LANES, type Lane } from '../../core/lane.ts';
import { uuidText } from '../../core/uuid.ts';

/** The first occurrences held in memory, in bytes; the oldest window is closed early beyond it. */
const ARENA_BYTES_MAX = 64 * 1024 * 1024;
const SERIES_BYTES = 16;

export class WindowTable {
  readonly capacity: number;
  readonly #seed: number;
  readonly #mask: number;
  /** Slot + 1 of a window, 0 for none; open addressing, linear probing. */
  readonly #table: Int32Array;
  readonly #hash: Uint32Array;
  readonly #lane: Uint8Array;
  readonly #position: Float64Array;
  readonly #seq: Float64Array;
  readonly #endsAt: Float64Array;
  /** Where the first's bytes lie in the arena (the 16 bytes of its series before them), their length, and the ranges of the key in them. */
  readonly #at: Uint32Array;
  readonly #bytes: Uint32Array;
  readonly #ranges: Uint32Array;
  #lastHash = 0;
  #oldest = 0;
  #size = 0;
  #arena = Buffer.allocUnsafeSlow(256 * 1024);
  #arenaHead = 0;

  /** `seed` is a random 32-bit number, so that nobody can aim at one chain. */
  constructor(capacity: number, seed: number) {
    this.capacity = capacity;
    this.#seed = seed;
    const cells = 2 ** Math.ceil(Math.log2(capacity * 2 + 2));
    this.#mask = cells - 1;
    this.#table = new Int32Array(cells);
    this.#hash = new Uint32Array(capacity);
    this.#lane = new Uint8Array(capacity);
    this.#position = new Float64Array(capacity);
    this.#seq = new Float64Array(capacity);
    this.#endsAt = new Float64Array(capacity);
    this.#at = new Uint32Array(capacity);
    this.#bytes = new Uint32Array(capacity);
    this.#ranges = new Uint32Array(capacity * 4);
  }

  get size(): number {
    return this.#size;
  }

  /** The slot of the window that an event falls into; -1 for none. The walk is the event's. */
  find(bytes: Uint8Array, walk: EventWalk): number {
    const hash = hashKey(bytes, walk, this.#seed);
    this.#lastHash = hash;
    for (let cell = hash & this.#mask; ; cell = (cell + 1) & this.#mask) {
      const slot = this.#table[cell]! - 1;
      if (slot < 0) return -1;
      if (this.#hash[slot] === hash && this.#isSameKey(slot, bytes, walk)) return slot;
    }
  }

  /** True when `add` needs the oldest window to be removed first. */
  isFullFor(bytes: number): boolean {
    return this.#size === this.capacity || (this.#size > 0 && this.#room(bytes + SERIES_BYTES) < 0);
  }

  /** Opens a window for the event that `find` was asked for last, and did not find; `isFullFor` must be false. */
  add(entry: NewEntry, walk: EventWalk, { lane, position, endsAt }: { lane: Lane; position: number; endsAt: number }): void {
    const { bytes } = entry;
    const slot = (this.#oldest + this.#size) % this.capacity;
    const at = this.#room(bytes.length + SERIES_BYTES) + SERIES_BYTES;
    this.#arena.set(entry.series, at - SERIES_BYTES);
    this.#arena.set(bytes, at);
    this.#arenaHead = at + bytes.length;
    const hash = this.#lastHash;
    this.#hash[slot] = hash;
    this.#lane[slot] = LANES.indexOf(lane);
    this.#position[slot] = position;
    this.#seq[slot] = entry.seq;
    this.#endsAt[slot] = endsAt;
    this.#at[slot] = at;
    this.#bytes[slot] = bytes.length;
    this.#ranges.set([walk.keyStart, walk.keyEnd, walk.moreStart, walk.moreEnd], slot * 4);
    this.#size++;
    let cell = hash & this.#mask;
    while (this.#table[cell] !== 0) cell = (cell + 1) & this.#mask;
    this.#table[cell] = slot + 1;
  }

  /** The slot of the oldest window; -1 for none. */
  oldest(): number {
    return this.#size === 0 ? -1 : this.#oldest;
  }

  newest(): number {
    return (this.#oldest + this.#size - 1) % this.capacity;
  }

  removeOldest(): void {
    const slot = this.#oldest;
    let hole = this.#hash[slot]! & this.#mask;
    while (this.#table[hole] !== slot + 1) hole = (hole + 1) & this.#mask;
    // Close the gap: move back what would not be found across it.
    for (let cell = (hole + 1) & this.#mask; this.#table[cell] !== 0; cell = (cell + 1) & this.#mask) {
      const home = this.#hash[this.#table[cell]! - 1]! & this.#mask;
      if (((cell - home) & this.#mask) >= ((cell - hole) & this.#mask)) {
        this.#table[hole] = this.#table[cell]!;
        hole = cell;
      }
    }
    this.#table[hole] = 0;
    this.#oldest = (slot + 1) % this.capacity;
    this.#size--;
    if (this.#size === 0) this.#arenaHead = 0;
  }

  position(slot: number): number {
    return this.#position[slot]!;
  }

  lane(slot: number): Lane {
    return LANES[this.#lane[slot]!]!;
  }

  /** The id of the first occurrence. */
  id(slot: number): string {
    const at = this.#at[slot]!;
    return `${uuidText(this.#arena.subarray(at - SERIES_BYTES, at))}-${this.#seq[slot]!}`;
  }

  /** On the monotonic clock. */
  endsAt(slot: number): number {
    return this.#endsAt[slot]!;
  }

  /** The first occurrence's bytes; a view, valid until the window is removed or another is added. */
  first(slot: number): Buffer {
    const at = this.#at[slot]!;
    return this.#arena.subarray(at, at + this.#bytes[slot]!);
  }

  #isSameKey(slot: number, bytes: Uint8Array, walk: EventWalk): boolean {
    const ranges = slot * 4;
    const at = this.#at[slot]!;
    const [start, end, moreStart, moreEnd] = [
      this.#ranges[ranges]!,
      this.#ranges[ranges + 1]!,
      this.#ranges[ranges + 2]!,
      this.#ranges[ranges + 3]!,
    ];
    return (
      isSameRange(this.#arena, at + start, end - start, bytes, walk.keyStart, walk.keyEnd - walk.keyStart) &&
      isSameRange(this.#arena, at + moreStart, moreEnd - moreStart, bytes, walk.moreStart, walk.moreEnd - walk.moreStart)
    );
  }

  /** Where `bytes` more fit into the arena; -1 if nowhere. Grows it while that is allowed, so an empty one has room for any event. */
  #room(bytes: number): number {
    if (this.#size === 0) {
      if (bytes <= this.#arena.length) return 0;
      this.#grow(bytes);
      return 0;
    }
    const tail = this.#at[this.#oldest]! - SERIES_BYTES;
    if (this.#arenaHead > tail) {
      if (this.#arenaHead + bytes <= this.#arena.length) return this.#arenaHead;
      if (bytes < tail) return 0;
    } else if (this.#arenaHead + bytes < tail) return this.#arenaHead;
    if (this.#arena.length >= ARENA_BYTES_MAX) return -1;
    this.#grow(bytes);
    return this.#arenaHead;
  }

  /** Twice the arena, its content moved to the front in order. */
  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.min(ARENA_BYTES_MAX, Math.max(this.#arena.length * 2, this.#arena.length + bytes)));
    let head = 0;
    for (let i = 0; i < this.#size; i++) {
      const slot = (this.#oldest + i) % this.capacity;
      const at = this.#at[slot]!;
      this.#arena.copy(larger, head, at - SERIES_BYTES, at + this.#bytes[slot]!);
      this.#at[slot] = head + SERIES_BYTES;
      head += SERIES_BYTES + this.#bytes[slot]!;
    }
    this.#arena = larger;
    this.#arenaHead = head;
  }
}

function isSameRange(a: Uint8Array, aStart: number, aBytes: number, b: Uint8Array, bStart: number, bBytes: number): boolean {
  if (aBytes !== bBytes) return false;
  for (let i = 0; i < aBytes; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}
