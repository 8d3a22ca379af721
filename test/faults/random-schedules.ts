/** Campaigns whose faults are schedules that fast-check makes up: many of them, and of the one that breaks something the smallest that does. */
import fc from 'fast-check';
import { asError } from '../../core/errors.ts';
import type { CampaignOrder, FaultRow } from './campaign.ts';
import { KEPT } from './seeds.ts';

/** What a run cost, and what was done in it, how many times. */
export interface RunCost extends Pick<FaultRow, 'events' | 'lost' | 'repeated' | 'wrongCounts' | 'discrepancy'> {
  readonly faults: ReadonlyMap<string, number>;
  /** What is behind the counts that must be 0, in words. */
  readonly problems: readonly string[];
}

export interface RandomSchedules<Schedule> {
  /** The name of the campaign's file: its kept schedules are found by it. */
  readonly name: string;
  readonly runs: { readonly short: number; readonly long: number };
  readonly schedules: fc.Arbitrary<Schedule>;
  /** The names of what is injected: a row each. */
  readonly faults: readonly string[];
  /** Rejects where a run does not come to its end: something waits for ever, or a bug was thrown. */
  play(schedule: Schedule): Promise<RunCost>;
}

/** Between two looks at how far it is. */
const PIECE = 100;
/** For finding the smallest schedule that fails. */
const SHRINK_MS = 60_000;
const ZERO = { injected: 0, events: 0, lost: 0, repeated: 0, wrongCounts: 0, discrepancy: 0 };
type Sums = { -readonly [Key in keyof typeof ZERO]: number };

/**
 * A row for all runs together, then one for each fault: the runs that had it. At the first failure it stops, and says on stderr how to see
 * it again. The kept schedules go first.
 */
export async function* playSchedules<Schedule>(campaign: RandomSchedules<Schedule>, order: CampaignOrder): AsyncIterable<FaultRow> {
  const { name, schedules, faults, play } = campaign;
  const total = campaign.runs[order.form];
  const all: Sums = { ...ZERO };
  const byFault = new Map(faults.map((fault) => [fault, { ...ZERO }]));
  let isOver = false;
  const keep = (cost: RunCost): void => {
    if (isOver) return; // what is played to find the smallest schedule that fails is not part of it
    add(all, cost, 1);
    for (const [fault, injected] of cost.faults) add(byFault.get(fault)!, cost, injected);
  };
  const property = fc.asyncProperty(schedules, async (schedule) => {
    const cost = await play(schedule);
    if (cost.problems.length > 0) throw new Problems(cost);
    keep(cost);
  });
  const examples = KEPT.filter((kept) => kept.campaign === name).map((kept): [Schedule] => [JSON.parse(kept.schedule) as Schedule]);
  for (let done = 0; done < total; done += PIECE) {
    const seed = (order.seed + done) | 0;
    const numRuns = Math.min(PIECE, total - done) + (done === 0 ? examples.length : 0);
    const details = await fc.check(property, { seed, numRuns, endOnFailure: true, ...(done === 0 && { examples }) });
    order.progress(Math.min(done + PIECE, total), total);
    if (!details.failed) continue;
    keep(costOf(details.errorInstance));
    isOver = true;
    await show(property, details, name);
    break;
  }
  yield { fault: `${name}: random schedules`, ...all };
  for (const [fault, sums] of byFault) yield { fault, ...sums };
}

class Problems extends Error {
  readonly cost: RunCost;

  constructor(cost: RunCost) {
    super(cost.problems.join('\n'));
    this.cost = cost;
  }
}

function costOf(error: unknown): RunCost {
  if (error instanceof Problems) return error.cost;
  return { events: 0, lost: 1, repeated: 0, wrongCounts: 0, discrepancy: 0, faults: new Map(), problems: [] };
}

/** Looks for the smallest schedule that fails, and prints it. */
async function show<T>(property: fc.IAsyncProperty<[T]>, first: fc.RunDetails<[T]>, name: string): Promise<void> {
  const again = { seed: first.seed, path: first.counterexamplePath!, interruptAfterTimeLimit: SHRINK_MS };
  const shrunk = await fc.check(property, again);
  const { seed, counterexample, counterexamplePath, errorInstance } = shrunk.failed && shrunk.counterexample ? shrunk : first;
  const schedule = JSON.stringify(counterexample?.[0]);
  console.error(`${name} failed, seed ${seed}, path ${counterexamplePath}:\n  ${schedule}\n${asError(errorInstance).stack}`);
}

function add(sums: Sums, cost: RunCost, injected: number): void {
  sums.injected += injected;
  for (const key of ['events', 'lost', 'repeated', 'wrongCounts', 'discrepancy'] as const) sums[key] += cost[key];
}
