/** One fault under load, at many destinations of one proxy at once. */
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from '../../../dispatcher/ledger/ledger.ts';
import { LANES } from '../../../core/lane.ts';
import { pause } from '../../support/pause.ts';
import { Site } from '../../support/site.ts';
import { until } from '../../support/until.ts';
import type { FaultRow } from '../campaign.ts';
import { judge } from './judge.ts';
import { leftOut, type Fault } from './faults.ts';
import { Load, SKIPPED } from './load.ts';
import type { Arrived } from './arrived.ts';
import { BATCH_EVENTS, type Place } from './place.ts';
import { openPlaces, type Surroundings } from './places.ts';

const CRASH_POINTS = fileURLToPath(new URL('../kills/crash-points.mjs', import.meta.url));
const TSX = import.meta.resolve('tsx');
const DRAIN_MS = 300_000;
/** A settling that does not come in so long is not waited for: the process is killed as it is. */
const REACH_MS = 20_000;
/** What a server has been sent and has not yet written. */
const CATCH_UP_MS = 5000;
/** Events behind poison, so that some of each lane are. */
const BEHIND = 60;
/** Printed of one cell. */
const PROBLEMS_MAX = 5;
const PROBLEM_CHARS_MAX = 2000;

export interface SceneOrder extends Pick<Surroundings, 'postgres'> {
  readonly fault: Fault;
  /** Of which destinations; those that have no such fault get the load beside the others. */
  readonly names: readonly string[];
  readonly rounds: number;
  readonly events: number;
  readonly random: () => number;
}

/** A row for each place that has the fault. */
export async function runScene(order: SceneOrder): Promise<FaultRow[]> {
  const { fault, names, postgres } = order;
  const site = await Site.prepare({ destinations: [] });
  let places: Place[] = [];
  try {
    places = await openPlaces(names, { folder: site.folder, postgres, isFilled: fault.name === 'taken in part' });
    return await new Scene(order, site, places).run();
  } finally {
    if (site.proxy.isStarted) await site.proxy.kill();
    await Promise.all(places.map(async (place) => place.close()));
    await site.end();
  }
}

class Scene {
  readonly #order: SceneOrder;
  readonly #site: Site;
  readonly #places: readonly Place[];
  readonly #faulty: readonly Place[];
  readonly #injected = new Map<string, number>();
  /** By place. */
  readonly #measured = new Map<string, Readonly<Record<string, number>>>();
  #load!: Load;
  #isFiltered = false;

  constructor(order: SceneOrder, site: Site, places: readonly Place[]) {
    this.#order = order;
    this.#site = site;
    this.#places = places;
    this.#faulty = places.filter((place) => leftOut(order.fault.name, place) === undefined);
  }

  async run(): Promise<FaultRow[]> {
    const { fault } = this.#order;
    await this.#configure();
    const first = fault.kills ? this.#faulty[0] : undefined;
    await this.#start(first);
    this.#load = new Load((await this.#site.source('cmd')).recorder, fault.isDedup === true);
    if (fault.kills) await this.#kills();
    else await this.#injections();
    await this.#load.settled();
    const ledger = await this.#site.drained(DRAIN_MS);
    return this.#rows(ledger);
  }

  async #configure(): Promise<void> {
    const { fault } = this.#order;
    const filter = this.#isFiltered ? `, filter: { not: { types: ['${SKIPPED}'] } }` : '';
    const retry = 'retry: { policy: backoff, initial: 20ms, max: 200ms }';
    const writers = this.#places.map(
      ({ name, yaml, eventsMax = BATCH_EVENTS }) =>
        `  - { name: ${name}, ${yaml}, batch: { interval: 20ms, eventsMax: ${eventsMax} }, ${retry}${filter} }\n`,
    );
    await this.#site.proxy.configure(
      `heartbeat: 0s\ndedup: { interval: ${fault.isDedup ? '300ms' : '0s'} }\nwriters:\n${writers.join('')}`,
    );
  }

  /** A life; with a victim one that ends between a write and its settling at that writer. */
  async #start(victim?: Place): Promise<void> {
    const { proxy } = this.#site;
    await proxy.start(victim && !victim.isWindowed ? { env: crashAt(victim.name, this.#order.random) } : {});
    for (const place of this.#places) place.proxyStarted?.(proxy.child);
  }

  /** A life for each place, and one that stays. */
  async #kills(): Promise<void> {
    const { events, rounds } = this.#order;
    const victims = Array.from({ length: rounds }, () => this.#faulty).flat();
    for (const [i, victim] of victims.entries()) {
      await this.#whileRecording(((i + 1) * events) / victims.length, async () => this.#death(victim));
      if (this.#order.fault.kills === 'other filter') this.#isFiltered = !this.#isFiltered;
      await this.#configure();
      await this.#start(victims[i + 1]);
    }
  }

  async #death(victim: Place): Promise<void> {
    const { child } = this.#site.proxy;
    if (victim.isWindowed) await this.#flows(victim);
    else await Promise.race([child.ended, sleep(REACH_MS, undefined, { ref: false })]);
    await child.kill('SIGKILL');
    for (const { name } of this.#faulty) this.#count(name);
  }

  async #injections(): Promise<void> {
    const { events, rounds, fault } = this.#order;
    for (let round = 0; round < rounds; round++) {
      await this.#whileRecording(((round + 1) * events) / rounds, async () => {
        if (fault.name === 'poison') await this.#poison((events * (round + 0.5)) / rounds);
        else await Promise.all(this.#faulty.map(async (place) => this.#inject(place)));
      });
    }
  }

  async #inject(place: Place): Promise<void> {
    const { fault, random } = this.#order;
    if (fault.inject) {
      await this.#flows(place);
      await pause(random() * 50);
      const measured: Record<string, number> = {};
      await fault.inject({ place, load: this.#load, random, measured });
      this.#measured.set(place.name, measured);
    }
    this.#count(place.name);
  }

  async #poison(at: number): Promise<void> {
    await until('half of it is recorded', () => this.#load.count >= at, DRAIN_MS);
    const hasSome = async ({ name }: Place): Promise<boolean> => delivered(await this.#site.proxy.ledger(), name) > 0;
    for (const place of this.#faulty) await until(`${place.name} has something`, async () => hasSome(place), DRAIN_MS);
    for (const place of this.#faulty) await place.refusePoison?.();
    this.#load.poison();
    const behind = this.#load.count + BEHIND;
    await until('more is recorded behind it', () => this.#load.count >= behind, DRAIN_MS);
    for (const { name } of this.#faulty) this.#count(name);
  }

  async #whileRecording(target: number, work: () => Promise<void>): Promise<void> {
    let isDone = false;
    const working = work().finally(() => (isDone = true));
    await Promise.all([working, this.#load.run(target, () => isDone)]);
  }

  /** Resolves when something more has gone to the place. */
  async #flows({ name, tap }: Place): Promise<void> {
    const sent = async (): Promise<number> => tap?.sentBytes ?? delivered(await this.#site.proxy.ledger(), name);
    const before = await sent();
    await until(`something goes to ${name}`, async () => (await sent()) > before, DRAIN_MS);
  }

  #count(name: string): void {
    this.#injected.set(name, (this.#injected.get(name) ?? 0) + 1);
  }

  async #rows(ledger: Ledger): Promise<FaultRow[]> {
    const { checks } = await this.#site.proxy.verify();
    const wrongChecks = checks.filter(({ isGood }) => !isGood).length;
    const rows: FaultRow[] = [];
    for (const place of this.#faulty) rows.push(await this.#row(place, ledger, wrongChecks));
    const [first, ...others] = rows;
    return first ? [{ ...first, measured: { ...first.measured, ...this.#leftOut() } }, ...others] : [];
  }

  /** Told with the first row. */
  #leftOut(): Record<string, string> {
    const { name } = this.#order.fault;
    const told: Record<string, string> = {};
    for (const place of this.#places) {
      const reason = leftOut(name, place);
      if (reason !== undefined) told[`left out: ${place.name}`] = reason;
    }
    return told;
  }

  async #row(place: Place, ledger: Ledger, wrongChecks: number): Promise<FaultRow> {
    const { fault } = this.#order;
    const lanes = ledger.writers.find(({ name }) => name === place.name)!.lanes;
    const arrived = await this.#arrived(place, delivered(ledger, place.name));
    const isPoisoned = fault.name === 'poison';
    const isFiltered = fault.kills === 'other filter';
    const { problems, missing, ...counts } = judge(arrived, { place, load: this.#load, ledger: lanes, isPoisoned, isFiltered });
    const seen = [...problems, ...(place.problems ?? [])];
    for (const problem of seen.slice(0, PROBLEMS_MAX)) console.error(`${fault.name}: ${problem.slice(0, PROBLEM_CHARS_MAX)}`);
    return {
      fault: `${fault.name}: ${place.name}`,
      injected: this.#injected.get(place.name) ?? 0,
      ...counts,
      wrongCounts: counts.wrongCounts + (place.problems?.length ?? 0),
      discrepancy: counts.discrepancy + wrongChecks,
      measured: { ...this.#measured.get(place.name), ...(place.rule === 'best effort' && { 'missing, as a best effort may': missing }) },
    };
  }

  /** All that is to come is there, or never will be. */
  async #arrived(place: Place, expected: number): Promise<readonly Arrived[]> {
    let arrived = await place.arrived();
    const isThere = async (): Promise<boolean> => {
      if (new Set(arrived.map(({ id }) => id)).size >= expected) return true;
      await pause(100);
      arrived = await place.arrived();
      return false;
    };
    await until('it has caught up', isThere, CATCH_UP_MS).catch(() => undefined);
    return arrived;
  }
}

function delivered({ writers }: Ledger, name: string): number {
  const { lanes } = writers.find((writer) => writer.name === name)!;
  return LANES.reduce((sum, lane) => sum + lanes[lane].delivered, 0);
}

/** The environment of a proxy that kills itself when a batch was written to that writer, and is not settled. */
function crashAt(name: string, random: () => number): Record<string, string> {
  const order = { point: `before settle of ${name}`, nth: 3 + Math.floor(random() * 8), isProxy: true };
  const tsx = process.env.FONDACO_TEST_PROGRAM === undefined ? `--import ${TSX} ` : '';
  return { NODE_OPTIONS: `${tsx}--import ${CRASH_POINTS}`, FONDACO_CRASH: JSON.stringify(order) };
}
