/**
 * What was lost, until it is announced. The commit that loses adds to a row `loss:<origin>/<cause>`; at most once a second all rows become
 * loss notices (entries in the urgent lane, split at 32 KiB), in one commit that deletes the rows. So a loss is announced exactly once, also
 * across a crash.
 */
import type { LossCause } from '../../core/batch.ts';
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Draft, Row } from '../../core/journal.ts';
import { LEDGER_ROW, type Counts } from './counts.ts';
import { LIMITS } from '../../core/event.ts';

export const LOSS_PREFIX = 'loss:';

/** Where something was lost. */
export interface LossOrigin {
  /** `series` of a sender (ranges are seqs), `writer` (ranges are positions of its lane), or `others`, that are not named any more. */
  readonly kind: 'series' | 'writer' | 'window' | 'others';
  /** The series' UUID, or the writer's name and lane. */
  readonly id: string;
  readonly node?: string;
  readonly component?: string;
  /** A writer's delivery series before the gap and after it. */
  readonly series?: readonly [string, string];
}

export interface Loss {
  readonly origin: LossOrigin;
  readonly cause: LossCause;
  count: number;
  /** First and last, both included. */
  readonly ranges: [number, number][];
}

/** More ranges than this in one row do not come from one fault; the rest is counted and the row says so by its count. */
const RANGES_MAX = 1000;

/** What is lost, first and last, and when that was found, wall clock in ms. */
interface Lost {
  readonly cause: LossCause;
  readonly range: readonly [number, number];
  readonly now: number;
}

export class Losses {
  #rows = new Map<string, Loss>();
  #counts!: Counts;

  /** Takes up what is stored, and the counts of the ledger that go with it. */
  load(rows: readonly Row[], counts: Counts): void {
    this.#counts = counts;
    this.#rows = new Map();
    for (const { key, value } of rows) if (key.startsWith(LOSS_PREFIX) && value !== undefined) this.#rows.set(key, value as Loss);
  }

  get isEmpty(): boolean {
    return this.#rows.size === 0;
  }

  /** What a person gave up is counted apart from what nobody wanted. */
  add(draft: Draft, origin: LossOrigin, { cause, range: [first, last], now }: Lost): void {
    if (cause === 'purged') this.#counts.purged += last - first + 1;
    else if (cause !== 'rejected') this.#counts.lostAt = now;
    draft.put(LEDGER_ROW, () => this.#counts);
    const key = `${LOSS_PREFIX}${origin.kind}/${origin.id}/${cause}${origin.series ? `/${first}` : ''}`;
    const loss = this.#rows.get(key) ?? { origin, cause, count: 0, ranges: [] };
    this.#rows.set(key, loss);
    loss.count += last - first + 1;
    const before = loss.ranges.at(-1);
    if (before?.[1] === first - 1) before[1] = last;
    else if (loss.ranges.length < RANGES_MAX) loss.ranges.push([first, last]);
    draft.put(key, () => loss);
  }

  /** Takes all rows away and gives them in portions that fit the attributes of one event. */
  take(draft: Draft): Loss[][] {
    const all = [...this.#rows.values()];
    for (const key of this.#rows.keys()) draft.delete(key);
    this.#rows = new Map();
    return portionsOf(all);
  }
}

/** In portions that fit the attributes of one event. */
export function portionsOf(losses: readonly Loss[]): Loss[][] {
  const portions: Loss[][] = [];
  let bytes = Infinity;
  for (const piece of losses.flatMap((loss) => split(loss))) {
    const size = Buffer.byteLength(JSON.stringify(piece)) + 1;
    if (bytes + size > LIMITS.attributesBytes - 1024) {
      portions.push([]);
      bytes = 0;
    }
    bytes += size;
    portions.at(-1)!.push(piece);
  }
  return portions;
}

/** What a loss notice of this proxy says; nothing for other events. */
export function lossesIn({ attributesText }: Pick<DecodedEvent, 'attributesText'>): Loss[] {
  const { losses } = JSON.parse(attributesText) as { losses?: Loss[] };
  return losses ?? [];
}

/** Losses that are kept for a writer that has not heard of them, and ranges of each; the rest is counted. */
const UNTOLD_MAX = 200;
const UNTOLD_RANGES_MAX = 100;

/** Adds up losses that were announced, in their order: those of one origin and cause are one, and so are gaps that follow each other. */
export function mergeLosses(before: readonly Loss[], more: readonly Loss[]): Loss[] {
  const all = before.map((loss) => structuredClone(loss));
  for (const loss of more) {
    const same = all.find((each) => follows(each, loss));
    if (same) join(same, loss);
    else if (all.length < UNTOLD_MAX) all.push(structuredClone(loss));
    else addRest(all, loss);
  }
  return all;
}

function follows({ origin, cause, ranges }: Loss, next: Loss): boolean {
  if (cause !== next.cause || origin.kind !== next.origin.kind || origin.id !== next.origin.id) return false;
  const [series, nextSeries] = [origin.series, next.origin.series];
  if (!series || !nextSeries) return series === nextSeries;
  const isNext = series[1] === nextSeries[0] && ranges.at(-1)?.[1] === (next.ranges[0]?.[0] ?? NaN) - 1; // nothing was sent between them
  return isNext || (series[0] === nextSeries[0] && series[1] === nextSeries[1]);
}

function join(loss: Loss, next: Loss): void {
  loss.count += next.count;
  if (next.origin.series) Object.assign(loss.origin, { series: [loss.origin.series![0], next.origin.series[1]] });
  for (const [first, last] of next.ranges) {
    const before = loss.ranges.at(-1);
    if (before?.[1] === first - 1) before[1] = last;
    else if (loss.ranges.length < UNTOLD_RANGES_MAX) loss.ranges.push([first, last]);
  }
}

/** Of the origins that are not named: how many were lost, by cause. */
function addRest(all: Loss[], { cause, count }: Loss): void {
  const rest = all.find(({ origin, cause: each }) => origin.kind === 'others' && each === cause);
  if (rest) rest.count += count;
  else all.push({ origin: { kind: 'others', id: '' }, cause, count, ranges: [] });
}

/** A loss with very many ranges, in pieces; the count of the last takes what the ranges do not name. */
function split(loss: Loss): Loss[] {
  const pieces: Loss[] = [];
  let counted = 0;
  for (let at = 0; at < loss.ranges.length; at += 500) {
    const ranges = loss.ranges.slice(at, at + 500);
    const count = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    counted += count;
    pieces.push({ ...loss, ranges, count });
  }
  if (pieces.length === 0) return [loss];
  pieces.at(-1)!.count += loss.count - counted;
  return pieces;
}
