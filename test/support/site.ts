/** One site for system tests: a proxy process, its destinations, agents as processes and recorders in this one; and the judge of what arrived. */
import { expect } from 'chai';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LANES, type Lane, type PerLane } from '../../core/lane.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { Recorder, type RecorderOptions } from '../../recorder/index.ts';
import type { AgentOrder } from './agent.ts';
import { Destination } from './destination.ts';
import { Child, ProxyProcess } from './processes.ts';
import { Source } from './source.ts';
import { tempDirectory } from './temp-directory.ts';
import { until } from './until.ts';

const AGENT = fileURLToPath(new URL('agent.ts', import.meta.url));

/** The ids of what was recorded, in order. */
export type RecordedIds = PerLane<readonly string[]>;

export interface SiteOptions {
  /** The dedup interval; `0s` unless told: then every event is a delivery. */
  readonly dedup?: string;
  readonly destinations?: readonly Destination[];
  /** How long delivered events are kept; 7 days unless told. */
  readonly retention?: string;
}

export class Site {
  readonly proxy: ProxyProcess;
  readonly folder: string;
  readonly #remove: () => Promise<void>;
  readonly #dedup: string;
  readonly #retention: string;
  #destinations: readonly Destination[];
  readonly #everyDestination: Set<Destination>;
  readonly #children: Child[] = [];
  readonly #recorders: Recorder[] = [];

  /** The proxy is not started yet. */
  static async prepare(options: SiteOptions = {}): Promise<Site> {
    const { dedup = '0s', retention = '7d', destinations = [await Destination.open('ops')] } = options;
    const { path, remove } = await tempDirectory();
    const proxy = await ProxyProcess.prepare(path, '');
    const site = new Site({ proxy, remove, dedup, retention, destinations });
    await site.configure(destinations);
    return site;
  }

  static async start(options?: SiteOptions): Promise<Site> {
    const site = await Site.prepare(options);
    await site.proxy.start();
    return site;
  }

  private constructor(parts: {
    proxy: ProxyProcess;
    remove: () => Promise<void>;
    dedup: string;
    retention: string;
    destinations: readonly Destination[];
  }) {
    this.proxy = parts.proxy;
    this.folder = parts.proxy.folder;
    this.#remove = parts.remove;
    this.#dedup = parts.dedup;
    this.#retention = parts.retention;
    this.#destinations = parts.destinations;
    this.#everyDestination = new Set(parts.destinations);
  }

  get destinations(): readonly Destination[] {
    return this.#destinations;
  }

  /** The first destination, which most have alone. */
  get ops(): Destination {
    return this.#destinations[0]!;
  }

  /** What the config says from now on; `more` of each writer. */
  async configure(destinations: readonly Destination[], more = ''): Promise<void> {
    this.#destinations = destinations;
    for (const destination of destinations) this.#everyDestination.add(destination);
    const writers = destinations.map(
      ({ name, url, eventsMax }) =>
        `  - { name: ${name}, kind: http, format: json, url: "${url}", timeout: 5s, batch: { interval: 20ms, eventsMax: ${eventsMax} }, retry: { policy: backoff, initial: 50ms, max: 200ms }${more} }\n`,
    );
    await this.proxy.configure(
      `dedup: { interval: ${this.#dedup} }\njournal: { retention: ${this.#retention} }\nwriters:\n${writers.join('')}`,
    );
  }

  get spool(): string {
    return join(this.folder, 'spool');
  }

  /** An agent process. */
  agent(component: string, order: Pick<AgentOrder, 'count' | 'perBurst' | 'pauseMs' | 'until'>): Child {
    return this.child(AGENT, { component, proxy: this.proxy.address, directory: this.spool, ...order } satisfies AgentOrder);
  }

  /** A process of ours that takes its order as JSON; killed at the end at the latest. */
  child(file: string, order: object, env?: Record<string, string>): Child {
    const child = Child.script(file, [JSON.stringify(order)], env);
    this.#children.push(child);
    return child;
  }

  /** A recorder in this process. */
  async source(component: string, options: Partial<RecorderOptions> = {}): Promise<Source> {
    const place = { component, node: 'n1', proxy: this.proxy.address, spool: { directory: this.spool } };
    const recorder = await Recorder.open({ ...place, onError: () => undefined, ...options });
    this.#recorders.push(recorder);
    return new Source(recorder);
  }

  async end(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill('SIGKILL')));
    await Promise.all(this.#recorders.map((recorder) => recorder.close().catch(() => undefined)));
    if (this.proxy.isStarted) await this.proxy.kill();
    await Promise.all([...this.#everyDestination].map((destination) => destination.leave()));
    await this.#remove();
  }

  /** Resolves when no writer has anything pending, with the books as they are then. */
  async drained(limitMs = 20_000): Promise<Ledger> {
    let ledger = await this.proxy.ledger();
    const isDrained = async (): Promise<boolean> => {
      ledger = await this.proxy.ledger();
      return ledger.windows.open === 0 && ledger.writers.every(({ lanes }) => LANES.every((lane) => lanes[lane].pending === 0));
    };
    await until('no writer has anything pending', isDrained, limitMs);
    return ledger;
  }

  /**
   * Every event that was recorded is at every destination: these ids and no others, each series in its order and its lane, Σ `added` the same
   * number, no seq missing, no loss; and the proxy's books say so too. For sites without dedup, whose writers were there from the start.
   */
  async expectExactly(recorded: readonly RecordedIds[], options: { isRepeatFree?: boolean } = {}): Promise<void> {
    const total = (lane: Lane): number => recorded.reduce((sum, ids) => sum + ids[lane].length, 0);
    const count = total('urgent') + total('normal');
    for (const { name, book } of this.#destinations) {
      await until(`${name} has ${count} events`, () => book.deliveries.length >= count && book.events.length >= count, 30_000);
    }
    const ledger = await this.drained();
    for (const { name, book } of this.#destinations) {
      expect(bySeries(book.events.map(({ id, delivery }) => [delivery.lane, id])), name).to.deep.equal(bySeries(flat(recorded)));
      expect(book.added, name).to.equal(count);
      expect(book.problems(options), name).to.deep.equal([]);
      expect(book.own('fondaco.Loss'), name).to.deep.equal([]);
    }
    expect(ledger).to.deep.include({ accepted: { urgent: total('urgent'), normal: total('normal') }, added: count });
    expect(ledger).to.include({ isBalanced: true, rejected: 0, lost: 0 });
    for (const { name, lanes } of ledger.writers) {
      for (const lane of LANES) {
        const { delivered, made, discrepancy } = lanes[lane];
        expect({ delivered, discrepancy }, `${name} ${lane}`).to.deep.equal({ delivered: total(lane) + made, discrepancy: 0 });
      }
    }
  }

  /** With dedup: Σ `added` at every destination is the number of events that were recorded; order, seqs and the proxy's books as above. */
  async expectCounted(total: number): Promise<void> {
    for (const { name, book } of this.#destinations) await until(`Σ added at ${name} is ${total}`, () => book.added >= total, 30_000);
    const ledger = await this.drained();
    for (const { name, book } of this.#destinations) {
      expect(book.added, name).to.equal(total);
      expect(book.problems(), name).to.deep.equal([]);
      expect(book.own('fondaco.Loss'), name).to.deep.equal([]);
    }
    expect(ledger).to.include({ isBalanced: true, rejected: 0, lost: 0, added: total });
    expect(ledger.accepted.urgent + ledger.accepted.normal).to.equal(total);
  }
}

/** What an agent process says at its end, which must be a good one: the ids of what it recorded, and its ledger. */
export async function agentBooks(child: Child): Promise<{ ids: RecordedIds; ledger: Record<string, number> }> {
  const { code, stderr } = await child.ended;
  expect(code, stderr).to.equal(0);
  return { ...child.lines('ids')[0], ...child.lines('ledger')[0] } as { ids: RecordedIds; ledger: Record<string, number> };
}

/** The ids of an agent process that has ended well, with a ledger that says that all of it is settled. */
export async function settledIds(child: Child): Promise<RecordedIds> {
  const { ids, ledger } = await agentBooks(child);
  const recorded = ids.urgent.length + ids.normal.length;
  expect(ledger).to.deep.equal({ recorded, settled: recorded, dropped: 0, rejected: 0, queued: 0, spooled: 0 });
  return ids;
}

function flat(recorded: readonly RecordedIds[]): [Lane, string][] {
  return recorded.flatMap((ids) => LANES.flatMap((lane) => ids[lane].map((id): [Lane, string] => [lane, id])));
}

/** Seqs in the order of their coming, by lane and series. */
function bySeries(ids: readonly (readonly [Lane, string])[]): Record<string, number[]> {
  const series: Record<string, number[]> = {};
  for (const [lane, id] of ids) {
    const dash = id.lastIndexOf('-');
    (series[`${lane} ${id.slice(0, dash)}`] ??= []).push(Number(id.slice(dash + 1)));
  }
  return series;
}
