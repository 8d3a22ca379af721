/** A site under load whose processes are killed, by themselves at named points or from outside at random, and started again each time. */
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { LANES } from '../../../core/lane.ts';
import type { Child } from '../../support/processes.ts';
import { Site } from '../../support/site.ts';
import { blame, newVerdict, type Verdict } from '../verdict.ts';
import { ConfirmingSource } from './confirming-source.ts';
import { judgeSite } from './kill-judge.ts';

const CRASH_POINTS = fileURLToPath(new URL('crash-points.mjs', import.meta.url));
const TSX = import.meta.resolve('tsx');
/** A point that a life does not come to in so long is left, and the process killed at random. */
const REACH_MS = 3000;
const RANDOM_MS = 900;
const DRAIN_MS = 120_000;

const steps = (names: readonly string[]): string[] => names.flatMap((name) => [`before ${name}`, `after ${name}`]);
export const PROXY_POINTS = steps([
  'accept',
  'reply',
  'write',
  'settle',
  'window end',
  'trim',
  'compaction',
  'epoch birth',
  'reload',
  'reload row',
]);
export const AGENT_POINTS = steps(['spill', 'reply heard', 'settled row', 'trim', 'hand-over', 'epoch birth']);

export interface KillPlan {
  /** Who is killed. */
  readonly who: 'proxy' | 'agents' | 'both';
  /** Where: at points in turn, or whenever. */
  readonly isRandom: boolean;
  readonly kills: number;
  readonly random: () => number;
  onKill(): void;
}

/** How often each point was met, and what it cost. */
export interface KillResult {
  readonly verdict: Verdict;
  readonly met: Readonly<Record<string, number>>;
}

/** Runs a site until there were so many kills, lets it come to rest, and judges it. */
export async function killSite(plan: KillPlan): Promise<KillResult> {
  const killed = new KilledSite(plan, await Site.prepare({ dedup: '1s', retention: '1s' }));
  try {
    return await killed.run();
  } finally {
    await killed.end();
  }
}

class KilledSite {
  readonly #plan: KillPlan;
  readonly #site: Site;
  readonly #sources: readonly ConfirmingSource[];
  readonly #verdict = newVerdict();
  readonly #met: Record<string, number> = {};
  readonly #turn = { proxy: 0, agents: 0 };
  #left: number;
  #lives = 0;

  constructor(plan: KillPlan, site: Site) {
    this.#plan = plan;
    this.#site = site;
    this.#left = plan.kills;
    const pace = { perBurst: 10, pauseMs: 80 };
    this.#sources = [
      new ConfirmingSource(site, 'left', { ...pace, durability: 'spool' }),
      new ConfirmingSource(site, 'right', { ...pace, durability: plan.who === 'agents' ? 'spool' : 'memory' }),
    ];
  }

  async run(): Promise<KillResult> {
    const { who } = this.#plan;
    const agents = who === 'agents' ? this.#sources.map((source) => this.#killAgent(source)) : [];
    if (who !== 'agents') for (const source of this.#sources) source.start();
    await Promise.all([who === 'agents' ? this.#site.proxy.start() : this.#killProxy(), ...agents]);
    for (const source of this.#sources) source.stop();
    const verdict = this.#verdict;
    for (const source of this.#sources) {
      const problem = await source.endProblem();
      if (problem !== undefined) blame(verdict, 'wrongCounts', 1, problem);
    }
    await this.#site.drained(DRAIN_MS);
    await judgeSite(this.#site, this.#sources, verdict);
    return { verdict, met: this.#met };
  }

  end(): Promise<void> {
    return this.#site.end();
  }

  /** Life after life until the kills are spent; then one that stays. */
  async #killProxy(): Promise<void> {
    const { proxy } = this.#site;
    while (this.#left > 0) {
      const isUp = await proxy.start({ env: this.#crash('proxy') }).then(
        () => true,
        (error: unknown) => {
          const { stdout, stderr } = proxy.child;
          if (!stderr.includes('crash: ')) throw new Error(`the proxy must start, got ${stdout}${stderr}`, { cause: error });
          return false;
        },
      );
      if (isUp) await this.#audit();
      if (isUp) await this.#reload();
      await this.#death(proxy.child);
      if (this.#plan.who !== 'both') continue;
      for (const source of this.#sources) {
        await source.child.kill('SIGKILL');
        source.start();
      }
    }
    await proxy.start();
    await this.#audit();
  }

  /** A config with another filter, which lets everything through as well. */
  async #reload(): Promise<void> {
    this.#lives++;
    await this.#site.configure(this.#site.destinations, this.#lives % 2 === 1 ? ', filter: { minSeverity: debug }' : '');
    this.#site.proxy.child.process.kill('SIGHUP');
  }

  async #killAgent(source: ConfirmingSource): Promise<void> {
    while (this.#left > 0) {
      source.start(this.#crash('agents'));
      await source.atWork();
      await this.#death(source.child);
    }
    source.start();
  }

  /** The books balance at every start. It may be gone again by now. */
  async #audit(): Promise<void> {
    const ledger = await this.#site.proxy.ledger().catch(() => undefined);
    if (!ledger) return;
    blame(this.#verdict, 'discrepancy', Math.abs(ledger.dedupDiscrepancy), 'after a kill, accepted events that no entry counts');
    for (const { name, lanes } of ledger.writers)
      for (const lane of LANES) blame(this.#verdict, 'discrepancy', Math.abs(lanes[lane].discrepancy), `after a kill, ${name} ${lane}`);
  }

  /** Waits until it has killed itself, or kills it. */
  async #death(child: Child): Promise<void> {
    const { isRandom, random, onKill } = this.#plan;
    const limitMs = isRandom ? 30 + random() * RANDOM_MS : REACH_MS;
    const over = new AbortController();
    await Promise.race([child.ended, sleep(limitMs, undefined, { signal: over.signal }).catch(() => undefined)]);
    over.abort();
    const { signal, stderr } = await child.kill('SIGKILL');
    if (signal !== 'SIGKILL') blame(this.#verdict, 'wrongCounts', 1, `a process ended by itself: ${stderr}`);
    const point = /^crash: (.*)$/m.exec(stderr)?.[1] ?? 'at random';
    this.#met[point] = (this.#met[point] ?? 0) + 1;
    this.#left--;
    onKill();
  }

  /** The environment of a life that kills itself at the next point in turn, at one of its first passings. */
  #crash(who: 'proxy' | 'agents'): Record<string, string> {
    const { isRandom, random } = this.#plan;
    if (isRandom) return {};
    const points = who === 'proxy' ? PROXY_POINTS : AGENT_POINTS;
    const point = points[this.#turn[who]++ % points.length]!;
    const isRare = /epoch|hand-over|trim|compaction|window/.test(point);
    const nth = point.includes(' reload') ? 1 : 1 + Math.floor(random() * (isRare ? 2 : 25));
    return {
      // The built program needs no tsx, and starts in half the time without; agents bring it along.
      NODE_OPTIONS: `${process.env.FONDACO_TEST_PROGRAM === undefined ? `--import ${TSX} ` : ''}--import ${CRASH_POINTS}`,
      FONDACO_CRASH: JSON.stringify({ point, nth, isProxy: who === 'proxy' }),
    };
  }
}
