/**
 * What is in the journal, read back: newest first, by id, and from a place on. Delivered or not makes no difference; what was trimmed is not
 * there. Every read is bounded in bytes and time, and says how far it came.
 */
import type { Clock } from '../../core/clock.ts';
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Entry, Journal } from '../../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../../core/lane.ts';
import { BackwardLane, ReadBudget, type Positions } from './backward-lane.ts';
import { decodeEntry, decodeFolded } from '../decode-entry.ts';

/** A position in each lane: what is below was passed, going on; or is still to come, going back. */
export type Place = Readonly<PerLane<number>>;

/** An entry with its event, whole. */
export interface HistoryItem {
  readonly entry: Entry;
  readonly event: DecodedEvent;
  /** A folded entry: the id of the first occurrence, which counts for it. */
  readonly foldedInto?: string;
}

export interface PageRequest {
  readonly limit: number;
  /** Only what lies below. */
  readonly before?: Place;
  readonly lanes?: readonly Lane[];
  /** By the proxy's clock at acceptance, ms since 1970: since ≤ received < until. */
  readonly since?: number;
  readonly until?: number;
  readonly wants?: (event: DecodedEvent) => boolean;
}

export interface Page {
  readonly items: readonly HistoryItem[];
  /** Damaged positions that were passed. */
  readonly missing: readonly Positions[];
  /** There may be more below. */
  readonly next?: Place;
}

export interface HistoryOptions {
  /** What one request reads at most. */
  readonly budget?: { readonly bytes: number; readonly ms: number };
}

const MIB = 1024 * 1024;
const BUDGET = { bytes: 32 * MIB, ms: 2000 };
/** The events of one page. */
const PAGE_BYTES = 4 * MIB;
/** How far a wall clock may have been set back without hiding anything: entries of one lane are in this order of their times. */
export const CLOCK_BACK_MS = 10 * 60_000;
/** A first occurrence is read with what lies before it, for those that are next, going back; so many stretches of them are kept. */
const FIRSTS_BEFORE = 100;
const FIRSTS_BYTES = 64 * 1024;
const STRETCHES_MAX = 8;
/** What `from` gives at a time. */
const STREAM_BYTES = 64 * 1024;
/** A search reads so much at a time, and is narrowed to so many positions. */
const PROBE_BYTES = 256 * 1024;
const NARROW_TO = 1024;
/** `<series>-<seq>`, and `.<revision>` for a summary. */
const EVENT_ID = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})-([1-9]\d{0,15})(?:\.([1-9]\d{0,9}))?$/;

export class History {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #budget: { readonly bytes: number; readonly ms: number };

  constructor(journal: Journal, clock: Clock, { budget = BUDGET }: HistoryOptions = {}) {
    this.#journal = journal;
    this.#clock = clock;
    this.#budget = budget;
  }

  /** Where the next entries will be. */
  get head(): Place {
    return perLane((lane) => this.#journal.head(lane));
  }

  /** Entries newest first, both lanes merged by when they were received. Fewer than `limit`, with `next`, where the budget is spent. */
  async page({ limit, before = this.head, lanes = LANES, since = -Infinity, until = Infinity, wants }: PageRequest): Promise<Page> {
    const budget = new ReadBudget(this.#clock, this.#budget);
    const back = perLane<BackwardLane | undefined>(() => undefined);
    for (const lane of lanes) {
      const end = Math.min(before[lane], this.#journal.head(lane));
      const start = until === Infinity ? end : await this.#firstAfter(lane, until + CLOCK_BACK_MS, end);
      back[lane] = new BackwardLane(this.#journal, lane, start, budget);
    }
    const reading = LANES.flatMap((lane) => back[lane] ?? []);
    const firsts = new Firsts(this.#journal, budget);
    const items: HistoryItem[] = [];
    const missing: Positions[] = [];
    let bytes = 0;
    while (items.length < limit && bytes < PAGE_BYTES) {
      const newest = await newestOf(reading);
      if (!newest) break;
      const { lane, entry } = newest;
      if (entry.receivedAt < since - CLOCK_BACK_MS) {
        lane.end();
        continue;
      }
      if (entry.receivedAt >= since && entry.receivedAt < until) {
        const item = await firsts.whole(entry);
        if (!item) missing.push({ lane: entry.lane, first: entry.position, last: entry.position });
        else if (!wants || wants(item.event)) {
          items.push(item);
          bytes += item.entry.bytes.length;
        }
      }
      lane.pass();
    }
    for (const lane of reading) missing.push(...lane.missing);
    const isMore = reading.some((lane) => !lane.isEnded);
    return { items, missing, ...(isMore && { next: perLane((lane) => back[lane]?.at ?? before[lane]) }) };
  }

  /**
   * Entries from a place on, the urgent lane's first, some 64 KiB of them; `place` is behind them, and the same as it was at the head.
   * What was trimmed or is damaged there is `missing`.
   */
  async from(place: Place): Promise<{ items: readonly HistoryItem[]; missing: readonly Positions[]; place: Place }> {
    const budget = new ReadBudget(this.#clock, this.#budget);
    const firsts = new Firsts(this.#journal, budget);
    for (const lane of LANES) {
      const at = place[lane];
      const { entries, hole } = await this.#journal.read(lane, at, STREAM_BYTES);
      if (entries.length > 0) {
        const items: HistoryItem[] = [];
        const missing: Positions[] = [];
        for (const entry of entries) {
          const item = await firsts.whole(entry);
          if (item) items.push(item);
          else missing.push({ lane, first: entry.position, last: entry.position });
        }
        return { items, missing, place: { ...place, [lane]: entries.at(-1)!.position + 1 } };
      }
      if (hole) return { items: [], missing: [{ lane, first: hole.from, last: hole.to - 1 }], place: { ...place, [lane]: hole.to } };
    }
    return { items: [], missing: [], place };
  }

  /**
   * The entry of an id, `<series>-<seq>` or a summary's `<id of the first>.<revision>`. A series bears the time of its birth: it is looked for
   * from there on, then before, as far as the budget goes. `looked`: the positions, both included, that it is not at.
   */
  async find(id: string): Promise<{ item: HistoryItem } | { looked: readonly Positions[]; isAll: boolean }> {
    const parts = EVENT_ID.exec(id);
    const looked: Positions[] = [];
    if (!parts) return { looked, isAll: true };
    const [, series = '', seq = '', revision] = parts;
    const wanted = { id, series, seq: Number(seq), isSummary: revision !== undefined };
    const birth = parseInt(series.slice(0, 8) + series.slice(9, 13), 16);
    const budget = new ReadBudget(this.#clock, this.#budget);
    const starts = new Map<Lane, number>();
    for (const lane of LANES) {
      const head = this.#journal.head(lane);
      const start = await this.#firstAfter(lane, birth - CLOCK_BACK_MS, head);
      starts.set(lane, start);
      const range = await this.#narrow(lane, wanted, [start, head], budget);
      const entry = await this.#scan(lane, range, wanted, { budget, looked });
      if (entry) return this.#found(entry, budget);
    }
    for (const lane of LANES) {
      const entry = await this.#scan(lane, [this.#journal.tail(lane), starts.get(lane)!], wanted, { budget, looked });
      if (entry) return this.#found(entry, budget);
    }
    return { looked, isAll: !budget.isSpent };
  }

  async #found(entry: Entry, budget: ReadBudget): Promise<{ item: HistoryItem } | { looked: readonly Positions[]; isAll: boolean }> {
    const item = await new Firsts(this.#journal, budget).whole(entry);
    const { lane, position } = entry;
    return item ? { item } : { looked: [{ lane, first: position, last: position }], isAll: true };
  }

  /** Within a lane the seqs of a series grow, so wherever it is met says on which side to go on. */
  async #narrow(lane: Lane, wanted: Wanted, range: readonly [number, number], budget: ReadBudget): Promise<[number, number]> {
    let [low, high] = range;
    while (high - low > NARROW_TO && !budget.isSpent) {
      const middle = Math.floor((low + high) / 2);
      const { entries } = await this.#journal.read(lane, middle, PROBE_BYTES);
      budget.spend(entries);
      const met = entries.filter(({ series }) => series === wanted.series);
      if (met.length === 0) break;
      if (met[0]!.seq > wanted.seq && !wanted.isSummary) high = met[0]!.position;
      else if (met.at(-1)!.seq < wanted.seq) low = met.at(-1)!.position + 1;
      else break;
    }
    return [low, high];
  }

  async #scan(
    lane: Lane,
    [from, to]: readonly [number, number],
    wanted: Wanted,
    { budget, looked }: { budget: ReadBudget; looked: Positions[] },
  ): Promise<Entry | undefined> {
    const first = Math.max(from, this.#journal.tail(lane));
    let at = first;
    while (at < to && !budget.isSpent) {
      const { entries, hole } = await this.#journal.read(lane, at, PROBE_BYTES);
      budget.spend(entries);
      const found = entries.find((entry) => isWanted(entry, wanted));
      if (found) return found;
      if (entries.length === 0 && !hole) break;
      at = entries.length > 0 ? entries.at(-1)!.position + 1 : hole!.to;
    }
    if (at > first) looked.push({ lane, first, last: at - 1 });
    return undefined;
  }

  /** The first position below `end` whose entry was received after `ms`; `end` if there is none. By halving: times are taken to grow. */
  async #firstAfter(lane: Lane, ms: number, end: number): Promise<number> {
    let low = this.#journal.tail(lane);
    let high = end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const entry = await this.#entryFrom(lane, middle, high);
      if (!entry || entry.receivedAt > ms) high = middle;
      else low = entry.position + 1;
    }
    return Math.min(low, end);
  }

  /** The first entry at or above a position that is not damaged. */
  async #entryFrom(lane: Lane, position: number, end: number): Promise<Entry | undefined> {
    for (let at = position; at < end;) {
      const { entries, hole } = await this.#journal.read(lane, at, 1);
      if (entries.length > 0 || !hole) return entries[0];
      at = hole.to;
    }
    return undefined;
  }
}

/** Makes entries whole, with the first occurrences that the folded ones need. */
class Firsts {
  readonly #journal: Journal;
  readonly #budget: ReadBudget;
  /** What was read lately: in a storm the firsts lie side by side, too. */
  #stretches: (readonly Entry[])[] = [];

  constructor(journal: Journal, budget: ReadBudget) {
    this.#journal = journal;
    this.#budget = budget;
  }

  /** Undefined for a folded entry whose first occurrence is damaged or trimmed: what it was cannot be said any more. */
  async whole(entry: Entry): Promise<HistoryItem | undefined> {
    if (entry.kind !== 'folded') return { entry, event: decodeEntry(entry) };
    const { lane, first: position } = entry;
    const first =
      this.#held(lane, position) ??
      (await this.#read(lane, position - FIRSTS_BEFORE, position)) ??
      (await this.#read(lane, position, position));
    return first && { entry, event: decodeFolded(entry, first), foldedInto: decodeEntry(first).id };
  }

  #held(lane: Lane, position: number): Entry | undefined {
    for (const stretch of this.#stretches) {
      const found = stretch[0]?.lane === lane ? stretch[position - stretch[0].position] : undefined;
      if (found) return found;
    }
    return undefined;
  }

  async #read(lane: Lane, from: number, position: number): Promise<Entry | undefined> {
    const { entries } = await this.#journal.read(lane, Math.max(from, this.#journal.tail(lane)), FIRSTS_BYTES);
    this.#budget.spend(entries);
    if (entries.length > 0) this.#stretches = [entries, ...this.#stretches.slice(0, STRETCHES_MAX - 1)];
    return entries.find((entry) => entry.position === position);
  }
}

/** Undefined at the end of all lanes, and where a lane cannot say what is next because the budget is spent. */
async function newestOf(lanes: readonly BackwardLane[]): Promise<{ lane: BackwardLane; entry: Entry } | undefined> {
  let newest: { lane: BackwardLane; entry: Entry } | undefined;
  for (const lane of lanes) {
    const entry = await lane.next();
    if (!entry && !lane.isEnded) return undefined;
    if (entry && (!newest || entry.receivedAt > newest.entry.receivedAt)) newest = { lane, entry };
  }
  return newest;
}

interface Wanted {
  readonly id: string;
  readonly series: string;
  readonly seq: number;
  readonly isSummary: boolean;
}

/** A summary has a series and a seq of its own, and its id in its bytes. */
function isWanted(entry: Entry, { id, series, seq, isSummary }: Wanted): boolean {
  // An event that another proxy forwards has its id in its bytes, and the series of its delivery.
  if (entry.kind === 'accepted' && entry.series !== series) return entry.bytes.includes(id) && decodeEntry(entry).id === id;
  if (isSummary) return entry.kind === 'made' && decodeEntry(entry).id === id;
  return entry.series === series && entry.seq === seq && (entry.kind === 'folded' || decodeEntry(entry).id === id);
}
