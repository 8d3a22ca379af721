/** A site for campaigns of size and load: a proxy process, a destination that counts, agents that record much; nothing is kept in memory. */
import { join } from 'node:path';
import { LANES } from '../../core/lane.ts';
import { directoryBytes } from '../../recorder/life-directory.ts';
import type { LoadOrder } from './load-agent.ts';
import { LoadSource } from './load-source.ts';
import { pause } from './pause.ts';
import { privateKiB } from './proc.ts';
import { ProxyProcess } from './processes.ts';
import { TallySubscriber } from './tally-subscriber.ts';
import { tempDirectory } from './temp-directory.ts';
import { until } from './until.ts';

const COLLECT = new URL('collect-on-signal.mjs', import.meta.url).href;
/** More than any campaign fills. */
const BYTES_MAX_GIB = 64;
const COLLECTIONS = 3;
const HOUR_MS = 3_600_000;

export interface LoadSiteOptions {
  /** Of the writer, in YAML: `backoff` with short waits unless told. */
  readonly retry?: string;
  readonly dedup?: string;
}

/** What is counted of a row, from outside. */
export interface LoadBooks {
  readonly events: number;
  readonly lost: number;
  readonly repeated: number;
  readonly wrongCounts: number;
  readonly discrepancy: number;
}

export class LoadSite {
  readonly folder: string;
  readonly proxy: ProxyProcess;
  readonly ops: TallySubscriber;
  readonly sources: LoadSource[] = [];
  readonly #remove: () => Promise<void>;

  /** Nothing is started, and nobody listens at the destination. */
  static async prepare({
    retry = '{ policy: backoff, initial: 50ms, max: 200ms }',
    dedup = '0s',
  }: LoadSiteOptions = {}): Promise<LoadSite> {
    const { path, remove } = await tempDirectory();
    const ops = await TallySubscriber.reserve();
    const writer = `{ name: ops, kind: http, format: ndjson, url: "${ops.url}", backlog: { bytesMax: ${BYTES_MAX_GIB}GiB }, retry: ${retry} }`;
    const journal = `journal: { bytesMax: ${BYTES_MAX_GIB}GiB, retention: 0s }`;
    const proxy = await ProxyProcess.prepare(path, `dedup: { interval: ${dedup} }\n${journal}\nwriters:\n  - ${writer}`);
    return new LoadSite(path, proxy, ops, remove);
  }

  private constructor(folder: string, proxy: ProxyProcess, ops: TallySubscriber, remove: () => Promise<void>) {
    this.folder = folder;
    this.proxy = proxy;
    this.ops = ops;
    this.#remove = remove;
  }

  /** Starts the proxy, prepared for `proxyKiB`; resolves with the ms until it took events. `under`: see ProgramOptions. */
  async startProxy(under?: readonly string[]): Promise<number> {
    const started = performance.now();
    await this.proxy.start({ env: { NODE_OPTIONS: `--import ${COLLECT}` }, ...(under && { under }) });
    return Math.round(performance.now() - started);
  }

  async source(component: string): Promise<LoadSource> {
    return (await this.openSource(component)).source;
  }

  /** With what it said when its recorder was open. */
  async openSource(component: string): ReturnType<typeof LoadSource.start> {
    const started = await LoadSource.start(this.order(component));
    this.sources.push(started.source);
    return started;
  }

  order(component: string): LoadOrder {
    return { component, proxy: this.proxy.address, directory: join(this.folder, 'spool'), bytesMax: BYTES_MAX_GIB * 1024 ** 3 };
  }

  /** Private memory of the proxy after a full collection. */
  async proxyKiB(): Promise<number> {
    const { child } = this.proxy;
    const isSaid = (times: number): boolean => child.stderr.split('"collected"').length > times;
    const before = child.stderr.split('"collected"').length - 1;
    for (let i = 1; i <= COLLECTIONS; i++) {
      child.process.kill('SIGUSR2');
      await until('the proxy has collected its garbage', () => isSaid(before + i), 60_000);
      await pause(200);
    }
    return privateKiB(child.pid);
  }

  /** What the journal takes on disk, its reserve aside. */
  journalBytes(): Promise<number> {
    return directoryBytes(join(this.folder, 'data'));
  }

  spoolBytes(): Promise<number> {
    return directoryBytes(join(this.folder, 'spool'));
  }

  /** Resolves when the destination has so many events, of agents. Rejects when none came for a minute. */
  async delivered(events: number): Promise<void> {
    for (let before = -1; this.ops.tally.events < events;) {
      if (this.ops.tally.events === before) throw new Error(`the destination must get ${events} events, got no more than ${before}`);
      before = this.ops.tally.events;
      const hasMore = (): boolean => this.ops.tally.events >= Math.min(events, before + 1);
      await until('the destination gets more', hasMore, 60_000).catch(() => undefined);
    }
  }

  /**
   * Everything that was recorded held against what came, and the proxy's books, once nothing is pending any more. `dropped`: by recorders, with
   * notice: exactly these seqs are to be missing, and the books to have them as lost.
   */
  async books(recorded: number, dropped = 0): Promise<LoadBooks> {
    const { tally } = this.ops;
    let ledger = await this.proxy.ledger();
    const isDrained = async (): Promise<boolean> => {
      ledger = await this.proxy.ledger();
      return ledger.writers.every(({ lanes }) => LANES.every((lane) => lanes[lane].pending === 0));
    };
    await until('nothing is pending', isDrained, HOUR_MS);
    let discrepancy = Math.abs(ledger.dedupDiscrepancy) + Math.abs(recorded - dropped - ledger.accepted.urgent - ledger.accepted.normal);
    discrepancy += Math.abs(ledger.lost - dropped);
    for (const { lanes } of ledger.writers) for (const lane of LANES) discrepancy += Math.abs(lanes[lane].discrepancy);
    return {
      events: recorded,
      lost: Math.max(0, recorded - dropped - tally.events),
      repeated: tally.repeated,
      wrongCounts:
        Math.abs(tally.missing - dropped) + tally.unnumbered + Math.max(0, tally.events - recorded) + (dropped > 0 ? 0 : tally.own),
      discrepancy,
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.sources.map((source) => source.end()));
    if (this.proxy.isStarted) await this.proxy.kill();
    await this.ops.leave();
    await this.#remove();
  }
}
