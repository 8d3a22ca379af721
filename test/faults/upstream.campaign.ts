/**
 * Three proxies one above the other, site, region and centre, each killed at random while events flow and dedup folds at the site; then the
 * region's data is put back to an older copy while what it had is still on its way. The judge is a subscriber of the centre.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Loss } from '../../dispatcher/ledger/losses.ts';
import { Recorder } from '../../recorder/index.ts';
import { Destination } from '../support/destination.ts';
import { pause } from '../support/pause.ts';
import { ProxyProcess } from '../support/processes.ts';
import { seeded } from '../support/seeded.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';
import { LANES } from '../../core/lane.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

const KILLS = { short: 3, long: 90 };
const EVENTS = { short: 600, long: 10_000 };
const RESTORES = { short: 0, long: 8 };
const LIMIT_MS = 120_000;
const BURST = 20;

const campaign: Campaign = {
  title: 'upstream: site, region and centre',
  repeats: 'the centre was killed after its subscriber had taken a batch and before that was settled',
  async *run(order) {
    const levels = await Levels.start();
    try {
      yield await kills(levels, order);
      if (RESTORES[order.form] > 0) yield await restores(levels, order);
    } finally {
      await levels.end();
    }
  },
};

export default campaign;

class Levels {
  readonly ops: Destination;
  readonly proxies: readonly ProxyProcess[];
  readonly recorder: Recorder;
  recorded = 0;
  readonly #remove: () => Promise<void>;

  static async start(): Promise<Levels> {
    const { path, remove } = await tempDirectory();
    const ops = await Destination.open('ops');
    const prepare = async (site: string, writer: string): Promise<ProxyProcess> => {
      mkdirSync(join(path, site));
      const rest = 'batch: { interval: 20ms }, retry: { policy: backoff, initial: 50ms, max: 300ms }';
      return ProxyProcess.prepare(
        join(path, site),
        `heartbeat: 0s\ndedup: { interval: 300ms }\nwriters:\n  - { ${writer}, ${rest} }\n`,
        site,
      );
    };
    const centre = await prepare('centre', `name: ops, kind: http, format: json, url: "${ops.url}"`);
    const region = await prepare('region', `name: centre, kind: upstream, address: "${centre.address}"`);
    const site = await prepare('site', `name: region, kind: upstream, address: "${region.address}"`);
    await Promise.all([centre, region, site].map(async (proxy) => proxy.start()));
    const spool = { directory: join(path, 'spool') };
    const recorder = await Recorder.open({ component: 'cmd', node: 'n1', proxy: site.address, spool, onError: () => undefined });
    return new Levels({ ops, proxies: [site, region, centre], recorder, remove });
  }

  private constructor(parts: { ops: Destination; proxies: readonly ProxyProcess[]; recorder: Recorder; remove: () => Promise<void> }) {
    this.ops = parts.ops;
    this.proxies = parts.proxies;
    this.recorder = parts.recorder;
    this.#remove = parts.remove;
  }

  /** Some hundred kinds of events, so that some recur within a window; every tenth is critical. */
  record(count: number): void {
    for (let i = 0; i < count; i++) {
      const n = ++this.recorded;
      const isUrgent = n % 10 === 0;
      this.recorder.event(isUrgent ? 'test.Critical' : 'test.Event', isUrgent ? 'critical' : 'info', `kind ${(n * 7) % 250}`, {
        object: { kind: 'Node', name: `n${n % 3}` },
      });
    }
  }

  /** What the subscriber knows to be lost, by loss notices of the region and the centre. */
  get named(): number {
    const losses = this.ops.book.own('fondaco.Loss').flatMap(({ attributes }) => attributes.losses as Loss[]);
    return losses.reduce((sum, { count }) => sum + count, 0);
  }

  /** Resolves when everything has come or is named, or never will. */
  async settled(): Promise<void> {
    await until('the site has it', () => this.recorder.status().ledger.settled === this.recorded, LIMIT_MS);
    await until('nothing is on its way', async () => this.#isDrained(), LIMIT_MS);
  }

  async #isDrained(): Promise<boolean> {
    for (const proxy of this.proxies) {
      const { windows, writers } = await proxy.ledger();
      if (windows.open > 0 || writers.some(({ lanes }) => LANES.some((lane) => lanes[lane].pending > 0))) return false;
    }
    return true;
  }

  /** Events whose way, source, order, numbers or bytes are not as they should be. */
  get wrong(): string[] {
    const { events } = this.ops.book;
    const strays = events.filter(
      ({ via, source }) => via?.join() !== 'site,region' || source.site !== 'site' || source.node !== 'n1' || source.component !== 'cmd',
    );
    return [...this.ops.book.problems(), ...strays.map(({ id, via = [] }) => `${id} came over ${via.join()}`)];
  }

  async discrepancy(): Promise<number> {
    let sum = 0;
    for (const proxy of this.proxies) {
      const { writers } = await proxy.ledger();
      for (const { lanes } of writers) for (const lane of LANES) sum += Math.abs(lanes[lane].discrepancy);
      const { checks } = await proxy.verify();
      sum += checks.filter(({ isGood }) => !isGood).length;
    }
    return sum;
  }

  async end(): Promise<void> {
    await this.recorder.close().catch(() => undefined);
    for (const proxy of this.proxies) if (proxy.isStarted) await proxy.kill();
    await this.ops.leave();
    await this.#remove();
  }
}

async function kills(levels: Levels, { form, seed, progress }: CampaignOrder): Promise<FaultRow> {
  const random = seeded(seed);
  const total = KILLS[form];
  let isRecording = true;
  const recording = (async () => {
    while (isRecording || levels.recorded < EVENTS[form]) {
      levels.record(BURST);
      await pause(10);
    }
  })();
  const met: Record<string, number> = { site: 0, region: 0, centre: 0 };
  for (let kill = 0; kill < total; kill++) {
    await pause(random() * 500);
    const at = kill < 3 ? kill : Math.floor(random() * 3);
    const proxy = levels.proxies[at]!;
    await proxy.kill();
    await pause(random() * 200);
    await proxy.start();
    met[['site', 'region', 'centre'][at]!]!++;
    progress(kill + 1, total + RESTORES[form]);
  }
  isRecording = false;
  await recording;
  await levels.settled();
  const { book } = levels.ops;
  await until('all has come', () => book.added >= levels.recorded, 10_000).catch(() => undefined);
  const wrong = levels.wrong;
  for (const problem of wrong.slice(0, 10)) console.error(problem);
  return {
    fault: 'SIGKILL of the site, the region or the centre at random',
    injected: total,
    events: levels.recorded,
    lost: Math.max(0, levels.recorded - book.added),
    repeated: repeats(levels),
    wrongCounts: wrong.length + Math.max(0, book.added - levels.recorded) + levels.named,
    discrepancy: await levels.discrepancy(),
    measured: met,
  };
}

/** What the region has taken from the site and not yet sent on goes with its store; it is named, neither more nor less. */
async function restores(levels: Levels, { form, seed, progress }: CampaignOrder): Promise<FaultRow> {
  const random = seeded(seed + 1);
  const [, region, centre] = levels.proxies;
  let gone = 0;
  const before = { recorded: levels.recorded, added: levels.ops.book.added, repeated: repeats(levels), named: levels.named };
  for (let restore = 0; restore < RESTORES[form]; restore++) {
    levels.record(100 + Math.floor(random() * 200));
    await levels.settled();
    await region!.stop();
    const copy = join(region!.folder, 'copy');
    cpSync(join(region!.folder, 'data'), copy, { recursive: true });
    await centre!.kill();
    await region!.start();
    levels.record(100 + Math.floor(random() * 200));
    await until(
      'the region has it',
      async () => (await levels.proxies[0]!.ledger()).windows.open === 0 && (await isSent(levels)),
      LIMIT_MS,
    );
    gone += await pendingAt(region!);
    await region!.kill();
    rmSync(join(region!.folder, 'data'), { recursive: true });
    cpSync(copy, join(region!.folder, 'data'), { recursive: true });
    rmSync(copy, { recursive: true });
    await Promise.all([region!.start(), centre!.start()]);
    levels.record(100);
    await levels.settled();
    const expected = before.named + gone;
    await until('the loss is named', () => levels.named >= expected, 20_000).catch(() => undefined);
    progress(KILLS[form] + restore + 1, KILLS[form] + RESTORES[form]);
  }
  const { book } = levels.ops;
  const named = levels.named - before.named;
  // An entry may be a summary, so what is gone may be counted as more than one event.
  const missing = levels.recorded - book.added;
  const wrong = levels.wrong;
  for (const problem of wrong.slice(0, 10)) console.error(problem);
  return {
    fault: 'the region restored from an older copy, with a backlog that the copy has not',
    injected: RESTORES[form],
    events: levels.recorded - before.recorded,
    lost: Math.max(0, gone - named) + (missing > 0 && gone === 0 ? missing : 0),
    repeated: repeats(levels) - before.repeated,
    wrongCounts: wrong.length + Math.max(0, named - gone) + Math.max(0, -missing),
    discrepancy: await levels.discrepancy(),
    measured: { gone, named },
  };
}

async function isSent(levels: Levels): Promise<boolean> {
  if (levels.recorder.status().ledger.settled !== levels.recorded) return false;
  return (await pendingAt(levels.proxies[0]!)) === 0;
}

async function pendingAt(proxy: ProxyProcess): Promise<number> {
  const { writers } = await proxy.ledger();
  return writers.reduce((sum, { lanes }) => sum + LANES.reduce((of, lane) => of + lanes[lane].pending, 0), 0);
}

function repeats({ ops }: Levels): number {
  return ops.book.deliveries.length - new Set(ops.book.deliveries.map(({ id }) => id)).size;
}
