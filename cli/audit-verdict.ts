/** Holds what a record has against what it must have: the numbers themselves, and what the proxy says of them. */
import { LANES, type Lane } from '../core/lane.ts';
import type { DeliveryRecord as Expected, DeliverySeries } from '../dispatcher/feed/delivery-series.ts';
import type { Loss } from '../dispatcher/ledger/losses.ts';
import { NAMED_MAX, type DeliveryRecord, type Finding, type RecordedCounts, type RecordedSeries } from './audit-record.ts';

/** Numbers first to last of a series that the record has not. */
export interface Gap {
  readonly writer: string;
  readonly lane: Lane;
  readonly series: string;
  readonly first: number;
  readonly last: number;
  readonly count: number;
  /** In the series: before all that is there, between, behind, or there is nothing of it. */
  readonly where: 'beginning' | 'middle' | 'end' | 'all';
  /** The delivery behind the gap. */
  readonly place?: string;
}

/** What was given up between two series: its destination never got a number for it. */
export interface GivenUp {
  readonly writer: string;
  readonly lane: Lane;
  /** Behind which series. */
  readonly after: string;
  readonly cause: string;
  /** Entries of the journal, those that the writer's filter would have left out included. */
  readonly entries: number;
}

export interface LaneVerdict extends RecordedCounts {
  readonly writer: string;
  readonly lane: Lane;
  /** Not there, and nothing says why. */
  missing: number;
  /** Not there because they were set aside as dead letters. */
  explained: number;
  /** Not there, before the record's first delivery, where that is no fault. */
  before: number;
}

export interface Verdict {
  readonly isComplete: boolean;
  /** Whether a proxy's books were held against the record: without them nobody knows where a series ends. */
  readonly isJudgedByProxy: boolean;
  readonly lanes: readonly LaneVerdict[];
  readonly missing: readonly Gap[];
  readonly explained: readonly Gap[];
  readonly outOfOrder: readonly (Finding & { readonly after: number })[];
  readonly changed: readonly Finding[];
  readonly givenUp: readonly GivenUp[];
  /** Of loss notices in the record: what never came as far as this writer, by cause. */
  readonly lostBefore: readonly { readonly cause: string; readonly count: number }[];
  readonly notes: readonly string[];
}

export interface VerdictOptions {
  /** What lies before the first delivery of the record is no fault. */
  readonly isPruned: boolean;
}

/** `expected`: of each writer, what the proxy says; none where nobody could be asked. */
export function judge(record: DeliveryRecord, expected: readonly Expected[], options: VerdictOptions): Verdict {
  const judging = new Judging(record, options);
  const known = expected.filter((each) => judging.isOf(each));
  const writers = new Set([...known.map(({ writer }) => writer), ...[...record.lanes.values()].map(({ writer }) => writer)]);
  for (const writer of writers) {
    const books = known.find((each) => each.writer === writer);
    for (const lane of LANES) judging.judgeLane(writer, lane, books?.lanes[lane]);
  }
  return judging.verdict(known.length > 0);
}

class Judging {
  readonly #record: DeliveryRecord;
  readonly #isPruned: boolean;
  readonly #lanes: LaneVerdict[] = [];
  readonly #missing: Gap[] = [];
  readonly #explained: Gap[] = [];
  readonly #givenUp: GivenUp[] = [];
  readonly #notes: string[] = [];

  constructor(record: DeliveryRecord, { isPruned }: VerdictOptions) {
    this.#record = record;
    this.#isPruned = isPruned;
  }

  /** False where the proxy knows none of the series that the record has of this writer: it is another proxy. */
  isOf({ writer, lanes }: Expected): boolean {
    const recorded = [...this.#record.series.values()].filter((each) => each.writer === writer);
    const known = new Set(LANES.flatMap((lane) => lanes[lane].series.map(({ series }) => series)));
    if (recorded.length === 0 || recorded.some(({ series }) => known.has(series))) return true;
    this.#notes.push(
      `the proxy knows none of the series that the record has of ${writer}: is it the one that wrote them? it is not heeded`,
    );
    return false;
  }

  judgeLane(writer: string, lane: Lane, books: Expected['lanes'][Lane] | undefined): void {
    const recorded = [...this.#record.series.values()].filter((each) => each.writer === writer && each.lane === lane);
    const none = { deliveries: 0, repeats: 0, outOfOrder: 0, changed: 0 };
    const counts = this.#record.lanes.get(`${writer}/${lane}`) ?? none;
    const verdict: LaneVerdict = { ...counts, writer, lane, missing: 0, explained: 0, before: 0 };
    this.#lanes.push(verdict);
    recorded.sort((a, b) => a.firstAt - b.firstAt);
    const bySeries = new Map(recorded.map((each) => [each.series, each]));
    const expected = books?.series ?? [];
    const begins = this.#isPruned ? expected.findIndex(({ series }) => bySeries.has(series)) : 0;
    for (const [i, series] of expected.entries()) {
      const found = bySeries.get(series.series);
      // A record that begins later has nothing of what ended before; where there is nothing of a lane at all, nobody knows.
      if (!found && this.#isPruned && (i < begins || begins < 0)) verdict.before += series.seq - countOf(series.dead);
      else this.#judgeSeries(verdict, series, found, found !== undefined && found === recorded[0]);
      if (series.gaveUp) this.#givenUp.push({ writer, lane, after: series.series, ...series.gaveUp });
    }
    if (begins < 0 && verdict.before > 0)
      this.#notes.push(`${writer} ${lane}: nothing of it is there, all of it may lie before the record begins`);
    this.#judgeOrder(verdict, expected, bySeries);
    const known = new Set(expected.map(({ series }) => series));
    const unknown = recorded.filter(({ series }) => !known.has(series));
    for (const each of unknown) this.#judgeSeries(verdict, undefined, each, each === recorded[0]);
    if (books && unknown.length > 0)
      this.#notes.push(`${writer} ${lane}: the proxy does not know ${unknown.length} of its series any more`);
    if (!books && recorded.length > 0) this.#tellUnknown(writer, lane, recorded);
  }

  #judgeSeries(verdict: LaneVerdict, series: DeliverySeries | undefined, found: RecordedSeries | undefined, isFirst: boolean): void {
    const { writer, lane } = verdict;
    const name = series?.series ?? found!.series;
    const min = found?.seen.min ?? Infinity;
    const max = found?.seen.max ?? 0;
    const last = Math.max(series?.seq ?? 0, max);
    const gaps = found ? found.seen.missing(1, last) : last > 0 ? [[1, last] as const] : [];
    for (const gap of gaps) {
      for (const { first, last: end, isDead } of split(gap, series?.dead ?? [])) {
        const count = end - first + 1;
        const isBefore = end < min && found !== undefined;
        if (isBefore && isFirst && this.#isPruned) {
          verdict.before += count;
          continue;
        }
        const where = !found ? 'all' : isBefore ? 'beginning' : first > max ? 'end' : 'middle';
        const place = found && this.#record.jumpTo(found, gap[1] + 1);
        const told = { writer, lane, series: name, first, last: end, count, where, ...(place !== undefined && { place }) } as const;
        verdict[isDead ? 'explained' : 'missing'] += count;
        const list = isDead ? this.#explained : this.#missing;
        if (list.length < NAMED_MAX) list.push(told);
      }
    }
  }

  /** A feed begins a series when the one before has ended; a replay goes on beside them. */
  #judgeOrder(verdict: LaneVerdict, expected: readonly DeliverySeries[], recorded: ReadonlyMap<string, RecordedSeries>): void {
    let latest: RecordedSeries | undefined;
    for (const { series, isReplay } of expected) {
      const found = recorded.get(series);
      if (!found || isReplay) continue;
      if (latest && found.firstAt < latest.lastNewAt) {
        verdict.outOfOrder++;
        this.#notes.push(
          `${verdict.writer} ${verdict.lane}: series ${latest.series} goes on after ${series}, which comes after it, has begun`,
        );
      }
      if (!latest || found.lastNewAt > latest.lastNewAt) latest = found;
    }
  }

  /** Without the proxy's books. */
  #tellUnknown(writer: string, lane: Lane, recorded: readonly RecordedSeries[]): void {
    this.#notes.push(
      `${writer} ${lane}: only its proxy knows what comes after the last number of ${recorded.length === 1 ? 'its series' : `each of its ${recorded.length} series`}`,
    );
    const lasts = recorded.map(({ lastNewAt }) => lastNewAt);
    const interleaved = recorded.filter(({ firstAt }, i) => i > 0 && Math.max(...lasts.slice(0, i)) > firstAt).length;
    if (interleaved === 0) return;
    this.#notes.push(`${writer} ${lane}: ${interleaved} of its series begin before another has ended: replays, or out of order`);
  }

  verdict(isJudgedByProxy: boolean): Verdict {
    const { losses, notCompared, lossesLeftOut } = this.#record;
    const notes = [...this.#notes];
    if (notCompared > 0) notes.push(`${notCompared} repeats come too long after their first to be compared with it`);
    if (lossesLeftOut > 0) notes.push(`${lossesLeftOut} losses of notices are left out`);
    const { lostBefore, givenUp } = explain(losses, this.#lanes, this.#givenUp);
    const isComplete = this.#lanes.every(({ missing, outOfOrder, changed }) => missing + outOfOrder + changed === 0);
    const { outOfOrder, changed } = this.#record;
    return {
      isComplete,
      isJudgedByProxy,
      lanes: this.#lanes,
      missing: this.#missing,
      explained: this.#explained,
      outOfOrder,
      changed,
      givenUp,
      lostBefore,
      notes,
    };
  }
}

/** What the notices say of these writers, where the proxy did not say it, and of what never came as far as any. */
function explain(
  losses: readonly Loss[],
  lanes: readonly { writer: string; lane: Lane }[],
  known: readonly GivenUp[],
): Pick<Verdict, 'lostBefore' | 'givenUp'> {
  const givenUp = [...known];
  const before = new Map<string, number>();
  for (const { origin, cause, count } of losses) {
    if (origin.kind !== 'writer') {
      before.set(cause, (before.get(cause) ?? 0) + count);
      continue;
    }
    const own = lanes.find(({ writer, lane }) => origin.id === `${writer}/${lane}`);
    const after = origin.series?.[0];
    if (!own || after === undefined || known.some((each) => each.after === after)) continue;
    givenUp.push({ writer: own.writer, lane: own.lane, after, cause, entries: count });
  }
  return { givenUp, lostBefore: [...before].map(([cause, count]) => ({ cause, count })) };
}

/** A gap in pieces: what is dead of it, and what is not. `dead` is in order. */
function* split(
  [first, last]: readonly [number, number],
  dead: readonly (readonly [number, number])[],
): Generator<{ first: number; last: number; isDead: boolean }> {
  let at = first;
  for (const [from, to] of dead) {
    if (to < at) continue;
    if (from > last) break;
    if (from > at) yield { first: at, last: from - 1, isDead: false };
    yield { first: Math.max(at, from), last: Math.min(last, to), isDead: true };
    at = to + 1;
  }
  if (at <= last) yield { first: at, last, isDead: false };
}

function countOf(ranges: readonly (readonly [number, number])[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}
