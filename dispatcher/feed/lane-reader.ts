/** One lane's way from the journal to a batch: reads ahead a bounded stretch, passes what is folded or filtered, cuts what is to be sent. */
import type { DecodedEvent } from '../../core/event-codec.ts';
import { isFondacoError } from '../../core/errors.ts';
import type { Entry, Journal } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';
import type { Delivery } from '../../core/writer.ts';
import { decodeEntry } from '../decode-entry.ts';
import type { FeedLane } from './feed-row.ts';
import { lossesIn, mergeLosses, type Loss } from '../ledger/losses.ts';
import { addresseeOf, isTelling } from '../own-events.ts';

const READ_BYTES = 256 * 1024;
/** So many entries are decoded ahead: a batch, as a rule. */
const AHEAD_MAX = 1000;
/** A step passes at most so many entries, so that a long filtered stretch is settled in pieces. */
const SCAN_MAX = 10_000;
/** … and bytes, because what it passes is held until it is settled. */
const SCAN_BYTES_MAX = 8 * 1024 * 1024;

export interface CutLimits {
  readonly eventsMax: number;
  readonly bytesMax: number;
}

/** What to do next, from position `from` to before `to`. */
export type Step =
  | {
      readonly kind: 'write';
      readonly from: number;
      readonly to: number;
      readonly passed: Passed;
      readonly deliveries: readonly Delivery[];
    }
  | { readonly kind: 'pass'; readonly from: number; readonly to: number; readonly passed: Passed }
  /**
   * Given up. `epoch`: of what follows, as far as it is known. `isOfNotices`: nothing but what tells of losses, which is not announced again;
   * `untold`: what the loss notices in it say.
   */
  | {
      readonly kind: 'hole';
      readonly from: number;
      readonly to: number;
      readonly epoch: number;
      readonly cause: GivenUp;
      readonly isOfNotices: boolean;
      readonly untold: readonly Loss[];
    }
  /** The entries that follow are of another epoch and need a delivery series of their own. */
  | { readonly kind: 'rotate'; readonly from: number; readonly epoch: number };

/** Why entries are not read: the journal has not got them any more, or their writer's backlog is over its limit, in bytes or in age. */
export type GivenUp = 'corrupt' | 'budget' | 'age';

export interface Passed {
  folded: number;
  filtered: number;
}

export class LaneReader {
  readonly #journal: Journal;
  readonly #writer: string;
  readonly #lane: Lane;
  /** Entries from the cursor on, as far as they were read. */
  #entries: Entry[] = [];

  constructor(journal: Journal, writer: string, lane: Lane) {
    this.#journal = journal;
    this.#writer = writer;
    this.#lane = lane;
  }

  /** The wall clock, in ms, at which the entry at the cursor was received; `undefined` if it was not read yet. */
  receivedAt(cursor: number): number | undefined {
    return this.#entries[cursor - (this.#entries[0]?.position ?? cursor)]?.receivedAt;
  }

  /** Reads what stands at the cursor, where nothing was read yet: for its time. Rejects as a read does. */
  async peek(cursor: number): Promise<void> {
    if (this.receivedAt(cursor) !== undefined) return;
    const { entries } = await this.#journal.read(this.#lane, cursor, 1);
    this.#entries = [...entries];
  }

  clear(): void {
    this.#entries = [];
  }

  /** The next step from the row's cursor; `undefined` if there is nothing. */
  async next(row: FeedLane, wants: (event: DecodedEvent, entry: Entry) => boolean, limits: CutLimits): Promise<Step | undefined> {
    const from = row.cursor;
    const passed: Passed = { folded: 0, filtered: 0 };
    const deliveries: Delivery[] = [];
    let bytes = 0;
    let scanned = 0;
    let at = 0;
    this.#drop(from);
    const entries = this.#entries; // of its own: a reload of the row may clear the reader while this waits for the disk
    for (; at < SCAN_MAX && scanned < Math.max(SCAN_BYTES_MAX, limits.bytesMax); at++) {
      if (at === entries.length) {
        const hole = await this.#readOn(entries, from + at);
        if (hole && at === 0) return this.giveUp(hole, hole.from < this.#journal.tail(this.#lane) ? 'budget' : 'corrupt', row.epoch);
        if (at === entries.length) break;
      }
      const entry = entries[at]!;
      scanned += entry.bytes.length;
      if (entry.epoch.number !== row.epoch) {
        if (at === 0) return { kind: 'rotate', from, epoch: entry.epoch.number };
        break;
      }
      if (entry.kind === 'folded') passed.folded++;
      else if (!wants(decodeEntry(entry), entry)) passed.filtered++;
      else {
        bytes += entry.bytes.length;
        if (deliveries.length >= limits.eventsMax || (bytes > limits.bytesMax && deliveries.length > 0)) break;
        deliveries.push(this.#delivery(entry, row, deliveries.length + 1));
      }
    }
    if (at === 0) return undefined;
    const to = from + at;
    return deliveries.length > 0 ? { kind: 'write', from, to, passed, deliveries } : { kind: 'pass', from, to, passed };
  }

  /**
   * Reads and decodes what the step behind `position` will hold, most likely, while the destination works on the one before: at most one
   * stretch. Best effort: what cannot be read is met by `next`.
   */
  async ahead(position: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve)); // the write goes out first
    const entries = this.#entries;
    const at = position - (entries[0]?.position ?? position);
    try {
      if (at === entries.length) await this.#readOn(entries, position);
    } catch (error) {
      if (!isFondacoError(error)) throw error;
    }
    for (const entry of entries.slice(at, at + AHEAD_MAX)) if (entry.kind !== 'folded') void decodeEntry(entry).attributesText;
  }

  /** The step over a range that is given up. `epoch`: the one before it. */
  async giveUp({ from, to }: { from: number; to: number }, cause: GivenUp, epoch: number): Promise<Step> {
    const notices = cause === 'corrupt' ? { isOfNotices: false, untold: [] } : await this.#noticesIn(from, to);
    return { kind: 'hole', from, to, cause, ...notices, epoch: await this.#epochAt(to, epoch) };
  }

  /** Reads all of a range of the urgent lane, a stretch at a time: what its notices say is told to nobody else but those who got them. */
  async #noticesIn(from: number, to: number): Promise<{ isOfNotices: boolean; untold: readonly Loss[] }> {
    let untold: Loss[] = [];
    let isOfNotices = this.#lane === 'urgent';
    for (let at = from; at < to && this.#lane === 'urgent';) {
      const { entries, hole } = await this.#journal.read(this.#lane, at, READ_BYTES);
      for (const entry of entries.filter(({ position }) => position < to)) {
        const event = entry.kind === 'made' ? decodeEntry(entry) : undefined;
        if (!event || !isTelling(event, entry)) isOfNotices = false;
        else if ((addresseeOf(event) ?? this.#writer) === this.#writer) untold = mergeLosses(untold, lossesIn(event));
      }
      if (hole) isOfNotices = false;
      at = hole?.to ?? (entries.at(-1)?.position ?? to) + 1;
    }
    return { isOfNotices, untold };
  }

  #delivery(entry: Entry, row: FeedLane, ahead: number): Delivery {
    return {
      event: decodeEntry(entry),
      delivery: { writer: this.#writer, lane: this.#lane, series: row.series, seq: row.seq + ahead },
      entry: { epoch: entry.epoch.number, birth: entry.epoch.birth, position: entry.position },
    };
  }

  /** Forgets what lies before the cursor, or everything if it is elsewhere. */
  #drop(cursor: number): void {
    const first = this.#entries[0]?.position ?? cursor;
    if (first === cursor) return;
    if (first > cursor || cursor - first >= this.#entries.length) this.#entries = [];
    else this.#entries = this.#entries.slice(cursor - first);
  }

  /** So that the series that begins after a hole is the one that goes on. */
  async #epochAt(position: number, fallback: number): Promise<number> {
    if (position >= this.#journal.head(this.#lane)) return this.#journal.epochs.at(-1)!.number;
    const { entries } = await this.#journal.read(this.#lane, position, 1);
    return entries[0]?.epoch.number ?? fallback;
  }

  async #readOn(entries: Entry[], from: number): Promise<{ from: number; to: number } | undefined> {
    const { entries: more, hole } = await this.#journal.read(this.#lane, from, READ_BYTES);
    for (const entry of more) entries.push(entry);
    return more.length === 0 ? hole : undefined;
  }
}
