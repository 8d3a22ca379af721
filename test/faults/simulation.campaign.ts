/** The whole pipe in one process, on a simulated clock, network and disk; what happens at any await is chosen at random. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Campaign } from './campaign.ts';
import { playSchedules, type RunCost } from './random-schedules.ts';
import { judge } from './simulation/judge.ts';
import { FAULTS, steps, World, type Step } from './simulation/world.ts';

const RUNS = { short: 100, long: 10_000 };
/** Directories of lives are real, everything in them is simulated: where they are in memory, nothing waits for a disk. */
const MEMORY = '/dev/shm';

async function play([schedule, seed]: readonly [readonly Step[], number]): Promise<RunCost> {
  const directory = await mkdtemp(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'fondaco-simulation-'));
  const world = new World(directory, seed);
  try {
    await world.begin();
    for (const step of schedule) await world.take(step);
    await world.finish();
    return { ...(await judge(world)), faults: world.faults };
  } finally {
    await world.end();
    await rm(directory, { recursive: true, force: true });
  }
}

const campaign: Campaign = {
  title: 'faults in a simulation of recorders, proxy and destinations',
  repeats:
    'a destination took a batch and its answer was lost, or the proxy died before it had settled: the batch comes again, the same to the byte',
  run: (order) => playSchedules({ name: 'simulation', runs: RUNS, schedules: fc.tuple(steps, fc.nat()), faults: FAULTS, play }, order),
};

export default campaign;
