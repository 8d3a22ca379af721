/**
 * A PostgreSQL is stopped, killed, frozen, and its sessions ended, and the proxy killed, while events flow into its table; and, in the long form,
 * 10,000 events with nasty text go into it while sessions are ended. Where this Node has SQLite, a file of it is written beside. The server is
 * Debian's (scripts/setup.mjs); without it there is nothing to count.
 */
import { join } from 'node:path';
import { isFondacoError } from '../../core/errors.ts';
import { findMember } from '../../core/json-text.ts';
import { LANES } from '../../core/lane.ts';
import { nativeJson } from '../../writers/native-json.ts';
import { openSqlite } from '../../writers/sql/node-sqlite.ts';
import { missingSqlite, sqlSettings } from '../../writers/sql/settings.ts';
import { SqlWriter } from '../../writers/sql/writer.ts';
import { deliveries } from '../support/deliveries.ts';
import { pause } from '../support/pause.ts';
import { missingPostgres, PASSWORD, PostgresServer } from '../support/postgres-server.ts';
import { seeded } from '../support/seeded.ts';
import { Site } from '../support/site.ts';
import { judgeSyslog } from '../support/syslog-judge.ts';
import { nastyEvents } from '../support/syslog-nasty.ts';
import { until } from '../support/until.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

const ROUNDS = { short: 1, long: 10 };
const NASTY_EVENTS = 10_000;
const NASTY_BATCH = 200;
const BURST = 20;
const BURST_MS = 20;
/** So many events may be on their way to the proxy. */
const AHEAD_MAX = 5000;
/** How long a write may take: less than a frozen server makes it. */
const WRITE_MS = 2000;
const FLOW_MS = 120_000;

const campaign: Campaign = {
  title: 'sql: a database that goes away under load',
  repeats: 'nothing does: what is sent again is there already',
  async *run(order) {
    const missing = missingPostgres();
    if (missing !== undefined) throw new Error(missing);
    const server = await PostgresServer.start();
    try {
      yield* underLoad(order, server);
      if (order.form === 'long') yield await nasty(server, order.seed);
    } finally {
      await server.end();
    }
  },
};

export default campaign;

interface Fault {
  readonly name: string;
  inject(parts: { server: PostgresServer; site: Site; awayMs: number }): Promise<void>;
}

const FAULTS: readonly Fault[] = [
  { name: 'PostgreSQL stopped (SIGINT), and started', inject: async (parts) => restart(parts, 'SIGINT') },
  { name: 'PostgreSQL killed (SIGQUIT), and started', inject: async (parts) => restart(parts, 'SIGQUIT') },
  {
    name: 'PostgreSQL frozen (SIGSTOP), for longer than a write may take, and continued',
    inject: async ({ server, awayMs }) => {
      server.freeze(true);
      await pause(WRITE_MS + awayMs);
      server.freeze(false);
    },
  },
  { name: 'sessions ended by the server', inject: async ({ server }) => endSessions(server) },
  {
    name: 'SIGKILL of the proxy, and a new one',
    inject: async ({ site }) => {
      await site.proxy.kill();
      await site.proxy.start();
    },
  },
];

async function restart({ server, awayMs }: { server: PostgresServer; awayMs: number }, signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
  await server.stop(signal);
  await pause(awayMs);
  await server.start();
}

async function endSessions(server: PostgresServer): Promise<void> {
  await server.asAdmin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fondaco'`, 'events');
}

/** What of an event is judged, as a row has it. */
interface Row {
  readonly id: string;
  readonly type: string;
  readonly lane: string;
  readonly series: string;
  readonly seq: number;
}

async function* underLoad({ form, seed, progress }: CampaignOrder, server: PostgresServer): AsyncIterable<FaultRow> {
  const random = seeded(seed);
  const site = await Site.prepare({ destinations: [] });
  const hasSqlite = missingSqlite() === undefined;
  const file = join(site.folder, 'events.db');
  const rest = 'batch: { interval: 20ms }, retry: { policy: backoff, initial: 50ms, max: 200ms } }';
  const postgres = `  - { name: postgres, kind: sql, url: '${server.url}', password: '${PASSWORD}', timeout: ${WRITE_MS}ms, ${rest}\n`;
  const sqlite = `  - { name: sqlite, kind: sql, path: '${file}', ${rest}\n`;
  await site.proxy.configure(`dedup: { interval: 0s }\nwriters:\n${postgres}${hasSqlite ? sqlite : ''}`);
  const stored = async (): Promise<string[]> => {
    const rows = await server.asAdmin<{ payload: string }>('SELECT payload::text AS payload FROM events ORDER BY id', 'events');
    return rows.map(({ payload }) => payload);
  };
  const counted = async (): Promise<number> =>
    Number((await server.asAdmin<{ n: string }>('SELECT count(*) AS n FROM events', 'events').catch(() => [{ n: '0' }]))[0]!.n);
  let injected = 0;
  try {
    await site.proxy.start();
    const source = await site.source('cmd');
    let isRecording = true;
    const recording = (async () => {
      while (isRecording) {
        const { recorded, settled } = source.recorder.status().ledger;
        if (recorded - settled < AHEAD_MAX) source.record(BURST);
        await pause(BURST_MS);
      }
    })();
    recording.catch(() => undefined); // until it is waited for
    const total = ROUNDS[form] * FAULTS.length;
    for (; injected < total; injected++) {
      const before = await counted();
      await until('more comes into the table', async () => (await counted()) > before, FLOW_MS);
      await pause(random() * 200);
      await FAULTS[injected % FAULTS.length]!.inject({ server, site, awayMs: random() * 400 });
      progress(injected + 1, total + 1);
    }
    isRecording = false;
    await recording;
    const isSettled = (): boolean => {
      const { recorded, settled } = source.recorder.status().ledger;
      return recorded === settled;
    };
    await until('the proxy has settled all', isSettled, FLOW_MS);
    const ledger = await site.drained(FLOW_MS);
    const wrongChecks = (await site.proxy.verify()).isGood ? 0 : 1;
    const events = LANES.reduce((sum, lane) => sum + source.ids[lane].length, 0);
    const tables: [name: string, payloads: readonly string[]][] = [['postgres', await stored()]];
    if (hasSqlite) tables.push(['sqlite', fromFile(file)]);
    for (const [name, payloads] of tables) {
      const lanes = ledger.writers.find((writer) => writer.name === name)!.lanes;
      const wrong = LANES.reduce((sum, lane) => sum + Math.abs(lanes[lane].discrepancy), 0);
      const fault = name === 'postgres' ? FAULTS.map((each) => each.name).join('; ') : 'SIGKILL of the proxy while it writes SQLite';
      const counts = judgeSyslog(payloads.map(rowOf), source.ids);
      yield { fault, injected, events, ...counts, discrepancy: wrong + wrongChecks };
    }
  } finally {
    await site.end();
  }
}

function fromFile(file: string): string[] {
  const database = openSqlite(file, { readOnly: true });
  const rows = database.prepare('SELECT payload FROM events ORDER BY id').all();
  database.close();
  return rows.map(({ payload }) => String(payload));
}

function rowOf(payload: string): Row {
  const text = (name: string): string => JSON.parse(findMember(payload, name)) as string;
  const { lane, series, seq } = JSON.parse(findMember(payload, 'delivery')) as Pick<Row, 'lane' | 'series' | 'seq'>;
  return { id: text('id'), type: text('type'), lane, series, seq };
}

/** Byte for byte, although every fifth batch meets the end of its session. */
async function nasty(server: PostgresServer, seed: number): Promise<FaultRow> {
  const random = seeded(seed);
  const events = deliveries(nastyEvents(NASTY_EVENTS));
  const writer = await SqlWriter.open(sqlSettings.parse({ url: server.url, password: PASSWORD, table: 'nasty' }));
  let injected = 0;
  const written = async (from: number): Promise<boolean> => {
    const isEnded = random() < 0.2;
    const writing = writer.write(events.slice(from, from + NASTY_BATCH), new AbortController().signal);
    if (isEnded) {
      injected++;
      await pause(random() * 30);
      await endSessions(server);
    }
    return writing.then(
      () => true,
      (error: unknown) => {
        if (isFondacoError(error, 'UNAVAILABLE')) return false;
        throw error;
      },
    );
  };
  try {
    for (let from = 0; from < events.length;) if (await written(from)) from += NASTY_BATCH;
  } finally {
    await writer.close();
  }
  const rows = await server.asAdmin<{ payload: string }>('SELECT payload::text AS payload FROM nasty ORDER BY id', 'events');
  const wrongCounts = rows.filter(({ payload }, i) => payload !== (events[i] && nativeJson(events[i]))).length;
  const lost = Math.max(0, events.length - rows.length);
  return {
    fault: 'nasty text into PostgreSQL, while sessions are ended',
    injected,
    events: events.length,
    lost,
    repeated: 0,
    wrongCounts,
    discrepancy: 0,
  };
}
