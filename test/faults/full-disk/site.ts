/** A proxy and its destinations, recorders in this process, and small disks under any of them. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { LANES } from '../../../core/lane.ts';
import type { Ledger } from '../../../dispatcher/ledger/ledger.ts';
import { Recorder, type SpoolOptions } from '../../../recorder/index.ts';
import { Destination } from '../../support/destination.ts';
import { pause } from '../../support/pause.ts';
import { ProxyProcess } from '../../support/processes.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';
import { Source } from './source.ts';

const RETRY = '{ policy: backoff, initial: 50ms, max: 300ms }';
const LIMIT_MS = 120_000;
const POLL_MS = 100;

export interface SiteOptions {
  /** Of the journal, and of each writer by its name, in YAML. The first one is well, the others answer 503 until they are mended. */
  readonly journal: string;
  readonly backlogs: Readonly<Record<string, string>>;
  /** The proxy's data on a disk of so many bytes. */
  readonly diskBytes?: number;
}

export class FullDiskSite {
  readonly folder: string;
  readonly proxy: ProxyProcess;
  readonly writers: ReadonlyMap<string, Destination>;
  /** Under the proxy. */
  readonly disk: SmallDisk | undefined;
  readonly sources: Source[] = [];
  /** What the proxy gave as a reason to take nothing in, while it was looked at. */
  readonly refusals = new Set<string>();
  readonly #ill = new Set<string>();
  readonly #endings: (() => unknown)[] = [];

  /** The proxy is not started; `undefined` where a disk is wanted and cannot be mounted. */
  static async prepare({ journal, backlogs, diskBytes }: SiteOptions): Promise<FullDiskSite | undefined> {
    const { path, remove } = await tempDirectory();
    const disk = diskBytes === undefined ? undefined : SmallDisk.mount(join(path, 'disk'), diskBytes);
    if (diskBytes !== undefined && !disk) {
      await remove();
      return undefined;
    }
    const names = Object.keys(backlogs);
    const writers = new Map(await Promise.all(names.map(async (name) => [name, await Destination.open(name)] as const)));
    const lines = names.map(
      (name) =>
        `{ name: ${name}, kind: http, format: json, url: "${writers.get(name)!.url}", batch: { interval: 20ms }, retry: ${RETRY}, backlog: ${backlogs[name]} }`,
    );
    const folder = join(disk?.directory ?? path, 'site');
    mkdirSync(folder);
    const proxy = await ProxyProcess.prepare(folder, `dedup: { interval: 0s }\njournal: ${journal}\nwriters: [${lines.join(', ')}]`);
    return new FullDiskSite({ folder: path, proxy, writers, disk, remove });
  }

  private constructor(parts: {
    folder: string;
    proxy: ProxyProcess;
    writers: ReadonlyMap<string, Destination>;
    disk: SmallDisk | undefined;
    remove: () => Promise<void>;
  }) {
    this.folder = parts.folder;
    this.proxy = parts.proxy;
    this.writers = parts.writers;
    this.disk = parts.disk;
    this.#endings.push(parts.remove, () => parts.disk?.unmount());
    const [, ...ill] = parts.writers.keys();
    for (const name of ill) this.#ill.add(name);
    for (const [name, destination] of parts.writers) {
      destination.answer = () => ({ status: this.#ill.has(name) ? 503 : 200 });
      this.#endings.push(() => destination.leave());
    }
  }

  mend(name: string): void {
    this.#ill.delete(name);
  }

  /** A small disk for spools. */
  mount(name: string, bytes: number): SmallDisk | undefined {
    const disk = SmallDisk.mount(join(this.folder, name), bytes);
    if (disk) this.#endings.push(() => disk.unmount());
    return disk;
  }

  async source(component: string, spool: SpoolOptions | false): Promise<Source> {
    const source = new Source(await Recorder.open({ component, node: 'n1', proxy: this.proxy.address, spool, onError: () => undefined }));
    this.sources.push(source);
    return source;
  }

  /** Looks why nothing is taken in. */
  async look(): Promise<string | undefined> {
    const { refusal } = (await this.proxy.status()).journal;
    if (refusal !== undefined) this.refusals.add(refusal);
    return refusal;
  }

  /** Infinity while the books cannot be read. */
  async pending(name: string): Promise<number> {
    const lanes = (await this.#ledger())?.writers.find((writer) => writer.name === name)?.lanes;
    return LANES.reduce((sum, lane) => sum + (lanes?.[lane].pending ?? Infinity), 0);
  }

  /** Nothing is on its way any more, and every loss is announced. */
  async drained(): Promise<Ledger> {
    for (const source of this.sources) await until('all is with the proxy, or declared lost', () => source.isDone, LIMIT_MS);
    let ledger: Ledger | undefined;
    const isDrained = async (): Promise<boolean> => {
      ledger = await this.#ledger();
      if (ledger?.unannounced !== 0) return false;
      return ledger.writers.every(({ lanes }) => LANES.every((lane) => lanes[lane].pending === 0));
    };
    await until('nothing is pending', isDrained, LIMIT_MS);
    return ledger!;
  }

  /** None while the store is being opened again. */
  async #ledger(): Promise<Ledger | undefined> {
    await pause(POLL_MS); // it reads the store: not as often as a condition is looked at
    const answer = (await this.proxy.ledger()) as Partial<Ledger>;
    return answer.writers === undefined ? undefined : (answer as Ledger);
  }

  async end(): Promise<void> {
    for (const { recorder } of this.sources) await recorder.close().catch(() => undefined);
    if (this.proxy.isStarted) await this.proxy.kill();
    for (const end of this.#endings.reverse()) await end();
  }
}
