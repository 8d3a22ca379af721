import type { LossCause, LostRange, SeqRange } from '../core/batch.ts';
import { countWithin } from '../proto/send-window.ts';

/** The seqs of one series that were lost and that the proxy does not know of yet: ordered, disjoint, neighbours of one cause joined. */
export class LostRanges {
  #ranges: LostRange[] = [];
  /** Counts the additions, so that their owner knows what is durable. */
  version = 0;

  get ranges(): readonly LostRange[] {
    return this.#ranges;
  }

  /** Adds what of `range` is not lost already; returns how many seqs that is. */
  add(range: SeqRange, cause: LossCause): number {
    let added = 0;
    let { first } = range;
    const pieces: LostRange[] = [];
    for (const known of this.#ranges) {
      if (known.last < first || known.first > range.last) continue;
      if (known.first > first) pieces.push({ first, last: known.first - 1, cause });
      first = known.last + 1;
    }
    if (first <= range.last) pieces.push({ first, last: range.last, cause });
    for (const piece of pieces) added += piece.last - piece.first + 1;
    if (added > 0) this.version++;
    this.#ranges = join([...this.#ranges, ...pieces]);
    return added;
  }

  /** How many seqs of `first` to `last` are lost. */
  count(first: number, last: number): number {
    return this.#ranges.length === 0 ? 0 : countWithin(this.#ranges, first, last);
  }

  has(seq: number): boolean {
    return this.count(seq, seq) > 0;
  }

  /** The ranges after `after` that begin at most right behind `last`, cut to begin after `after`, and the seq to which all of that reaches. */
  reach(after: number, last: number): { readonly lost: LostRange[]; readonly last: number } {
    const lost: LostRange[] = [];
    for (const range of this.#ranges) {
      if (range.last <= after) continue;
      if (range.first > last + 1) break;
      lost.push(range.first > after ? range : { ...range, first: after + 1 });
      last = Math.max(last, range.last);
    }
    return { lost, last };
  }

  /** The last seq of the unbroken loss that begins right after `after`; `after` if there is none. */
  endOf(after: number): number {
    return this.reach(after, after).last;
  }

  /** The highest seq up to `last` that is not lost. */
  lastKept(last: number): number {
    for (const range of [...this.#ranges].reverse()) if (range.first <= last && last <= range.last) last = range.first - 1;
    return last;
  }

  /** Forgets what the proxy knows. */
  forget(settled: number): void {
    if (this.#ranges.length > 0 && this.#ranges[0]!.last <= settled) this.#ranges = this.#ranges.filter((range) => range.last > settled);
  }
}

function join(ranges: LostRange[]): LostRange[] {
  const joined: LostRange[] = [];
  for (const range of ranges.sort((a, b) => a.first - b.first)) {
    const before = joined.at(-1);
    if (before?.cause === range.cause && before.last + 1 === range.first) joined[joined.length - 1] = { ...before, last: range.last };
    else joined.push(range);
  }
  return joined;
}
