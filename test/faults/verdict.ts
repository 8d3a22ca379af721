/** What a cut cost, in the columns of a campaign's row. */
export interface Verdict {
  events: number;
  lost: number;
  repeated: number;
  wrongCounts: number;
  discrepancy: number;
  /** What was wrong, in words, for a person. */
  readonly problems: string[];
}

export function newVerdict(): Verdict {
  return { events: 0, lost: 0, repeated: 0, wrongCounts: 0, discrepancy: 0, problems: [] };
}

/** What LevelDB says of a commit that was not synced when the power went: nobody was told of it. */
export const TORN_END = 'of the log could not be read';

type Count = 'lost' | 'wrongCounts' | 'discrepancy';

/** Adds to a column where there is something to add. */
export function blame(verdict: Verdict, column: Count, count: number, problem: string): void {
  if (count <= 0) return;
  verdict[column] += count;
  verdict.problems.push(`${column} ${count}: ${problem}`);
}
