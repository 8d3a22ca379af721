import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Clock } from '../core/clock.ts';
import type { Ledger } from '../dispatcher/ledger/ledger.ts';
import { Child, describeEnding } from './child.ts';
import { until } from './until.ts';

/** Loading TypeScript on a small machine that is busy takes its time. */
const START_MS = 30_000;
const ANSWER_MS = 1000;

export interface ProxySettings {
  /** The config and the data go here. */
  readonly folder: string;
  /** Free ones of 127.0.0.1. */
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Where events are delivered: the `url` of the subscriber. */
  readonly subscriberUrl: string;
  /** Such as `10s`. */
  readonly dedupInterval: string;
}

/** Where a proxy is found, in this life and the next. */
export interface ProxyPlace {
  /** `host:port` for recorders. */
  readonly grpc: string;
  /** URL of the admin surface. */
  readonly api: string;
  readonly config: string;
}

/** Writes a config for a proxy on the embedded default: LevelDB in a folder, nothing else to install. */
export async function writeProxyConfig(settings: ProxySettings): Promise<ProxyPlace> {
  const { folder, grpcPort, httpPort, subscriberUrl, dedupInterval } = settings;
  const grpc = `127.0.0.1:${grpcPort}`;
  const http = `127.0.0.1:${httpPort}`;
  const config = join(folder, 'proxy.yaml');
  const text = stringify({
    data: './proxy',
    listen: { grpc, http },
    dedup: { interval: dedupInterval },
    writers: [
      {
        name: 'subscriber',
        kind: 'http',
        url: subscriberUrl,
        batch: { interval: '100ms' },
        retry: { policy: 'backoff', initial: '200ms', max: '2s' },
      },
    ],
  });
  await writeFile(config, `# Written by the demo at each start.\n${text}`);
  return { grpc, api: `http://${http}`, config };
}

/** Starts `fondaco proxy` and resolves when it takes events. Rejects, with its last words, if it ends instead. */
export async function startProxy({ api, config }: ProxyPlace, clock: Clock, signal?: AbortSignal): Promise<Child> {
  const proxy = Child.start({ name: 'proxy', program: 'cli/main.ts', args: ['proxy', '--config', config] });
  const isReady = async (): Promise<boolean> => {
    if (proxy.ending) throw new Error(`the proxy could not be started: ${describeEnding(proxy.ending)}`);
    return (await ask(api, '/readyz')) !== undefined;
  };
  try {
    await until('the proxy to take events', isReady, { clock, limitMs: START_MS, signal });
  } catch (error) {
    proxy.kill('SIGKILL');
    throw error;
  }
  return proxy;
}

/** Its books; `undefined` while it does not answer. */
export async function ledgerOf({ api }: ProxyPlace): Promise<Ledger | undefined> {
  return (await ask(api, '/v1/ledger')) as Ledger | undefined;
}

async function ask(api: string, path: string): Promise<unknown> {
  try {
    const answer = await fetch(api + path, { signal: AbortSignal.timeout(ANSWER_MS) });
    const value: unknown = await answer.json();
    return answer.ok ? value : undefined;
  } catch {
    return undefined; // not there, or not able to answer: a stopped process takes connections all the same
  }
}

/** Entries that the subscriber has not got yet. */
export function pendingOf({ writers }: Ledger): number {
  return writers.reduce((sum, { lanes }) => sum + lanes.urgent.pending + lanes.normal.pending, 0);
}
