/**
 * What was lost, until it is announced. The commit that loses adds to a row `loss:<origin>/<cause>`; at most once a second all rows become
 * loss notices (entries in the urgent lane, split at 32 KiB), in one commit that deletes the rows. So a loss is announced exactly once, also
 * across a crash.
 */
import type { LossCause } from '../../core/batch.ts';
import type { Draft, Row } from '../../core/journal.ts';
import { LEDGER_ROW, type Counts } from './counts.ts';
import { LIMITS } from '../../core/event.ts';

export const LOSS_PREFIX = 'loss:';

/** Where something was lost. */
export interface LossOrigin {
  /** `series` of a sender (ranges are seqs), or `writer` (ranges are positions of its lane). */
  readonly kind: 'series' | 'writer' | 'window';
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
    const portions: Loss[][] = [];
    let bytes = Infinity;
    for (const [key, loss] of this.#rows) {
      draft.delete(key);
      for (const piece of split(loss)) {
        const size = Buffer.byteLength(JSON.stringify(piece)) + 1;
        if (bytes + size > LIMITS.attributesBytes - 1024) {
          portions.push([]);
          bytes = 0;
        }
        bytes += size;
        portions.at(-1)!.push(piece);
      }
    }
    this.#rows = new Map();
    return portions;
  }
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
  if (pieces.length > 0) pieces.at(-1)!.count += loss.count - counted;
  return pieces;
}
