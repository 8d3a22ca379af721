/**
 * What a series holds in memory: a suffix of its numbers, as chunks of framed events (see event-encoder.ts). No object per event, so
 * a burst costs the garbage collector nothing. Seqs within a chunk are dense; between chunks there may be lost ones.
 */
import { LENGTH, ProtobufReader } from '../core/protobuf.ts';
import type { CutLimits } from '../proto/session.ts';

export const CHUNK_BYTES = 64 * 1024;
const CHUNK_EVENTS_MAX = 1000;
/** An open chunk that is older than this is closed when it is read, so that its age says something about the events in it. */
const OPEN_MS_MAX = 50;
const SPARE_MAX = 16;

interface Chunk {
  buffer: Buffer;
  length: number;
  first: number;
  count: number;
  /** Monotonic time of its first event. */
  since: number;
  isClosed: boolean;
}

/** A stretch of memory: whole frames of dense or ascending seqs up to `last`. */
export interface MemoryCut {
  readonly slices: Buffer[];
  readonly count: number;
  readonly last: number;
}

export class Memory {
  #chunks: Chunk[] = [];
  readonly #spare: Buffer[] = [];
  #bytes = 0;
  /** Where the last cut ended, so that the next one need not look for it. */
  #memo = { seq: 0, chunk: undefined as Chunk | undefined, offset: 0 };

  /** What its buffers take, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** The highest seq held; 0 if none is. */
  get last(): number {
    const chunk = this.#chunks.at(-1);
    return chunk ? lastOf(chunk) : 0;
  }

  /** True if the next event of that size would need another chunk. */
  needsChunk(room: number): boolean {
    const chunk = this.#chunks.at(-1);
    return !chunk || chunk.isClosed || chunk.buffer.length - chunk.length < room || chunk.count >= CHUNK_EVENTS_MAX;
  }

  /** Opens a chunk for `seq` and what follows it. */
  addChunk(seq: number, room: number, now: number): void {
    this.close();
    const buffer = (room <= CHUNK_BYTES ? this.#spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, room));
    this.#bytes += buffer.length;
    this.#chunks.push({ buffer, length: 0, first: seq, count: 0, since: now, isClosed: false });
  }

  /** Where the next event goes. Call `appended` with its end. */
  get open(): { readonly buffer: Buffer; readonly length: number } {
    return this.#chunks.at(-1)!;
  }

  appended(end: number): void {
    const chunk = this.#chunks.at(-1)!;
    chunk.length = end;
    chunk.count++;
  }

  /** What comes next goes to another chunk. */
  close(): void {
    const chunk = this.#chunks.at(-1);
    if (chunk) chunk.isClosed = true;
  }

  /** Takes over framed events, such as an exit file's, `first` and on; returns how many there are, or -1 for bytes that are none. */
  load(frames: Buffer, first: number, now: number): number {
    const reader = new ProtobufReader().over(frames);
    let start = 0;
    let seq = first;
    let count = 0;
    const push = (end: number): void => {
      if (count === 0) return;
      this.#bytes += end - start;
      this.#chunks.push({
        buffer: frames.subarray(start, end),
        length: end - start,
        first: seq - count,
        count,
        since: now,
        isClosed: true,
      });
      start = end;
      count = 0;
    };
    for (let at = 0; reader.next(); at = reader.at) {
      if (reader.field !== 6 || reader.wireType !== LENGTH) return -1;
      if (reader.at - start > CHUNK_BYTES || count >= CHUNK_EVENTS_MAX) push(at);
      count++;
      seq++;
    }
    if (reader.isBroken) return -1;
    push(frames.length);
    return seq - first;
  }

  /** What follows `after`, up to the limits (one event may be larger); `undefined` if nothing does. */
  cut(after: number, limits: CutLimits, now: number): MemoryCut | undefined {
    const slices: Buffer[] = [];
    let count = 0;
    let bytes = 0;
    let last = after;
    for (let index = this.#indexAfter(after); index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index]!;
      if (!chunk.isClosed && now - chunk.since > OPEN_MS_MAX) chunk.isClosed = true;
      const offset = this.#offsetAfter(chunk, last);
      const events = lastOf(chunk) - Math.max(last, chunk.first - 1);
      if (count > 0 && (count + events > limits.eventsMax || bytes + chunk.length - offset > limits.bytesMax)) break;
      slices.push(chunk.buffer.subarray(offset, chunk.length));
      count += events;
      bytes += chunk.length - offset;
      last = lastOf(chunk);
      this.#memo = { seq: last, chunk, offset: chunk.length };
    }
    return count === 0 ? undefined : { slices, count, last };
  }

  /** Calls `visit` for each event after `after`, in order, with its seq and its unframed bytes, until it returns false. */
  forEach(after: number, visit: (seq: number, buffer: Buffer, start: number, end: number) => boolean): void {
    const reader = new ProtobufReader();
    for (let index = this.#indexAfter(after); index < this.#chunks.length; index++) {
      const { buffer, length, first } = this.#chunks[index]!;
      let seq = first;
      for (reader.over(buffer, 0, length); reader.next(); seq++) {
        if (seq > after && !visit(seq, buffer, reader.start, reader.at)) return;
      }
    }
  }

  /** Since when the oldest event after `settled` waits, by the monotonic clock; `undefined` if there is none. */
  since(settled: number): number | undefined {
    const chunk = this.#chunks[this.#indexAfter(settled)];
    return chunk?.since;
  }

  /** The first seq held after `after`. */
  firstAfter(after: number): number | undefined {
    const chunk = this.#chunks[this.#indexAfter(after)];
    return chunk && Math.max(chunk.first, after + 1);
  }

  /** The last seq of the chunk that holds `seq`. */
  lastOfRun(seq: number): number {
    const chunk = this.#chunks[this.#indexAfter(seq - 1)];
    return chunk ? lastOf(chunk) : seq;
  }

  /** How many events after `after` it holds. */
  countAfter(after: number): number {
    let count = 0;
    for (let index = this.#chunks.length - 1; index >= 0; index--) {
      const chunk = this.#chunks[index]!;
      if (lastOf(chunk) <= after) break;
      count += lastOf(chunk) - Math.max(after, chunk.first - 1);
    }
    return count;
  }

  /** Forgets everything up to `seq`; a chunk goes when all of it may. */
  forget(seq: number): void {
    let gone = 0;
    while (gone < this.#chunks.length && lastOf(this.#chunks[gone]!) <= seq) this.#release(this.#chunks[gone++]!);
    if (gone > 0) this.#chunks.splice(0, gone);
  }

  /** Gives up the oldest or the newest chunk that lies wholly after `after`: the seqs it held, or `undefined` if there is none. */
  drop(which: 'oldest' | 'newest', after: number): { first: number; last: number } | undefined {
    const oldest = this.#chunks.findIndex((chunk) => chunk.first > after);
    if (oldest < 0) return undefined;
    const index = which === 'oldest' ? oldest : this.#chunks.length - 1;
    const [chunk] = this.#chunks.splice(index, 1);
    this.#release(chunk!);
    return { first: chunk!.first, last: lastOf(chunk!) };
  }

  #release(chunk: Chunk): void {
    this.#bytes -= chunk.buffer.length;
    if (this.#memo.chunk === chunk) this.#memo.chunk = undefined;
    if (chunk.buffer.length === CHUNK_BYTES && chunk.buffer.buffer.byteLength === CHUNK_BYTES && this.#spare.length < SPARE_MAX) {
      this.#spare.push(chunk.buffer);
    }
  }

  /** The first chunk that holds something after `after`: by halves, there may be thousands. */
  #indexAfter(after: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (lastOf(this.#chunks[middle]!) > after) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #offsetAfter(chunk: Chunk, after: number): number {
    if (after < chunk.first) return 0;
    if (this.#memo.chunk === chunk && this.#memo.seq === after) return this.#memo.offset;
    const reader = new ProtobufReader().over(chunk.buffer, 0, chunk.length);
    for (let seq = chunk.first; seq <= after; seq++) reader.next();
    return reader.at;
  }
}

function lastOf(chunk: Chunk): number {
  return chunk.first + chunk.count - 1;
}
