/** Destinations that keep each event once, and can be asked for what they have: Redis, PostgreSQL, SQLite, another proxy. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { LANES, type Lane } from '../../../core/lane.ts';
import { openSqlite } from '../../../writers/sql/node-sqlite.ts';
import { pause } from '../../support/pause.ts';
import { PASSWORD, type PostgresServer } from '../../support/postgres-server.ts';
import { ProxyProcess } from '../../support/processes.ts';
import { RedisServer } from '../../support/redis-server.ts';
import { TcpTap } from '../../support/tcp-tap.ts';
import { arrivedNative, type Arrived } from './arrived.ts';
import { POISON } from './load.ts';
import { TWO_BATCHES, WRITE_MS, type Place } from './place.ts';

const ONCE = { rule: 'once', inFlight: TWO_BATCHES } as const;
const PAGE = 1000;

export async function openRedis(name: string, folder: string): Promise<Place> {
  const server = await RedisServer.start({ folder: join(folder, 'redis') });
  const tap = await TcpTap.open(server.port);
  return {
    ...ONCE,
    name,
    tap,
    yaml: `kind: redis, address: "${tap.address}", timeout: ${WRITE_MS}ms`,
    restart: async () => {
      await server.stop('SIGKILL');
      await server.start();
    },
    arrived: async () => {
      const entries = await Promise.all(LANES.map(async (lane) => server.entries(`fondaco:{plant-7}:${lane}`)));
      return entries.flat().map(({ fields }) => arrivedNative(fields.event!));
    },
    close: async () => {
      await tap.close();
      await server.stop();
    },
  };
}

/** A table of its own in a server that others use, too. */
export async function openPostgres(name: string, server: PostgresServer): Promise<Place> {
  const tap = await TcpTap.open(server.port);
  const table = `events_${tap.port}`;
  const url = new URL(server.url);
  url.port = String(tap.port);
  return {
    ...ONCE,
    name,
    tap,
    yaml: `kind: sql, url: '${url.href}', password: '${PASSWORD}', table: ${table}, timeout: ${WRITE_MS}ms`,
    restart: async (awayMs = 0) => {
      await server.stop('SIGQUIT');
      await pause(awayMs);
      await server.start();
    },
    refusePoison: async () => void (await server.asAdmin(`ALTER TABLE ${table} ADD CHECK (type <> '${POISON}')`)),
    arrived: async () => {
      const rows = await server.asAdmin<{ payload: string }>(`SELECT payload::text AS payload FROM ${table} ORDER BY id`);
      return rows.map(({ payload }) => arrivedNative(payload));
    },
    close: async () => tap.close(),
  };
}

export async function openSqlitePlace(name: string, folder: string): Promise<Place> {
  const file = join(folder, 'events.db');
  return {
    ...ONCE,
    name,
    yaml: `kind: sql, path: '${file}'`,
    refusePoison: async () => {
      const database = openSqlite(file);
      database.exec(
        `CREATE TRIGGER no_poison BEFORE INSERT ON events WHEN NEW.type = '${POISON}' BEGIN SELECT RAISE(ABORT, 'poison'); END`,
      );
      database.close();
    },
    arrived: async () => {
      const database = openSqlite(file, { readOnly: true });
      const rows = database.prepare('SELECT payload FROM events ORDER BY id').all();
      database.close();
      return rows.map(({ payload }) => arrivedNative(String(payload)));
    },
    close: async () => undefined,
  };
}

/** The proxy of the next level up; what it has is read from its journal. */
export async function openUpper(name: string, folder: string): Promise<Place> {
  const home = join(folder, 'upper');
  mkdirSync(home);
  const proxy = await ProxyProcess.prepare(home, 'heartbeat: 0s\ndedup: { interval: 0s }\nwriters: []', 'region');
  await proxy.start();
  const tap = await TcpTap.open(proxy.grpcPort);
  return {
    ...ONCE,
    name,
    tap,
    yaml: `kind: upstream, address: "${tap.address}", timeout: ${WRITE_MS}ms`,
    restart: async () => {
      await proxy.kill();
      await proxy.start();
    },
    arrived: async () => stored(proxy),
    close: async () => {
      await tap.close();
      await proxy.kill();
    },
  };
}

interface Stored {
  readonly id: string;
  readonly type: string;
  readonly message: string;
  readonly added: number;
  readonly lane: Lane;
  readonly position: number;
  readonly kind: string;
}

async function stored(proxy: ProxyProcess): Promise<Arrived[]> {
  const all: Stored[] = [];
  let before = '';
  do {
    const page = (await (await fetch(`${proxy.api}/v1/events?limit=${PAGE}${before}`)).json()) as { events: Stored[]; next?: string };
    all.push(...page.events);
    before = page.next === undefined ? '' : `&before=${page.next}`;
  } while (before !== '');
  const forwarded = all.filter(({ kind }) => kind === 'accepted').sort((a, b) => a.position - b.position);
  return forwarded.map(({ id, type, message, added, lane, position }) => ({ id, type, message, added, lane, text: `${lane} ${position}` }));
}
