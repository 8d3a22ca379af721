/**
 * A real PostgreSQL, Debian's (scripts/setup.mjs installs it), with its data in a folder of its own. It runs as its own user where we are root,
 * which it refuses to be.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePorts } from '../../demo/free-ports.ts';
import type { Issued } from './certificates.ts';
import { tempDirectory } from './temp-directory.ts';
import { until } from './until.ts';

const HOME = '/usr/lib/postgresql';
const START_MS = 60_000;

export const PASSWORD = 'fóndaco "secret"';

export interface PostgresOptions {
  /** For TLS: the user `secured` has to come over it, with a certificate of the same CA. */
  readonly certificates?: { readonly ca: string; readonly server: Issued };
}

/** Why it cannot be run here; undefined if it can. */
export function missingPostgres(): string | undefined {
  if (binaries() === undefined) return 'needs postgresql (npm test installs it as root on Debian)';
  return process.getuid?.() === 0 && identity() === undefined ? 'needs the user postgres, as who PostgreSQL runs' : undefined;
}

export class PostgresServer {
  readonly port: number;
  readonly #folder: string;
  readonly #remove: () => Promise<void>;
  #process: ChildProcess | undefined;
  #said = '';

  /** A new database server with the user `fondaco` and its database `events`; resolves when it answers. */
  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    const [port = 0] = await freePorts(1, Math.random);
    // Not within another folder of the tests: its user must be able to get there.
    const folder = await tempDirectory();
    const server = new PostgresServer(folder, port);
    await server.#make(options);
    await server.start();
    await server.asAdmin(`CREATE ROLE fondaco LOGIN PASSWORD '${PASSWORD}'`);
    if (options.certificates) await server.asAdmin(`CREATE ROLE secured LOGIN SUPERUSER PASSWORD '${PASSWORD}'`);
    await server.asAdmin(`CREATE DATABASE events OWNER fondaco TEMPLATE template0 ENCODING 'UTF8'`);
    return server;
  }

  private constructor(folder: { readonly path: string; readonly remove: () => Promise<void> }, port: number) {
    this.#folder = folder.path;
    this.#remove = folder.remove;
    this.port = port;
  }

  /** Without a password. */
  get url(): string {
    return `postgres://fondaco@127.0.0.1:${this.port}/events`;
  }

  get #data(): string {
    return join(this.#folder, 'pgdata');
  }

  /** A directory: where the socket is, through which the tests themselves come in, as anybody. */
  get socket(): string {
    return this.#folder;
  }

  /** Makes a folder the server's, for a tablespace. */
  own(folder: string): void {
    const as = identity();
    if (as) chownSync(folder, as.uid, as.gid);
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const child = spawn(join(binaries()!, 'postgres'), ['-D', this.#data], { stdio: ['ignore', 'pipe', 'pipe'], ...identity() });
    this.#process = child;
    const hear = (text: Buffer): void => void (this.#said += String(text));
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const answers = async (): Promise<boolean> => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`postgres ended: ${this.#said}`);
      return this.asAdmin('SELECT 1', 'postgres').then(
        () => true,
        () => false,
      );
    };
    await until('postgres answers', answers, START_MS);
  }

  /** SIGINT: sessions are ended, as an operator does; SIGQUIT: at once, recovery follows. Resolves when it is gone, with its children. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' = 'SIGINT'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGCONT');
    child.kill(signal);
    await gone;
  }

  /** For good. */
  async end(): Promise<void> {
    await this.stop('SIGQUIT');
    await this.#remove();
  }

  /** The server and its sessions stand still, or go on. */
  freeze(isFrozen: boolean): void {
    const pid = this.#process!.pid!;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
    for (const each of [pid, ...children]) process.kill(each, isFrozen ? 'SIGSTOP' : 'SIGCONT');
  }

  /** Rows of a query of the superuser, in the database `events` unless told. */
  async asAdmin<T = Record<string, unknown>>(sql: string, database = sql.startsWith('CREATE ') ? 'postgres' : 'events'): Promise<T[]> {
    const client = new pg.Client({ host: this.socket, port: this.port, user: 'postgres', database, ssl: false });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query(sql)).rows as T[];
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async #make({ certificates }: PostgresOptions): Promise<void> {
    const as = identity();
    if (as) chownSync(this.#folder, as.uid, as.gid);
    const args = [
      '-D',
      this.#data,
      '-U',
      'postgres',
      '--auth=scram-sha-256',
      '--auth-local=trust',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ];
    await promisify(execFile)(join(binaries()!, 'initdb'), args, { ...as, cwd: this.#folder });
    const settings = [
      `port = ${this.port}`,
      "listen_addresses = '127.0.0.1'",
      `unix_socket_directories = '${this.socket}'`,
      'shared_buffers = 16MB',
      'max_connections = 40',
      'dynamic_shared_memory_type = mmap',
    ];
    const rules = ['local all all trust', 'host all all 127.0.0.1/32 scram-sha-256'];
    if (certificates) {
      const file = (name: string, from: string): string => {
        const path = join(this.#folder, name);
        copyFileSync(from, path);
        chmodSync(path, 0o600);
        if (as) chownSync(path, as.uid, as.gid);
        return path;
      };
      settings.push('ssl = on', `ssl_ca_file = '${file('ca.pem', certificates.ca)}'`);
      settings.push(`ssl_cert_file = '${file('server.pem', certificates.server.cert)}'`);
      settings.push(`ssl_key_file = '${file('server.key', certificates.server.key)}'`);
      rules.splice(1, 0, 'hostssl all secured 127.0.0.1/32 scram-sha-256 clientcert=verify-ca', 'host all secured 127.0.0.1/32 reject');
    }
    writeFileSync(join(this.#data, 'postgresql.auto.conf'), `${settings.join('\n')}\n`);
    writeFileSync(join(this.#data, 'pg_hba.conf'), `${rules.join('\n')}\n`);
  }
}

/** Of the newest version that is there. */
function binaries(): string | undefined {
  if (!existsSync(HOME)) return undefined;
  const versions = readdirSync(HOME).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(HOME, version, 'bin')).find((folder) => existsSync(join(folder, 'postgres')));
}

/** As who it has to run; undefined: as who we are. */
function identity(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: 'pipe' }));
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined;
  }
}
