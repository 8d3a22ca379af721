/** Losses and ledger: whatever is lost, and why, is named once to every writer and stands in the books, which balance at every commit. */
import fc from 'fast-check';
import { FAULTS, judge } from './books/judge.ts';
import { Run, type Limits } from './books/run.ts';
import { steps, type Step } from './books/steps.ts';
import type { Campaign } from './campaign.ts';
import { playSchedules, type RunCost } from './random-schedules.ts';

const RUNS = { short: 100, long: 10_000 };

const limits: fc.Arbitrary<Limits> = fc.record({
  budgetBytes: fc.constantFrom(1e9, 1e9, 6000),
  backlogBytes: fc.constantFrom(1e9, 1e9, 2000),
  ageMaxMs: fc.constantFrom(1e9, 1e9, 8000),
});

async function play([schedule, bounds]: readonly [readonly Step[], Limits]): Promise<RunCost> {
  const run = new Run(bounds);
  await run.begin({});
  for (const step of schedule) await run.take(step);
  const ledger = await run.finish();
  const cost = judge(run, ledger);
  await run.kit.kill();
  return cost;
}

const campaign: Campaign = {
  title: 'losses and the ledger',
  repeats: 'the proxy was killed, or its disk failed, before a batch that was taken had been settled',
  run: (order) => playSchedules({ name: 'ledger', runs: RUNS, schedules: fc.tuple(steps, limits), faults: FAULTS, play }, order),
};

export default campaign;
