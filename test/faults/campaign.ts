/**
 * A campaign injects one family of faults many times and counts what became of the events. Each is a file `<name>.campaign.ts` in this folder
 * with a `Campaign` as its default export, and a `<name>.test.ts` beside it that runs the short form; `npm run faults` runs the long forms.
 */

/** One line of the table: a fault, and what it cost. */
export interface FaultRow {
  /** What was done, in a few words: `SIGKILL of the proxy after a commit, before the reply`. */
  readonly fault: string;
  /** How many times. */
  readonly injected: number;
  /** How many events were confirmed (settled, or by `record()`) while that went on. */
  readonly events: number;
  /** Confirmed, and neither delivered or kept nor named by a loss notice and the ledger. */
  readonly lost: number;
  /** Came to a destination again. At least once allows it, but a repeat has to be told by its ids: one that cannot is a wrong count. */
  readonly repeated: number;
  /** Deliveries that were never recorded or out of order, counts that are not exact, repeats with other bytes. */
  readonly wrongCounts: number;
  /** The sum of what ledgers and audits of the store disagree by. */
  readonly discrepancy: number;
  /** Figures of size and speed, printed below the table; each name with its unit. They move with the machine: what is judged is a ratio within one run. */
  readonly measured?: Readonly<Record<string, string | number>>;
  /** Limits that what was measured does not keep, in words: expected, got. */
  readonly missed?: readonly string[];
}

export interface CampaignOrder {
  readonly form: 'short' | 'long';
  /** Everything random comes from it. A failure is repeated with `npm run faults -- --only <name> --seed <seed>`. */
  readonly seed: number;
  progress(done: number, total: number): void;
}

export interface Campaign {
  readonly title: string;
  /** Why events may come again under these faults; printed below the table where any did. */
  readonly repeats: string;
  /** Rows as they are finished. Throws only when the campaign itself cannot go on: what a fault breaks is counted. */
  run(order: CampaignOrder): AsyncIterable<FaultRow>;
}

/** What makes `npm run faults` exit with 1. */
export function isClean(row: FaultRow): boolean {
  const { lost, wrongCounts, discrepancy, missed = [] } = row;
  return lost === 0 && wrongCounts === 0 && discrepancy === 0 && missed.length === 0;
}
