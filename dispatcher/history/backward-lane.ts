/** One lane of a journal read from a position backwards: forward stretches, one before the other. */
import type { Clock } from '../../core/clock.ts';
import type { Entry, Journal } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';

/** Positions that are read ahead, backwards. */
const CHUNK = 128;
const STRETCH_BYTES = 64 * 1024;

/** Positions of a lane, both included. */
export interface Positions {
  readonly lane: Lane;
  readonly first: number;
  readonly last: number;
}

/** What one request may read, in bytes and in time; asked between reads. */
export class ReadBudget {
  readonly #clock: Clock;
  readonly #endsAt: number;
  #bytes: number;

  constructor(clock: Clock, { bytes, ms }: { readonly bytes: number; readonly ms: number }) {
    this.#clock = clock;
    this.#endsAt = clock.monotonic() + ms;
    this.#bytes = bytes;
  }

  get isSpent(): boolean {
    return this.#bytes <= 0 || this.#clock.monotonic() >= this.#endsAt;
  }

  spend(entries: readonly Entry[]): void {
    for (const entry of entries) this.#bytes -= entry.bytes.length + 64;
  }
}

export class BackwardLane {
  readonly lane: Lane;
  readonly #missing: Positions[] = [];
  readonly #journal: Journal;
  readonly #budget: ReadBudget;
  /** Below `at`, as far as they were read; the last is next. */
  #entries: Entry[] = [];
  /** From here on everything was passed, and below `#from` nothing was read yet. */
  #at: number;
  #from: number;
  #isEnded = false;

  constructor(journal: Journal, lane: Lane, before: number, budget: ReadBudget) {
    this.#journal = journal;
    this.lane = lane;
    this.#budget = budget;
    this.#at = this.#from = Math.min(before, journal.head(lane));
  }

  /** What lies below this position was not passed. */
  get at(): number {
    return this.#at;
  }

  /** The damage that was passed. */
  get missing(): Positions[] {
    return this.#missing.filter(({ first }) => first >= this.#at);
  }

  /** Nothing is left, or what is left is not wanted. */
  get isEnded(): boolean {
    return this.#isEnded || (this.#entries.length === 0 && this.#from <= this.#journal.tail(this.lane));
  }

  /** The newest entry that was not passed; undefined at the end, and where the budget is spent. */
  async next(): Promise<Entry | undefined> {
    while (this.#entries.length === 0 && !this.isEnded && !this.#budget.isSpent) await this.#readBack();
    return this.#entries.at(-1);
  }

  pass(): void {
    const entry = this.#entries.pop();
    if (!entry) return;
    // Where a chunk begins with damage, that is passed with its first entry.
    this.#at = this.#entries.length === 0 ? this.#from : entry.position;
  }

  end(): void {
    this.#isEnded = true;
    this.#entries = [];
  }

  async #readBack(): Promise<void> {
    const { lane } = this;
    const end = this.#from;
    const tail = this.#journal.tail(lane);
    let at = Math.max(tail, end - CHUNK);
    this.#from = at;
    const missing: Positions[] = [];
    while (at < end) {
      const { entries, hole } = await this.#journal.read(lane, at, STRETCH_BYTES);
      this.#budget.spend(entries);
      for (const entry of entries) if (entry.position < end) this.#entries.push(entry);
      if (entries.length > 0) at = entries.at(-1)!.position + 1;
      else if (!hole) break;
      else {
        // Trimmed meanwhile is not damaged.
        const first = Math.max(at, this.#journal.tail(lane));
        const last = Math.min(hole.to, end) - 1;
        if (first <= last) missing.push({ lane, first, last });
        at = hole.to;
      }
    }
    this.#missing.push(...missing.reverse());
    if (this.#entries.length === 0) this.#at = this.#from;
  }
}
