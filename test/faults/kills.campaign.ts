/**
 * SIGKILL of a proxy, of agents and of both at once, before and after each durable step and at random, while events flow, dedup folds about a
 * third of them, and each life of a proxy takes over a config with another filter. What `record()` confirmed is never lost, nothing is counted twice, the order holds from one life of an agent to the next,
 * and the books balance.
 */
import { seeded } from '../support/seeded.ts';
import type { Campaign, FaultRow } from './campaign.ts';
import { killSite, type KillPlan } from './kills/kill-site.ts';

type Family = Pick<KillPlan, 'who' | 'isRandom'> & { readonly fault: string; readonly short: number; readonly long: number };

const FAMILIES: readonly Family[] = [
  { fault: 'SIGKILL of the proxy before and after its steps', who: 'proxy', isRandom: false, short: 20, long: 400 },
  { fault: 'SIGKILL of an agent before and after its steps', who: 'agents', isRandom: false, short: 14, long: 260 },
  { fault: 'SIGKILL of both at a step of the proxy', who: 'both', isRandom: false, short: 6, long: 160 },
  { fault: 'SIGKILL of the proxy at random', who: 'proxy', isRandom: true, short: 6, long: 100 },
  { fault: 'SIGKILL of an agent at random', who: 'agents', isRandom: true, short: 6, long: 100 },
];
/** Sites at once. */
const SITES = 2;

const campaign: Campaign = {
  title: 'kills',
  repeats:
    'a batch that a destination took and whose settling the kill cut off is delivered once more, byte for byte, under the same numbers',
  async *run({ form, seed, progress }) {
    const total = FAMILIES.reduce((sum, family) => sum + family[form], 0);
    let done = 0;
    const waiting = FAMILIES.map((family, at) => async (): Promise<FaultRow> => {
      const random = seeded(seed + at);
      return killed(family, { ...family, random, kills: family[form], onKill: () => progress(++done, total) });
    });
    const running: Promise<FaultRow>[] = [];
    const next = (): void => {
      const run = waiting.shift()?.();
      if (!run) return;
      running.push(run);
      run.then(next, next); // what it rejects with is seen below, when its turn comes
    };
    for (let site = 1; site <= SITES; site++) next();
    for (let at = 0; at < FAMILIES.length; at++) yield await running[at]!;
  },
};
export default campaign;

async function killed({ fault }: Family, plan: KillPlan): Promise<FaultRow> {
  const { verdict, met } = await killSite(plan);
  const { problems, ...counts } = verdict;
  for (const problem of problems.slice(0, PROBLEMS_MAX)) console.error(`${fault}: ${problem}`);
  return { fault, injected: Object.values(met).reduce((sum, count) => sum + count, 0), ...counts, measured: met };
}

/** Printed, of one family. */
const PROBLEMS_MAX = 10;
