/**
 * How old the entries of a journal are, by a clock of the journal's own: it counts the time in which a process had it open, and of the time
 * between two openings what the wall clock says, 24 h at most. So no jump of the wall clock expires anything.
 *
 * The row `ages` holds that clock and marks of where the heads were; the older a mark, the farther it is from the next, so that a few
 * hundred of them tell any age to within some per cent.
 */
import type { Clock } from '../../core/clock.ts';
import { isFondacoError } from '../../core/errors.ts';
import type { Draft, Journal } from '../../core/journal.ts';
import type { Lane, PerLane } from '../../core/lane.ts';

export const AGES_ROW = 'ages';
/** Of a downtime, what counts at most. */
const DOWNTIME_MS = 86_400_000;
/** Marks of an age lie about this share of it apart. */
const SHARE = 50;
const PUT_MS = 3_600_000;

interface AgesRow {
  /** The journal's age, ms, and the wall clock when that was written. */
  age: number;
  wall: number;
  /** Age, and the heads then; oldest first. */
  marks: [age: number, urgent: number, normal: number][];
}

export class Ages {
  readonly #journal: Journal;
  readonly #clock: Clock;
  #row: AgesRow;
  /** The journal's age when the monotonic clock was 0. */
  #base: number;
  /** By its own age; an opening is written down at once. */
  #putAt = -Infinity;

  private constructor(journal: Journal, clock: Clock, row: AgesRow) {
    this.#journal = journal;
    this.#clock = clock;
    this.#row = row;
    const away = Math.min(Math.max(clock.now() - row.wall, 0), DOWNTIME_MS);
    this.#base = row.age + away - clock.monotonic();
  }

  /** Takes up the row; a damaged one begins anew, and everything is young again. */
  static async open(journal: Journal, clock: Clock): Promise<Ages> {
    const row = await journal.row(AGES_ROW).catch((error: unknown) => {
      if (!isFondacoError(error, 'CORRUPT')) throw error;
      return undefined;
    });
    return new Ages(journal, clock, (row as AgesRow | undefined) ?? { age: 0, wall: clock.now(), marks: [] });
  }

  /** Everything below the result is at least `ageMs` old; 0 if nothing is known to be. */
  olderThan(lane: Lane, ageMs: number): number {
    const latest = this.#now - ageMs;
    const old = this.#row.marks.filter(([age]) => age <= latest);
    return old.at(-1)?.[lane === 'urgent' ? 1 : 2] ?? 0;
  }

  /** Marks where the heads are, if they have moved and `everyMs` has passed; in a commit. Rejects as the journal's commit does. */
  async mark(everyMs: number): Promise<void> {
    const now = this.#now;
    const last = this.#row.marks.at(-1);
    const heads: PerLane<number> = { urgent: this.#journal.head('urgent'), normal: this.#journal.head('normal') };
    const isDue = last === undefined || (now - last[0] >= everyMs && (heads.urgent > last[1] || heads.normal > last[2]));
    if (!isDue && now - this.#putAt < PUT_MS) return;
    if (isDue) this.#row.marks = thinned([...this.#row.marks, [now, heads.urgent, heads.normal]], now);
    this.#putAt = now;
    await this.#journal.commit((draft: Draft) => {
      Object.assign(this.#row, { age: now, wall: this.#clock.now() });
      draft.put(AGES_ROW, () => this.#row);
    });
  }

  /** Forgets the marks that tell of nothing that is kept. */
  forget(): void {
    const tails = [this.#journal.tail('urgent'), this.#journal.tail('normal')] as const;
    const { marks } = this.#row;
    while (marks.length > 1 && marks[1]![1] <= tails[0] && marks[1]![2] <= tails[1]) marks.shift();
  }

  get #now(): number {
    return this.#base + this.#clock.monotonic();
  }
}

function thinned(marks: AgesRow['marks'], now: number): AgesRow['marks'] {
  const kept: AgesRow['marks'] = [];
  for (const [i, mark] of marks.entries()) {
    const next = marks[i + 1];
    const before = kept.at(-1);
    const isClose = next && before && next[0] - before[0] < (now - mark[0]) / SHARE;
    if (!isClose) kept.push(mark);
  }
  return kept;
}
