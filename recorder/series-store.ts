/**
 * One series of one life: what it gave out, where that lies, and what became of it.
 *
 *     seqs   1 … settled … sent …              last
 *                |  the spool, up to spool.last  |  memory: a suffix  |      `lost` may name any of them
 *
 * The session takes what follows `sent` from memory, else from the spool. Only `settled` forgets.
 */
import type { BatchReply, LossCause, Rejection, SeqRange } from '../core/batch.ts';
import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { Draft } from '../core/journal.ts';
import type { Lane } from '../core/lane.ts';
import { uuidText } from '../core/uuid.ts';
import { SendWindow, type ReplyOutcome, type SendWindowStart } from '../proto/send-window.ts';
import type { Cut, CutLimits, OutgoingSeries } from '../proto/session.ts';
import { LostRanges } from './lost-ranges.ts';
import { Memory } from './memory.ts';
import type { ExitLane, ExitRun } from './exit-file.ts';
import { extend, type Segment, type SeriesRow, type SpoolCut, type SpoolLane } from './spool.ts';

/** What became of the events of a series: `last = settled + spooled + queued + dropped + rejected`. */
export interface SeriesCounts {
  settled: number;
  dropped: number;
  rejected: number;
}

export interface StoreEvents {
  /** Something became durable, settled or lost. */
  changed(store: SeriesStore): void;
  /** The proxy will never take these. */
  rejected(store: SeriesStore, rejections: readonly Rejection[]): void;
  /** What is on disk could not be read now; the series waits. */
  unreadable(store: SeriesStore, error: Error): void;
  /** Events that were on disk are not there any more; they are declared lost. */
  damaged(store: SeriesStore, range: SeqRange): void;
}

/** A spill under way: what to note when its commit is durable. */
export interface Spill {
  readonly last: number;
  readonly runs: readonly Segment[];
  /** On disk, about. */
  readonly bytes: number;
}

/** What an entry takes on disk beside its event's bytes, about. */
const ENTRY_BYTES = 8;

/** How long a series waits that could not be read although its journal is open. */
const PARK_MS = 5_000;
/** How often a read begins again because events were given up meanwhile, before it is left to the next round. */
const REREADS_MAX = 5;

export class SeriesStore implements OutgoingSeries {
  readonly window: SendWindow;
  readonly memory = new Memory();
  readonly lost = new LostRanges();
  readonly counts: SeriesCounts = { settled: 0, dropped: 0, rejected: 0 };
  readonly #clock: Clock;
  readonly #events: StoreEvents;
  /** The series as text: the first part of an event's id. */
  readonly id: string;
  spool: SpoolLane | undefined;
  /** The highest seq given out. */
  last: number;
  /** Up to here `counts` know what became of the events. */
  #counted: number;
  /** Up to here memory is being spilled, and must stay. */
  pinned = 0;
  #parkedUntil = 0;
  /** Say goodbye once everything is settled, so that the proxy may free its row. Nothing may be sent in this series afterwards. */
  isClosing = false;

  constructor(start: SendWindowStart, clock: Clock, events: StoreEvents) {
    this.window = new SendWindow(start);
    this.#clock = clock;
    this.#events = events;
    this.id = uuidText(start.series);
    this.last = this.#counted = this.window.settled;
  }

  get lane(): Lane {
    return this.window.lane;
  }

  get isSettled(): boolean {
    return this.window.settled >= this.last;
  }

  /** Up to here everything is durable somewhere. */
  get durable(): number {
    return Math.max(this.window.settled, this.spool?.last ?? 0);
  }

  /** Events in memory only. */
  get queued(): number {
    return this.memory.countAfter(this.durable);
  }

  /** Events in the spool that are not settled. */
  get spooled(): number {
    const { settled } = this.window;
    const end = this.spool?.last ?? 0;
    return end <= settled ? 0 : end - settled - this.lost.count(settled + 1, end);
  }

  get hasMore(): boolean {
    return this.window.sent < this.last || this.#canClose;
  }

  /** True while a closing batch is to be sent or to be answered. */
  get hasMoreOrInFlight(): boolean {
    return this.hasMore || this.window.inFlight > 0;
  }

  get #canClose(): boolean {
    return this.isClosing && this.window.settledBy !== '' && this.isSettled && this.window.inFlight === 0 && !this.window.isClosed;
  }

  /** The disk may be away for a while: without a moment while its journal is opened again (its owner rings then), else a while after a failed read. */
  get readableAtMs(): number {
    const { spool } = this;
    if (!spool || this.window.sent >= spool.last || this.#canClose) return 0;
    return spool.isOpen ? this.#parkedUntil : Number.POSITIVE_INFINITY;
  }

  read(limits: CutLimits): Cut | undefined | Promise<Cut | undefined> {
    const { sent } = this.window;
    if (this.#canClose) return { last: sent, events: { slices: [], count: 0 }, lost: [], isClosing: true };
    if (sent >= this.last) return undefined;
    if (this.spool && sent < this.spool.last) return this.#readSpool(sent, limits);
    const cut = this.memory.cut(sent, limits, this.#clock.monotonic());
    return this.#complete(sent, { slices: cut?.slices ?? [], count: cut?.count ?? 0 }, cut?.last ?? sent);
  }

  async #readSpool(sent: number, limits: CutLimits): Promise<Cut | undefined> {
    for (let read = 1; read <= REREADS_MAX && this.spool; read++) {
      const { spool } = this;
      let cut: SpoolCut;
      try {
        cut = await spool.read(sent, limits, (seq) => this.lost.has(seq));
      } catch (error) {
        this.#parkedUntil = this.#clock.monotonic() + PARK_MS;
        this.#events.unreadable(this, asError(error));
        return undefined;
      }
      if (this.spool !== spool) continue; // opened again meanwhile
      for (const range of cut.missing) this.#damaged(range);
      // Events that were given up while they were read must not go out as others.
      if (this.lost.count(sent + 1, cut.last) !== cut.last - sent - cut.count) continue;
      return this.#complete(sent, { slices: cut.slices, count: cut.count }, cut.last);
    }
    return undefined;
  }

  /** It was on disk and is not any more. */
  #damaged(range: SeqRange): void {
    if (this.lose(range, 'corrupt') > 0) this.#events.damaged(this, range);
  }

  /** What could not be read may be tried again. */
  unpark(): void {
    this.#parkedUntil = 0;
  }

  /** Adds the lost ranges. What is neither there nor lost is a hole between spool and memory: lost, too. */
  #complete(after: number, events: Cut['events'], last: number): Cut | undefined {
    let reach = this.lost.reach(after, last);
    let named = 0;
    for (const range of reach.lost) named += range.last - range.first + 1;
    if (events.count === 0 && named === 0) {
      const next = this.memory.firstAfter(after) ?? this.last + 1;
      if (next <= after + 1) return undefined;
      this.#damaged({ first: after + 1, last: next - 1 });
      reach = this.lost.reach(after, last);
    } else if (named + events.count < reach.last - after) {
      this.#loseHoles(after, reach.last);
      reach = this.lost.reach(after, last);
    }
    return { last: reach.last, events, lost: reach.lost };
  }

  #loseHoles(after: number, last: number): void {
    for (let seq = after; seq < last;) {
      const next = this.memory.firstAfter(seq);
      if (next === undefined) return;
      if (next > seq + 1) this.#damaged({ first: seq + 1, last: next - 1 });
      seq = this.memory.lastOfRun(next);
    }
  }

  replied(reply: BatchReply, outcome: ReplyOutcome): void {
    if (outcome === 'closed') this.#events.changed(this);
    else this.#settled(reply.rejections);
  }

  /** Takes over what the window settled. */
  #settled(rejections: readonly Rejection[]): void {
    const { settled } = this.window;
    const before = this.#counted;
    if (settled <= before) return;
    const rejected = rejections.filter(({ seq }) => seq > before && seq <= settled && !this.lost.has(seq));
    this.counts.rejected += rejected.length;
    this.counts.settled += settled - before - this.lost.count(before + 1, settled) - rejected.length;
    this.#counted = settled;
    this.memory.forget(settled);
    this.lost.forget(settled);
    if (rejected.length > 0) this.#events.rejected(this, rejected);
    this.#events.changed(this);
  }

  /** Declares seqs lost; they are counted once, and travel with the next batch. Returns how many were not lost before. */
  lose(range: SeqRange, cause: LossCause): number {
    const count = this.lost.add({ first: Math.max(range.first, this.window.settled + 1), last: range.last }, cause);
    this.counts.dropped += count;
    this.#events.changed(this);
    return count;
  }

  /** Gives up some of what is in memory, and neither on its way nor being spilled. False if there is nothing. */
  giveUp(which: 'oldest' | 'newest', cause: LossCause = 'memory-full'): boolean {
    const dropped = this.memory.drop(which, Math.max(this.window.sent, this.pinned));
    if (dropped) this.lose(dropped, cause);
    return dropped !== undefined;
  }

  /** Adds what is in memory only to the commit being built, lowest first, up to that many bytes. */
  spill(draft: Draft, bytesMax: number): Spill {
    const spool = this.spool!;
    this.memory.close();
    const runs: Segment[] = [];
    let bytes = 0;
    let { last } = this;
    this.memory.forEach(Math.max(this.window.settled, spool.last), (seq, buffer, start, end) => {
      bytes += end - start + ENTRY_BYTES;
      if (bytes > bytesMax) {
        last = seq - 1;
        return false;
      }
      const position = spool.append(draft, this.window.series, seq, { buffer, start, end });
      extend(runs, { seq, position, count: 1, bytes: end - start });
      return true;
    });
    this.pinned = last;
    return { last, runs, bytes: Math.min(bytes, bytesMax) };
  }

  /** The spill's commit is durable: memory may forget. */
  spilled(spill: Spill): void {
    const spool = this.spool!;
    spool.spilled(spill.runs, spill.last);
    this.pinned = 0;
    this.memory.forget(spool.last);
    this.#events.changed(this);
  }

  /** The row that goes with a commit in which everything up to `last` is spooled. */
  row(last = this.spool?.last ?? 0): SeriesRow {
    const { settled, settledBy } = this.window;
    const counted = this.spool?.counted;
    return {
      series: this.id,
      settled,
      settledBy,
      last: Math.max(last, settled),
      lost: this.lost.ranges,
      ...(counted !== undefined && { counted }),
    };
  }
}

/** What an exit file must hold of a series: what is in memory only. */
export function exitLane(store: SeriesStore): ExitLane {
  const runs: ExitRun[] = [];
  const row = { ...store.row(), last: store.last };
  for (let after = store.durable; ;) {
    const cut = store.memory.cut(after, { eventsMax: 1, bytesMax: 1 }, 0); // one chunk at a time
    if (!cut) return { row, runs };
    runs.push({ first: cut.last - cut.count + 1, count: cut.count, frames: cut.slices[0]! });
    after = cut.last;
  }
}
