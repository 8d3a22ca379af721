/** What a destination's own record has, added up line by line: numbers as ranges, the rest as counts and the first of each kind. */
import { crc32 } from 'node:zlib';
import type { Lane } from '../core/lane.ts';
import type { Loss } from '../dispatcher/ledger/losses.ts';
import type { RecordedDelivery } from './audit-lines.ts';
import { SeenLimits, SeenNumbers } from './seen-numbers.ts';

/** More delivery series than that are not of one destination. */
const SERIES_MAX = 100_000;
/** Of each kind of finding, so many are named; the rest is counted. */
export const NAMED_MAX = 100;
/** Jumps whose place is remembered, and loss notices. */
const PLACES_MAX = 10_000;

/** A series as the record has it. */
export interface RecordedSeries {
  readonly writer: string;
  readonly lane: Lane;
  readonly series: string;
  readonly seen: SeenNumbers;
  /** Deliveries, in the order of the record, that came before its first new one and before its last new one. */
  readonly firstAt: number;
  lastNewAt: number;
}

/** A delivery that is not as it should be, and where. */
export interface Finding {
  readonly writer: string;
  readonly lane: Lane;
  readonly series: string;
  readonly seq: number;
  /** `events.ndjson:12`. */
  readonly place: string;
}

/** Of a writer and lane. */
export interface RecordedCounts {
  deliveries: number;
  repeats: number;
  outOfOrder: number;
  changed: number;
}

export class DeliveryRecord {
  readonly series = new Map<string, RecordedSeries>();
  readonly lanes = new Map<string, RecordedCounts & { readonly writer: string; readonly lane: Lane }>();
  /** Σ `added`: the events that its deliveries stand for. */
  events = 0;
  /** Repeats too far behind their first to be compared. */
  notCompared = 0;
  readonly outOfOrder: (Finding & { readonly after: number })[] = [];
  readonly changed: Finding[] = [];
  /** Series by the first number behind a jump: where it is. */
  readonly #jumps = new Map<string, string>();
  /** What loss notices say, each once. */
  readonly losses: Loss[] = [];
  /** Notices that found no room above. */
  lossesLeftOut = 0;
  readonly #limits: SeenLimits;
  #deliveries = 0;

  constructor(limits = new SeenLimits()) {
    this.#limits = limits;
  }

  /** In the order of the record. Returns, in words, why it cannot go on; then the delivery is not counted. */
  add(delivery: RecordedDelivery, place: string): string | undefined {
    const { writer, lane, series, seq, text } = delivery;
    const key = `${writer}/${lane}/${series}`;
    let known = this.series.get(key);
    if (!known) {
      if (this.series.size === SERIES_MAX)
        return `a record must have at most ${SERIES_MAX} delivery series, got one more: is it of one destination?`;
      known = { writer, lane, series, seen: new SeenNumbers(key, this.#limits), firstAt: this.#deliveries, lastNewAt: 0 };
      this.series.set(key, known);
    }
    const { seen } = known;
    const before = seen.max;
    const added = seen.add(seq, crc32(text) || 1);
    if (added === undefined)
      return 'a record must be about in the order of its deliveries, got one that is in none: it cannot be held in memory';
    const counts = this.#countsOf(writer, lane);
    const finding = { writer, lane, series, seq, place };
    if (added === 'new' || added === 'late') {
      counts.deliveries++;
      this.events += delivery.added;
      this.#takeLosses(delivery.losses);
      known.lastNewAt = this.#deliveries++;
      if (added === 'new' && seq > before + 1 && this.#jumps.size < PLACES_MAX) this.#jumps.set(`${key}/${seq}`, place);
    } else counts.repeats++;
    if (added === 'late') {
      counts.outOfOrder++;
      if (this.outOfOrder.length < NAMED_MAX) this.outOfOrder.push({ ...finding, after: before });
    } else if (added === 'changed') {
      counts.changed++;
      if (this.changed.length < NAMED_MAX) this.changed.push(finding);
    } else if (added === 'not compared') this.notCompared++;
    return undefined;
  }

  /** Where the record jumped to this number; undefined where it did not, or there were too many jumps. */
  jumpTo({ writer, lane, series }: Pick<RecordedSeries, 'writer' | 'lane' | 'series'>, seq: number): string | undefined {
    return this.#jumps.get(`${writer}/${lane}/${series}/${seq}`);
  }

  #countsOf(writer: string, lane: Lane): RecordedCounts {
    const key = `${writer}/${lane}`;
    const found = this.lanes.get(key);
    if (found) return found;
    const counts = { writer, lane, deliveries: 0, repeats: 0, outOfOrder: 0, changed: 0 };
    this.lanes.set(key, counts);
    return counts;
  }

  #takeLosses(losses: readonly Loss[]): void {
    for (const loss of losses) {
      if (this.losses.length < PLACES_MAX) this.losses.push(loss);
      else this.lossesLeftOut++;
    }
  }
}
