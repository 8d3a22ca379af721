/**
 * Dedup, decided once, at acceptance. The first occurrence is an entry at once; recurrences within the window are stored as folded entries
 * and counted. When the window ends, and once a minute before, a summary reports what was folded since.
 *
 * A window is stored from its first fold on, in the row `window:<lane>/<position of the first>`, by the commit that folds; its summary and
 * the deletion of that row are one commit. So at every commit Σ `added` + what the rows hold = the number of accepted events. A window that
 * never folded is not stored: after a restart its next recurrence is a first again.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../core/clock.ts';
import { restOfWait } from '../../core/clock.ts';
import { encodeSummary } from '../../core/event-codec.ts';
import { EventWalk } from '../../core/event-walk.ts';
import type { Draft, Entry, NewEntry, Row, Stamp } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import { timestampOf } from '../../core/time.ts';
import { uuidBytes } from '../../core/uuid.ts';
import type { Counts } from '../ledger/counts.ts';
import type { OwnSeries } from '../own-events.ts';
import { WindowTable } from './window-table.ts';

export const WINDOW_PREFIX = 'window:';
const INTERIM_MS = 60_000;

/** How recurrences fold. */
export interface DedupOptions {
  /** The length of a window; 0 turns dedup off. */
  readonly intervalMs: number;
  /** Open windows at most; the oldest is closed early beyond it. */
  readonly windowsMax: number;
}

interface WindowRow {
  /** Occurrences, the first included. */
  count: number;
  /** Of those, the ones that no summary has reported. */
  held: number;
  /** Of the last summary. */
  revision: number;
  /** Encoded Timestamp of the last occurrence, base64. */
  lastTime: string;
  /** Wall clock; with the length it says, after a restart, how long it goes on. */
  beganAt: number;
  intervalMs: number;
}

/** A window that has folded. */
interface Fold extends WindowRow {
  readonly key: string;
  readonly lane: Lane;
  /** Of the first, where the proxy's is another now: then its summary says it. */
  readonly stamp?: Stamp;
  lastReportAt: number;
  readonly row: () => WindowRow;
}

export class Dedup {
  readonly #options: DedupOptions;
  readonly #clock: Clock;
  readonly #counts: Counts;
  readonly #own: OwnSeries;
  readonly #ends: Map<string, number>;
  readonly #seed: number;
  #windows: WindowTable;
  readonly #folds = new Map<number, Fold>();
  readonly #summary = new ProtobufWriter();
  readonly #time = new ProtobufWriter();
  #interimAt = Infinity;

  constructor({
    options,
    clock,
    counts,
    own,
    ends,
    random,
  }: {
    options: DedupOptions;
    clock: Clock;
    counts: Counts;
    own: OwnSeries;
    /** When folded windows end, on the monotonic clock, by the keys of their rows: kept by this, and asked after a reopening. */
    ends: Map<string, number>;
    random: () => number;
  }) {
    this.#options = options;
    this.#clock = clock;
    this.#counts = counts;
    this.#own = own;
    this.#ends = ends;
    this.#seed = Math.floor(random() * 2 ** 32);
    this.#windows = new WindowTable(options.windowsMax, this.#seed);
  }

  /** Open windows, and those of them that have folded. */
  get size(): { open: number; folded: number } {
    return { open: this.#windows.size, folded: this.#folds.size };
  }

  /**
   * Takes up the stored windows. `first` reads an entry. A window ends with the site and the labels of its first (`stamp`: those of now): a filter
   * may name them. Returns those that cannot be reported any more, with what they held. `isReopened`: by the process that stored them, which knows
   * when they end; one that it does not know is over, and its end was not stored.
   */
  async load(
    rows: readonly Row[],
    stamp: Stamp,
    first: (lane: Lane, position: number) => Promise<Entry | undefined>,
    { isReopened }: { isReopened: boolean },
  ): Promise<{ key: string; held: number }[]> {
    const now = this.#clock.monotonic();
    const found: { fold: Fold; entry: Entry; endsAt: number }[] = [];
    const gone: { key: string; held: number }[] = [];
    for (const { key, value } of rows) {
      if (!key.startsWith(WINDOW_PREFIX) || value === undefined) continue;
      const row = value as WindowRow;
      const [lane = '', position = ''] = key.slice(WINDOW_PREFIX.length).split('/');
      const entry = await first(lane as Lane, Number(position));
      if (!entry) {
        gone.push({ key, held: row.held });
        continue;
      }
      const isOver = !isDeepStrictEqual(entry.epoch.stamp, stamp);
      const rest = Math.min(restOfWait(row.intervalMs, row.beganAt, this.#clock.now()), this.#options.intervalMs);
      const endsAt = isReopened ? (this.#ends.get(key) ?? now) : now + rest;
      const fold = this.#fold(key, lane as Lane, row, isOver ? entry.epoch.stamp : undefined);
      found.push({ fold, entry, endsAt: isOver ? now : endsAt });
    }
    found.sort((a, b) => a.endsAt - b.endsAt);
    this.#ends.clear();
    const excess = found.length - this.#options.windowsMax;
    if (excess > 0) {
      // windowsMax was lowered: the oldest are closed early, at the first opportunity.
      this.#windows = new WindowTable(found.length, this.#seed);
      for (const each of found.slice(0, excess)) if (each.endsAt > now) this.#counts.closedEarly++;
      for (const each of found.slice(0, excess)) each.endsAt = now;
    }
    for (const { fold, entry, endsAt } of found) {
      walk.over(entry.bytes, 0, entry.bytes.length);
      const series = uuidBytes(entry.series)!;
      const whole: NewEntry = { series, seq: entry.seq, kind: 'accepted', first: 0, bytes: entry.bytes, start: 0, end: entry.bytes.length };
      this.#windows.find(entry.bytes, walk); // `add` goes by the hash of what was looked for last
      this.#windows.add(whole, walk, { lane: entry.lane, position: entry.position, endsAt });
      this.#folds.set(this.#windows.newest(), fold);
      this.#ends.set(fold.key, endsAt);
      if (fold.held > 0) this.#interimAt = Math.min(this.#interimAt, fold.lastReportAt + INTERIM_MS);
    }
    return gone;
  }

  /**
   * Appends an accepted event: as a folded entry if an open window holds the same event, else as a first, opening a window.
   * Returns the lane it went to: the given one, or its window's, should the setting have changed since.
   */
  append(draft: Draft, lane: Lane, entry: NewEntry, walk: EventWalk): Lane {
    const now = this.#clock.monotonic();
    this.closeDue(draft, now);
    const { bytes } = entry;
    const slot = this.#options.intervalMs > 0 ? this.#windows.find(bytes, walk) : -1;
    if (slot >= 0) {
      return this.#addTo(draft, slot, entry, walk);
    }
    const position = draft.append(lane, entry);
    this.#counts.added++;
    if (this.#options.intervalMs === 0) return lane;
    while (this.#windows.size >= this.#options.windowsMax || this.#windows.isFullFor(bytes.length)) {
      this.#counts.closedEarly++;
      this.#close(draft, this.#windows.oldest());
    }
    this.#windows.add(entry, walk, { lane, position, endsAt: now + this.#options.intervalMs });
    return lane;
  }

  /** Ends the windows whose time has come, and reports those that have held something for a minute. */
  closeDue(draft: Draft, now: number): void {
    for (let slot = this.#windows.oldest(); slot >= 0 && this.#windows.endsAt(slot) <= now; slot = this.#windows.oldest())
      this.#close(draft, slot);
    if (now < this.#interimAt) return;
    this.#interimAt = Infinity;
    for (const [slot, fold] of this.#folds) {
      if (fold.held === 0) continue; // its next recurrence sets the time
      if (fold.lastReportAt + INTERIM_MS <= now) {
        this.#report(draft, slot, fold, now);
        draft.put(fold.key, fold.row);
      } else this.#interimAt = Math.min(this.#interimAt, fold.lastReportAt + INTERIM_MS);
    }
  }

  /** When `closeDue` has something to do at the earliest, on the monotonic clock. */
  nextDue(): number {
    if (this.#folds.size === 0) return Infinity;
    return Math.min(this.#interimAt, this.#windows.endsAt(this.#windows.oldest()));
  }

  /** The lowest position that an open, folded window still needs, in a lane: trimming stops there. */
  oldestNeeded(lane: Lane): number {
    let lowest = Infinity;
    for (const [slot, fold] of this.#folds) if (fold.lane === lane) lowest = Math.min(lowest, this.#windows.position(slot));
    return lowest;
  }

  /** Closes windows before their end, oldest first, until none that has folded needs a position below. */
  closeBelow(draft: Draft, lane: Lane, position: number): void {
    while (this.oldestNeeded(lane) < position) {
      this.#counts.closedEarly++;
      this.#close(draft, this.#windows.oldest());
    }
  }

  #addTo(draft: Draft, slot: number, entry: NewEntry, walk: EventWalk): Lane {
    let fold = this.#folds.get(slot);
    if (!fold) {
      fold = this.#begin(slot);
      this.#folds.set(slot, fold);
    }
    if (fold.held === 0) this.#interimAt = Math.min(this.#interimAt, fold.lastReportAt + INTERIM_MS);
    const { bytes } = entry;
    entry.kind = 'folded';
    entry.first = this.#windows.position(slot);
    // With a dedupKey the object, message and attributes may differ from the first's: the entry stays whole.
    if (walk.moreEnd === 0) entry.start = walk.keyEnd;
    draft.append(fold.lane, entry);
    fold.count++;
    fold.held++;
    fold.lastTime = Buffer.from(walk.timeEnd > 0 ? bytes.subarray(walk.timeStart, walk.timeEnd) : this.#now()).toString('base64');
    draft.put(fold.key, fold.row);
    return fold.lane;
  }

  #begin(slot: number): Fold {
    const key = `${WINDOW_PREFIX}${this.#windows.lane(slot)}/${String(this.#windows.position(slot)).padStart(16, '0')}`;
    const { intervalMs } = this.#options;
    const endsAt = this.#windows.endsAt(slot);
    this.#ends.set(key, endsAt);
    const elapsed = intervalMs - (endsAt - this.#clock.monotonic());
    const beganAt = this.#clock.now() - elapsed;
    return this.#fold(key, this.#windows.lane(slot), { count: 1, held: 0, revision: 0, lastTime: '', beganAt, intervalMs });
  }

  #fold(key: string, lane: Lane, row: WindowRow, stamp?: Stamp): Fold {
    const fold: Fold = { ...row, key, lane, ...(stamp && { stamp }), lastReportAt: this.#clock.monotonic(), row: () => rowOf(fold) };
    return fold;
  }

  #close(draft: Draft, slot: number): void {
    const fold = this.#folds.get(slot);
    if (fold) {
      if (fold.held > 0) this.#report(draft, slot, fold, this.#clock.monotonic());
      draft.delete(fold.key);
      this.#folds.delete(slot);
      this.#ends.delete(fold.key);
    }
    this.#windows.removeOldest();
  }

  /** Makes the next summary: the first's bytes, and what a proxy adds. */
  #report(draft: Draft, slot: number, fold: Fold, now: number): void {
    const first = this.#windows.first(slot);
    const id = this.#windows.id(slot);
    fold.revision++;
    this.#summary.reset();
    this.#summary.raw(first);
    encodeSummary(this.#summary, {
      id: `${id}.${fold.revision}`,
      ...(fold.stamp && { stamp: fold.stamp }),
      revision: fold.revision,
      count: fold.count,
      added: fold.held,
      firstTime: timeOf(first),
      lastTime: Buffer.from(fold.lastTime, 'base64'),
      summarizes: id,
    });
    this.#own.append(draft, fold.lane, this.#summary.view());
    this.#counts.made[fold.lane]++;
    this.#counts.added += fold.held;
    fold.held = 0;
    fold.lastReportAt = now;
  }

  #now(): Uint8Array {
    const { seconds, nanos } = timestampOf(this.#clock.now());
    this.#time.reset();
    this.#time.timestampContent(seconds, nanos);
    return this.#time.view();
  }
}

function rowOf({ count, held, revision, lastTime, beganAt, intervalMs }: Fold): WindowRow {
  return { count, held, revision, lastTime, beganAt, intervalMs };
}

const walk = new EventWalk();

/** The encoded time of an accepted event; empty if it has none. */
function timeOf(event: Buffer): Uint8Array {
  walk.over(event, 0, event.length);
  return event.subarray(walk.timeStart, walk.timeEnd);
}
