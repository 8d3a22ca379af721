/** A site with its agents, destinations, disks, clocks and network, all in this process, and what may happen to it. */
import fc from 'fast-check';
import { LANES } from '../../../core/lane.ts';
import { readLedger } from '../../../dispatcher/ledger/ledger.ts';
import { seeded } from '../../support/seeded.ts';
import { Agent } from './agent.ts';
import { MANNERS } from './destination.ts';
import { Network, type Weather } from './network.ts';
import { BATCH_MS, FILTERS, Site, WRITERS } from './site.ts';
import { quiet, Timeline } from './timeline.ts';

const AGENTS = ['cmd', 'netd'] as const;
const TIMES_MS = [1, 20, 60, 300, 1100, 5000, 12_000, 40_000] as const;
const HOUR_MS = 3_600_000;
const JUMPS_MS = [HOUR_MS, -HOUR_MS, 30 * HOUR_MS, -30 * HOUR_MS, 56 * 365 * 24 * HOUR_MS, -56 * 365 * 24 * HOUR_MS] as const;
/** When all is well again nothing waits for longer than this: a refused writer probes within 5 minutes, all else is quicker. */
const DRAIN_MS = 900_000;
/** The longest wait of a recorder between two attempts, and its attempt. */
const RECONNECT_MS = 11_000;
/** What an event may take to the proxy, where the batch interval begins. */
const WAY_MS = 100;
/** A loop that spins takes more steps than any drain. */
const DRAIN_STEPS = 30_000;

/** What a step may do, as often as it is to be chosen. */
const WEIGHTS = {
  go: 26,
  goOn: 6,
  time: 10,
  record: 18,
  flush: 3,
  cut: 4,
  weather: 4,
  failSpool: 4,
  failStore: 5,
  killProxy: 3,
  stopProxy: 1,
  startProxy: 7,
  killAgent: 3,
  closeAgent: 2,
  startAgent: 8,
  manner: 7,
  wall: 4,
  copy: 3,
  restore: 2,
  wipe: 1,
} as const;

export type Deed = keyof typeof WEIGHTS;
export interface Step {
  readonly does: Deed;
  readonly n: number;
}

const deeds = (Object.keys(WEIGHTS) as Deed[]).map((deed) => ({ weight: WEIGHTS[deed], arbitrary: fc.constant(deed) }));
export const steps: fc.Arbitrary<Step[]> = fc.array(fc.record({ does: fc.oneof(...deeds), n: fc.nat(999) }), {
  minLength: 1,
  maxLength: 90,
  size: 'max',
});

/** What people call what is injected. */
export const FAULTS = [
  'connection cut, replies lost',
  'connection silent',
  'write to a spool fails, or fails and is stored',
  'write to the store fails, or fails and is stored',
  'proxy killed',
  'agent killed',
  'destination away, refusing, rejecting, hanging',
  'wall clock off by hours or by 56 years',
  'store set back to an older copy',
  'spool removed under its recorder',
] as const;
const [CUT, SILENT, SPOOL, STORE, PROXY, AGENT, DESTINATION, WALL, COPY, WIPED] = FAULTS;

export class World {
  readonly timeline = new Timeline();
  readonly agents: readonly Agent[];
  readonly site: Site;
  readonly faults = new Map<string, number>();
  /** How long it took, in the run's time, until all was delivered when the faults had ended; of one event more, too. */
  drainedMs = 0;
  lastOneMs = 0;

  constructor(directory: string, seed: number) {
    const random = seeded(seed);
    this.site = new Site(this.timeline, random);
    this.agents = AGENTS.map((component) => {
      const network = new Network(this.timeline, () => this.site.listening);
      return new Agent({ component, directory, timeline: this.timeline, network, random });
    });
  }

  async begin(): Promise<void> {
    this.site.start();
    for (const agent of this.agents) agent.start();
    await quiet();
    for (let i = 0; i < 20 && !this.site.isUp; i++) await this.#goOn();
  }

  async take({ does, n }: Step): Promise<void> {
    await this[does](n);
    await quiet();
  }

  get #waits(): number {
    return this.timeline.waits.length;
  }

  async go(n: number): Promise<void> {
    if (this.#waits > 0) await this.timeline.go(n);
    else await this.#sleepOn(1100);
  }

  async goOn(n: number): Promise<void> {
    for (let i = 0; i < n % 12; i++) await this.#goOn();
  }

  /** Everything in its order, and time when there is nothing else. */
  async #goOn(): Promise<void> {
    if (this.#waits > 0) await this.timeline.go(0);
    else await this.#sleepOn(60_000);
  }

  async #sleepOn(limitMs: number): Promise<void> {
    const { next, now } = this.timeline;
    await this.timeline.advance(Math.min(Math.max(next - now, 0), limitMs));
  }

  time(n: number): Promise<void> {
    return this.timeline.advance(TIMES_MS[n % TIMES_MS.length]!);
  }

  record(n: number): void {
    this.#agent(n).record(1 + (n % 7), n >> 3);
  }

  flush(n: number): void {
    this.#agent(n).flush();
  }

  cut(n: number): void {
    const isSilent = n % 3 === 0;
    this.#had(isSilent ? SILENT : CUT);
    this.#agent(n).network.cut(isSilent);
  }

  weather(n: number): void {
    const { network } = this.#agent(n);
    network.weather = (['up', 'refused', 'up', 'silent'] satisfies Weather[])[(n >> 1) % 4]!;
    if (network.weather === 'up') return;
    this.#had(network.weather === 'silent' ? SILENT : CUT);
    network.cut(network.weather === 'silent');
  }

  failSpool(n: number): void {
    this.#had(SPOOL);
    const agent = this.#agent(n);
    agent.isMessy = true;
    agent.disk.failAfter((n >> 2) % 4, n % 4 < 2 ? 'failed' : 'failed-but-stored');
  }

  failStore(n: number): void {
    this.#had(STORE);
    this.site.disk.failAfter((n >> 1) % 5, n % 2 === 0 ? 'failed' : 'failed-but-stored');
  }

  killProxy(n: number): void {
    this.#had(PROXY);
    this.site.kill(n % 2 === 0);
    for (const { network } of this.agents) network.cut(n % 5 === 0);
  }

  stopProxy(): void {
    this.site.stop();
  }

  startProxy(n: number): void {
    this.site.start(FILTERS[n % FILTERS.length]);
  }

  killAgent(n: number): void {
    this.#had(AGENT);
    this.#agent(n).kill((n >> 1) % 2 === 0);
  }

  closeAgent(n: number): void {
    this.#agent(n).close();
  }

  startAgent(n: number): void {
    this.#agent(n).start();
  }

  manner(n: number): void {
    const manner = MANNERS[(n >> 1) % MANNERS.length]!;
    if (manner !== 'takes') this.#had(DESTINATION);
    this.site.destinations[WRITERS[n % 2]!].manner = manner;
  }

  wall(n: number): void {
    this.#had(WALL);
    const hosts = [this.site.host, ...this.agents.map(({ host }) => host)];
    hosts[n % hosts.length]!.offsetMs += JUMPS_MS[(n >> 2) % JUMPS_MS.length]!;
  }

  copy(): void {
    this.site.copy();
  }

  restore(n: number): void {
    this.killProxy(n);
    if (!this.site.restore()) return;
    this.#had(COPY);
    for (const agent of this.agents) agent.proxyRestored();
  }

  async wipe(n: number): Promise<void> {
    const agent = this.#agent(n);
    if (!agent.isUp || agent.isClosing) return;
    this.#had(WIPED);
    await agent.wipe();
  }

  /** All faults end. Resolves when everything is delivered; rejects if that takes longer than anything may, or for ever. */
  async finish(): Promise<void> {
    const { site, timeline } = this;
    site.disk.heal();
    for (const name of WRITERS) site.destinations[name].manner = 'takes';
    for (const { network, disk } of this.agents) {
      network.weather = 'up';
      disk.heal();
    }
    const since = timeline.now;
    await this.#goOnUntil(() => this.#isDrained(), 'everything is delivered');
    this.drainedMs = timeline.now - since;
    // A recorder whose events were all dropped has nothing to deliver, and may still wait for its next attempt to connect.
    const rested = timeline.now + RECONNECT_MS;
    await this.#goOnUntil(() => timeline.now >= rested, 'waits between attempts are over');
    const before = timeline.now;
    const marks = new Set(this.agents.map((agent) => agent.recordAnother().mark));
    await quiet();
    const { taken } = site.destinations.all;
    const counted = taken.length;
    await this.#goOnUntil(
      () => taken.slice(counted).filter(({ event }) => event.revision === 0 && marks.has(event.traceparent ?? '')).length === marks.size,
      'one event more is delivered',
    );
    this.lastOneMs = timeline.now - before;
    if (this.lastOneMs > BATCH_MS + WAY_MS)
      throw new Error(`one event, then silence: delivered within ${BATCH_MS} ms, got ${this.lastOneMs}`);
    await this.#goOnUntil(() => this.#isDrained(), 'everything is counted');
  }

  async #goOnUntil(check: () => Promise<boolean> | boolean, what: string): Promise<void> {
    const end = this.timeline.now + DRAIN_MS;
    for (let count = 0; !(await check()); count++) {
      if (this.timeline.now > end || count > DRAIN_STEPS) throw new Error(`still waiting, ${what}: ${await this.#describe()}`);
      this.site.start();
      for (const agent of this.agents) agent.start();
      await quiet();
      await this.#goOn();
    }
  }

  async #isDrained(): Promise<boolean> {
    const { site } = this;
    if (!site.isUp || !site.journal?.isOpen) return false;
    for (const { recorder, isClosing } of this.agents) {
      if (!recorder || isClosing) return false;
      const { ledger, older } = recorder.status();
      if (older.lives > 0 || ledger.spooled + ledger.queued > 0) return false;
    }
    const ledger = await readLedger(site.journal);
    return (
      ledger.unannounced === 0 &&
      ledger.windows.held === 0 &&
      ledger.writers.every(({ lanes }) => LANES.every((lane) => lanes[lane].pending === 0))
    );
  }

  async #describe(): Promise<string> {
    const agents = this.agents.map(({ recorder, isClosing }) => ({ isClosing, status: recorder?.status() }));
    const ledger = this.site.journal && (await readLedger(this.site.journal).catch(String));
    return JSON.stringify({ now: this.timeline.now, waits: this.timeline.waits.map(({ what }) => what), agents, ledger });
  }

  #agent(n: number): Agent {
    return this.agents[n % this.agents.length]!;
  }

  #had(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  /** Lets go of what this process holds of it. */
  async end(): Promise<void> {
    this.site.kill(false);
    for (const agent of this.agents) await agent.release();
  }
}
