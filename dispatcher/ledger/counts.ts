/** The proxy's own side of the ledger: one row, `ledger`, written by every commit that accepts or makes something. */
import type { PerLane } from '../../core/lane.ts';
import { perLane } from '../../core/lane.ts';

export const LEDGER_ROW = 'ledger';

/** The row `ledger`. Counts are entries, if nothing else is said. */
export interface Counts {
  /** Entries of agents, folded ones included, by journal lane. */
  accepted: PerLane<number>;
  /** Entries of the proxy itself: summaries, loss notices, what it has to say. */
  made: PerLane<number>;
  /** Σ `added` over the entries so far. With what open windows hold it is Σ `accepted`. */
  added: number;
  /** Occurrences that were folded and whose summary can no longer be made. Announced as a loss. */
  unreported: number;
  /** Events that will never be entries: refused by acceptance … */
  rejected: number;
  /** … declared lost by their sender, or missing from this journal. */
  lost: number;
  /** Dead letters that people gave up, and what waited for writers that they removed; `dropped` of their writers has them, too. */
  purged: number;
  /** What writers that were removed with all they had were given up: nobody's `dropped` has it any more. */
  droppedByRemoved: number;
  /** When something was lost last, rejected events and purged ones aside: wall clock, ms. */
  lostAt?: number;
  /** Loss notices made. */
  notices: number;
  /** Of those, what writers have given up: counted, not announced. */
  noticesLost: number;
  /** Windows closed before their end, for want of room. */
  closedEarly: number;
  /** Names of the writers that have a row: one that is lost is not taken for a new one. */
  writers: string[];
  /** Rows of series held. */
  series: number;
}

export function zeroCounts(): Counts {
  const zero = (): PerLane<number> => perLane(() => 0);
  return {
    accepted: zero(),
    made: zero(),
    added: 0,
    unreported: 0,
    rejected: 0,
    lost: 0,
    purged: 0,
    droppedByRemoved: 0,
    notices: 0,
    noticesLost: 0,
    closedEarly: 0,
    writers: [],
    series: 0,
  };
}
