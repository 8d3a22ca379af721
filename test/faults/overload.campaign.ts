/**
 * More than a proxy can take: many recorders at full speed against one whose disk is slow and whose destination is dead; and a host that
 * records steadily while its proxy is dead. Counted to the end; at full length memory, fairness and the host's event loop are judged.
 *
 * The slow disk is strace, which lets each fdatasync of the proxy last 20 ms longer, as edge flash does; without strace it is as fast as it is.
 */
import { spawnSync } from 'node:child_process';
import type { LoadAnswer, LoopDelay } from '../support/load-agent.ts';
import { LoadSite, type LoadBooks } from '../support/load-site.ts';
import { LoadSource } from '../support/load-source.ts';
import { pause } from '../support/pause.ts';
import { Peak } from '../support/peak.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

interface Plan {
  readonly recorders: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly paceSeconds: number;
  readonly isJudged: boolean;
}

const PLANS: Record<CampaignOrder['form'], Plan> = {
  short: { recorders: 3, seconds: 1, rounds: 1, paceSeconds: 1, isJudged: false },
  long: { recorders: 20, seconds: 30, rounds: 5, paceSeconds: 5, isJudged: true },
};

const SYNC_MS = 20;
const SLOW_DISK = [
  'strace',
  '-D',
  '-f',
  '-qq',
  '--seccomp-bpf',
  '-o',
  '/dev/null',
  '-e',
  'trace=fdatasync',
  '-e',
  `inject=fdatasync:delay_exit=${SYNC_MS}ms`,
];
/** Of a proxy: 64 MiB that are pending in it, 4 MiB that each recorder has on its way, and what it takes at rest; in MiB. */
const PENDING_MIB = 64;
const ON_THE_WAY_MIB = 4;
const AT_WORK_MIB = 150;
/** Of a recorder: 16 MiB of events, and what it takes at rest. */
const RECORDER_MIB = 150;
/** The recorder with the most settled events has at most so many times those of the one with the least. */
const FAIR_RATIO_MAX = 2;
const PER_SECOND = 10_000;
const DELAY_MS_MAX = 10;
/** On a machine that is busy with something else, beside the same loop without a recorder. */
const DELAY_RATIO_MAX = 1.5;
/** A loop that stands still for so long, without a recorder too, says that the machine has no time: memory may run full then. */
const STARVED_MS = 250;
const LIMIT_MS = 1_800_000;

const campaign: Campaign = {
  title: 'more than a proxy can take',
  repeats: 'what was not answered in time was sent again, under the same ids and numbers',
  async *run({ form, progress }: CampaignOrder): AsyncIterable<FaultRow> {
    const plan = PLANS[form];
    yield await manyRecorders(plan);
    progress(1, 2);
    yield await besideHost(plan);
    progress(2, 2);
  },
};
export default campaign;

async function manyRecorders(plan: Plan): Promise<FaultRow> {
  const site = await LoadSite.prepare();
  const canSlow = spawnSync('strace', ['-V']).status === 0;
  try {
    await site.startProxy(canSlow ? SLOW_DISK : undefined);
    for (let i = 0; i < plan.recorders; i++) await site.source(`agent-${i}`);
    const peaks = [site.proxy.child.pid, ...site.sources.map(({ child }) => child.pid)].map((pid) => new Peak(pid));
    for (const source of site.sources) source.tell({ do: 'run' });
    await pause(plan.seconds * 1000);
    const answers = await Promise.all(site.sources.map(async (source) => source.ask({ do: 'stop' })));
    const [proxy = 0, ...recorders] = peaks.map((peak) => peak.end() / 1024);
    const { measured, missed } = overloadFigures(plan, answers, { proxy, recorder: Math.max(...recorders) });
    measured['fdatasync of the proxy'] = canSlow ? `+ ${SYNC_MS} ms (strace)` : 'as it is: no strace';
    const { dropped, ...books } = await drain(site);
    if (dropped > 0) missed.push(`events dropped by recorders that wait for room: none, got ${dropped}`);
    return {
      fault: `${plan.recorders} recorders at full speed, a slow disk, a dead destination`,
      injected: 1,
      ...books,
      measured,
      missed: plan.isJudged ? missed : [],
    };
  } finally {
    await site.end();
  }
}

function overloadFigures(
  plan: Plan,
  answers: readonly LoadAnswer[],
  mib: { readonly proxy: number; readonly recorder: number },
): { measured: Record<string, string | number>; missed: string[] } {
  const settled = answers.map((answer) => answer.settled);
  const ratio = Math.max(...settled) / Math.min(...settled);
  const recorded = answers.reduce((sum, answer) => sum + answer.recorded, 0);
  const proxyMax = PENDING_MIB + plan.recorders * ON_THE_WAY_MIB + AT_WORK_MIB;
  const missed: string[] = [];
  if (!(ratio <= FAIR_RATIO_MAX))
    missed.push(`settled by the fastest recorder / the slowest: at most ${FAIR_RATIO_MAX}, got ${ratio.toFixed(2)}`);
  if (mib.proxy > proxyMax) missed.push(`memory of the proxy: at most ${proxyMax} MiB, got ${Math.round(mib.proxy)}`);
  if (mib.recorder > RECORDER_MIB) missed.push(`memory of a recorder: at most ${RECORDER_MIB} MiB, got ${Math.round(mib.recorder)}`);
  const measured = {
    'recorded, events': recorded,
    'settled meanwhile, events': settled.reduce((sum, each) => sum + each, 0),
    'settled by each recorder': `${Math.min(...settled)} to ${Math.max(...settled)}, ratio ${ratio.toFixed(2)}`,
    'memory of the proxy, at most, MiB': Math.round(mib.proxy),
    'memory of a recorder, at most, MiB': Math.round(mib.recorder),
  };
  return { measured, missed };
}

/** The destination comes back, and everything arrives. */
async function drain(site: LoadSite): Promise<LoadBooks & { readonly dropped: number }> {
  await site.ops.open();
  let recorded = 0;
  let dropped = 0;
  for (const source of site.sources) {
    const answer = await source.ask({ do: 'drain' }, LIMIT_MS);
    recorded += answer.recorded;
    dropped += answer.dropped;
  }
  await site.delivered(recorded - dropped);
  return { ...(await site.books(recorded, dropped)), dropped };
}

/** The same loop with a recorder and without, at the same time, so that both have the machine that is there. */
async function besideHost(plan: Plan): Promise<FaultRow> {
  const site = await LoadSite.prepare();
  const bare = (await LoadSource.start({ ...site.order('bare'), isBare: true })).source;
  try {
    const host = await site.source('host');
    const pace = { do: 'pace', perSecond: PER_SECOND, seconds: plan.paceSeconds } as const;
    const rounds: { bare: LoopDelay; host: LoopDelay }[] = [];
    for (let i = 0; i < plan.rounds; i++) {
      const [without, withIt] = await Promise.all([bare.ask(pace), host.ask(pace)]);
      rounds.push({ bare: without.delay!, host: withIt.delay! });
    }
    const median = (of: (round: { bare: LoopDelay; host: LoopDelay }) => number): number =>
      rounds.map(of).sort((a, b) => a - b)[rounds.length >> 1]!;
    const [p99, bareP99] = [median((round) => round.host.p99), median((round) => round.bare.p99)];
    const isMissed = p99 > Math.max(DELAY_MS_MAX, bareP99 * DELAY_RATIO_MAX);
    await site.startProxy();
    const { dropped, ...books } = await drain(site);
    const isStarved = Math.max(...rounds.map((round) => round.bare.max)) > STARVED_MS;
    return {
      fault: `a host records ${PER_SECOND.toLocaleString('en')} events/s, its proxy is dead`,
      injected: plan.rounds,
      ...books,
      measured: {
        'event-loop delay p50 / p99 / max, ms': `${median((round) => round.host.p50)} / ${p99} / ${Math.max(...rounds.map((round) => round.host.max))}`,
        '… of the same loop without a recorder': `${median((round) => round.bare.p50)} / ${bareP99} / ${Math.max(...rounds.map((round) => round.bare.max))}`,
        'p99 / p99 without a recorder': (p99 / bareP99).toFixed(2),
        'dropped, with notice': dropped,
      },
      missed: [
        ...(plan.isJudged && isMissed
          ? [`event-loop delay p99: at most ${DELAY_MS_MAX} ms, got ${p99} (${bareP99} without a recorder)`]
          : []),
        ...(plan.isJudged && dropped > 0 && !isStarved ? [`events dropped by the host's recorder: none, got ${dropped}`] : []),
      ],
    };
  } finally {
    await bare.end();
    await site.end();
  }
}
