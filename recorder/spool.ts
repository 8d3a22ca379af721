/**
 * A series' events on disk: entries in the journal of its life's directory, and how their positions and seqs belong together.
 *
 * Rows of a spool: `life` { version, node, component }, `series/urgent` and `series/normal` { series, settled, settledBy, last, lost }.
 * `last` is the highest seq spooled, so a lost tail is seen. The row may be behind what was settled: a proxy skips what it knows. `counted`:
 * where the end of the spool was lost, the positions that it is known to have had and that `last` counts.
 */
import type { LostRange, SeqRange } from '../core/batch.ts';
import type { Draft, Journal, Stretch } from '../core/journal.ts';
import type { Lane } from '../core/lane.ts';
import { ProtobufWriter } from '../core/protobuf.ts';
import type { CutLimits } from '../proto/session.ts';

/** What one read takes from the disk at most, so that memory does not grow with the backlog: some batches, for a read has its price. */
const READ_BYTES = 1024 * 1024;

export interface SeriesRow {
  readonly series: string;
  readonly settled: number;
  readonly settledBy: string;
  readonly last: number;
  readonly lost: readonly LostRange[];
  readonly counted?: number;
}

/** The row that says whose life it was. */
export const LIFE_KEY = 'life';

export function seriesKey(lane: Lane): string {
  return `series/${lane}`;
}

/** Events read back, and the seqs that should have been there. */
export interface SpoolCut {
  readonly slices: Buffer[];
  readonly count: number;
  readonly last: number;
  readonly missing: readonly SeqRange[];
}

/** Events with dense seqs at dense positions. */
export interface Segment {
  readonly seq: number;
  readonly position: number;
  count: number;
  bytes: number;
}

/** Adds one event to the last segment, or begins another. */
export function extend(segments: Segment[], { seq, position, count, bytes }: Segment): void {
  const end = segments.at(-1);
  if (end && end.seq + end.count === seq && end.position + end.count === position) {
    end.count += count;
    end.bytes += bytes;
  } else segments.push({ seq, position, count, bytes });
}

export class SpoolLane {
  readonly #journal: Journal;
  readonly lane: Lane;
  /** See SeriesRow. */
  readonly counted: number | undefined;
  #segments: Segment[] = [];
  /** From here on the positions' seqs are not known yet: an older life's, until they are read. */
  #unread: number;
  #last: number;
  /** What the last read had over. */
  #over: Stretch | undefined;
  #reopenings = 0;

  /** `row`: the highest seq that the journal holds, if any. */
  constructor(journal: Journal, lane: Lane, row?: { readonly last: number; readonly counted?: number | undefined }) {
    this.#journal = journal;
    this.lane = lane;
    this.counted = row?.counted;
    this.#unread = journal.tail(lane);
    this.#last = row?.last ?? 0;
    let store = journal.id;
    journal.onReopen(async () => {
      // Somebody removed the store, or it had to be rebuilt: positions begin anew, and what we knew of them is worth nothing.
      if (journal.id !== store || journal.head(lane) < this.#unread) this.#forgetAll();
      store = journal.id;
      this.#over = undefined;
      this.#reopenings++;
      return Promise.resolve();
    });
  }

  /** False while the journal is being opened again, as after a full disk: nothing can be read then. */
  get isOpen(): boolean {
    return this.#journal.isOpen;
  }

  /** The highest seq spooled. */
  get last(): number {
    return this.#last;
  }

  /** Adds an event to the commit being built, and returns its position; `spilled` is to be called when that is durable. */
  append(draft: Draft, series: Uint8Array, seq: number, event: { buffer: Buffer; start: number; end: number }): number {
    return draft.append(this.lane, { series, seq, kind: 'accepted', first: 0, bytes: event.buffer, start: event.start, end: event.end });
  }

  /** Notes what is durable now: these events, and with them everything up to `last`. */
  spilled(runs: readonly Segment[], last: number): void {
    for (const run of runs) this.#note(run);
    this.#last = Math.max(this.#last, last);
  }

  /** Reads what follows `after`, up to the limits, without what is declared lost but was not cleared yet. */
  async read(after: number, limits: CutLimits, isLost: (seq: number) => boolean = () => false): Promise<SpoolCut> {
    const writer = new ProtobufWriter(64 * 1024);
    const missing: SeqRange[] = [];
    let count = 0;
    let last = after;
    let position = this.#positionAfter(after);
    const end = this.#last; // what is spilled meanwhile lies behind it
    const head = this.#journal.head(this.lane);
    const reopenings = this.#reopenings;
    while (position < head && count === 0) {
      const stretch = await this.#stretchFrom(position, limits);
      for (const [i, entry] of stretch.entries.entries()) {
        if (count > 0 && (count >= limits.eventsMax || writer.length + entry.bytes.length > limits.bytesMax)) {
          if (reopenings === this.#reopenings) this.#over = { ...stretch, entries: stretch.entries.slice(i) };
          break;
        }
        position = entry.position + 1;
        this.#note({ seq: entry.seq, position: entry.position, count: 1, bytes: entry.bytes.length });
        if (entry.seq <= last || isLost(entry.seq)) continue; // settled, or stored by a commit that was told to have failed
        if (entry.seq > last + 1) missing.push({ first: last + 1, last: entry.seq - 1 });
        writer.bytes(6, entry.bytes);
        count++;
        last = entry.seq;
      }
      if (stretch.hole?.from === position) position = stretch.hole.to;
      else if (stretch.entries.length === 0) break;
    }
    if (count === 0 && last < end) {
      missing.push({ first: last + 1, last: end });
      last = end;
    }
    return { slices: count === 0 ? [] : [writer.view()], count, last, missing };
  }

  async #stretchFrom(position: number, limits: CutLimits): Promise<Stretch> {
    const over = this.#over;
    this.#over = undefined;
    if (over?.entries[0]?.position === position) return over;
    return this.#journal.read(this.lane, position, Math.min(limits.bytesMax, READ_BYTES));
  }

  /** What may be trimmed when everything up to `seq` is settled: the first position to keep. */
  positionToKeep(seq: number): number {
    return this.#positionAfter(seq);
  }

  /** Forgets the mapping of events that are settled or given up; returns the bytes they took. */
  forget(first: number, last: number): number {
    let bytes = 0;
    const kept: Segment[] = [];
    for (const segment of this.#segments) {
      const [before, rest] = split(segment, first);
      const [gone, after] = rest ? split(rest, last + 1) : [];
      if (before) kept.push(before);
      if (after) kept.push(after);
      bytes += gone?.bytes ?? 0;
    }
    this.#segments = kept;
    return bytes;
  }

  /** The position of the first event after `seq`, as far as positions are known; else where the unknown begins. */
  #positionAfter(seq: number): number {
    for (const segment of this.#segments) {
      if (segment.seq > seq) return segment.position;
      if (segment.seq + segment.count > seq + 1) return segment.position + (seq + 1 - segment.seq);
    }
    return Math.max(this.#unread, this.#journal.tail(this.lane));
  }

  #forgetAll(): void {
    this.#segments = [];
    this.#unread = this.#journal.tail(this.lane);
  }

  #note(run: Segment): void {
    if (run.position < this.#unread) return;
    this.#unread = run.position + run.count;
    const end = this.#segments.at(-1);
    if (end && run.seq < end.seq + end.count) return; // a repetition
    extend(this.#segments, run);
  }
}

/** A segment's part below `seq` and its part from there on, each if there is one. */
function split(segment: Segment, seq: number): [Segment | undefined, Segment | undefined] {
  const below = Math.min(Math.max(seq - segment.seq, 0), segment.count);
  if (below === 0) return [undefined, segment];
  if (below === segment.count) return [segment, undefined];
  const bytes = Math.round((segment.bytes * below) / segment.count);
  const rest = { seq, position: segment.position + below, count: segment.count - below, bytes: segment.bytes - bytes };
  return [{ ...segment, count: below, bytes }, rest];
}
