/** What a writer of kind `sql` may be told. */
import { stat } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { Secrets } from '../secrets.ts';
import { duration, filePath, section, text, wholeNumber, type SettingProblem } from '../settings.ts';
import { tlsFileProblems, tlsProblems, tlsSettings } from '../tls-files.ts';

const DEFAULT_PORT = 5432;
const CONNECT_MS = 10_000;

const timeLimit = (): z.ZodType<number> => duration({ min: '100ms', max: '10m' });

export const sqlSettings = z.strictObject({
  /** A database of PostgreSQL. A directory of sockets is a host with its slashes as %2F. */
  url: text('postgres://user@host:port/database, without a query', (value) => parsePostgresUrl(value) !== undefined).optional(),
  /** … or a file of SQLite, made where there is none; its directory must be there. */
  path: filePath('a file of SQLite').optional(),
  /** Of the user in `url`, where it does not stand there. */
  password: text('a password on one line', (value) => value !== '' && !/\p{Cc}/u.test(value)).optional(),
  /** Made at the first write. In PostgreSQL also with its schema: `audit.events`. */
  table: text('a name of a-z, 0-9 and _, 40 characters at most, with its schema before it or not', (value) => TABLE.test(value)).default(
    'events',
  ),
  /** What is beyond it is deleted, whoever wrote it. Without it nothing is. */
  retention: section({
    /** By `collector_timestamp`. */
    age: duration({ min: '1m', max: '36500d' }).optional(),
    /** So many of the newest rows are kept. */
    rowsMax: wholeNumber({ min: 1, max: 1_000_000_000_000 }).optional(),
  }).optional(),
  tls: tlsSettings.optional(),
  /** For the transaction of a batch, the connection included; also how long the database works on one statement. */
  timeout: timeLimit().default(30_000),
  /** For the connection, TLS and password included; at most `timeout`. */
  connectTimeout: timeLimit().optional(),
});

export type SqlSettings = z.output<typeof sqlSettings>;

const TABLE = /^(?:[a-z_][a-z0-9_]{0,39}\.)?[a-z_][a-z0-9_]{0,39}$/;

/** Where a PostgreSQL listens, and who we are there. */
export interface PostgresPlace {
  /** A name, an address, or the directory of a socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
}

/** What is wrong with settings that are right one by one, and with what has to be there to run them. */
export async function sqlProblems(settings: SqlSettings): Promise<SettingProblem[]> {
  const { url, path, table, password, retention, tls, timeout, connectTimeout = 0 } = settings;
  if ((url === undefined) === (path === undefined)) return [{ key: [], message: 'must have one of url (PostgreSQL) and path (SQLite)' }];
  const problems: SettingProblem[] = [];
  if (path !== undefined) {
    for (const key of ['password', 'tls', 'connectTimeout'] as const) {
      if (settings[key] !== undefined) problems.push({ key: [key], message: 'must stand beside url only' });
    }
    if (table.includes('.')) problems.push({ key: ['table'], message: 'must have a schema beside url only' });
    if (table.startsWith('sqlite_'))
      problems.push({ key: ['table'], message: 'must not begin with sqlite_, which SQLite keeps for itself' });
  }
  if (url !== undefined && password !== undefined && parsePostgresUrl(url)?.password !== undefined)
    problems.push({ key: ['password'], message: 'must not stand beside a password in url' });
  if (retention && retention.age === undefined && retention.rowsMax === undefined)
    problems.push({ key: ['retention'], message: 'must have age, rowsMax or both' });
  if (tls) problems.push(...tlsProblems(tls).map(({ key, message }) => ({ key: ['tls', ...key], message })));
  if (connectTimeout > timeout) problems.push({ key: ['connectTimeout'], message: 'must be at most timeout' });
  const missing = await missingDriver(settings);
  return missing === undefined ? problems : [...problems, { key: [url === undefined ? 'path' : 'url'], message: missing }];
}

/** What is wrong, at this moment, with the files that they name. */
export async function sqlProbe({ path, tls }: SqlSettings, directory: string): Promise<SettingProblem[]> {
  const problems = tls ? await tlsFileProblems(tls, directory) : [];
  if (path !== undefined) {
    const folder = dirname(resolve(directory, path));
    const isThere = (await stat(folder).catch(() => undefined))?.isDirectory() === true;
    if (!isThere) return [{ key: ['path'], message: `must be in a directory that is there, ${folder} is none` }];
  }
  return problems.map(({ key, message }) => ({ key: ['tls', ...key], message }));
}

/** What of this machine's Node or packages is missing for the database, as the end of a sentence. */
async function missingDriver({ url }: SqlSettings): Promise<string | undefined> {
  if (url === undefined) return missingSqlite();
  try {
    await import('pg');
    return undefined;
  } catch {
    return 'must have the package pg installed beside fondaco: npm install pg';
  }
}

/** Why SQLite cannot be used here. */
export function missingSqlite(): string | undefined {
  if (isBuiltin('node:sqlite')) return undefined;
  return `must run on a Node with node:sqlite, 22.13 or newer, got ${process.versions.node}; PostgreSQL (url) needs none`;
}

export function postgresPlace({ url, password }: SqlSettings): PostgresPlace {
  const place = parsePostgresUrl(url!)!;
  return { ...place, password: place.password ?? password };
}

/** How long a connection may take. */
export function connectMs({ timeout, connectTimeout = Math.min(CONNECT_MS, timeout) }: SqlSettings): number {
  return connectTimeout;
}

/** What of the settings is not to be shown. */
export function secretsOf({ url, password }: SqlSettings): Secrets {
  const texts = [password, url === undefined ? undefined : parsePostgresUrl(url)?.password];
  return new Secrets(texts.filter((secret) => secret !== undefined));
}

/** `postgres://user[:password]@host[:port]/database`, each part percent-encoded where it has to be; undefined for anything else. */
export function parsePostgresUrl(value: string): PostgresPlace | undefined {
  if (!/^postgres(ql)?:\/\//.test(value) || !URL.canParse(value)) return undefined;
  const url = new URL(value);
  const { hostname, port, username, password, pathname, search, hash } = url;
  try {
    const [user, secret, host, database] = [username, password, hostname, pathname.slice(1)].map(decodeURIComponent) as [
      string,
      string,
      string,
      string,
    ];
    const isWhole = user !== '' && host !== '' && database !== '' && !database.includes('/') && search === '' && hash === '';
    if (!isWhole || (user + secret + host + database).includes('\0')) return undefined;
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    return { host: bare, port: port === '' ? DEFAULT_PORT : Number(port), user, password: secret === '' ? undefined : secret, database };
  } catch {
    return undefined;
  }
}
