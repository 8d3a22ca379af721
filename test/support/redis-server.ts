/** Real Redis servers, Debian's, each in its own folder; and a client to look at them with. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { Redis, type RedisOptions } from 'ioredis';
import { freePorts } from '../../demo/free-ports.ts';
import { until } from './until.ts';

/** A busy machine may take so long to start one. */
const START_MS = 60_000;

/** Why Redis cannot be run here; undefined if it can. */
export function missingRedis(): string | undefined {
  const { status } = spawnSync('redis-server', ['--version']);
  return status === 0 ? undefined : 'needs redis-server (npm test installs it as root on Debian)';
}

/** An entry as a reader gets it. */
export interface StreamEntry {
  readonly entry: string;
  readonly fields: Readonly<Record<string, string>>;
}

export interface RedisOptionsOfTest {
  /** Its own; made where it is not there. */
  readonly folder: string;
  /** As on its command line; what it keeps is in an append-only file, synced always, unless told. */
  readonly args?: readonly string[];
  /** What our own client needs beside the address. */
  readonly client?: Omit<RedisOptions, 'replyMapping'>;
}

export class RedisServer {
  readonly port: number;
  readonly #options: RedisOptionsOfTest;
  #process: ChildProcess | undefined;
  #client: Redis | undefined;
  #said = '';

  /** The port is its own for ever; nothing listens yet. */
  static async reserve(options: RedisOptionsOfTest): Promise<RedisServer> {
    mkdirSync(options.folder, { recursive: true });
    const [port] = await freePorts(1, Math.random);
    return new RedisServer(port!, options);
  }

  static async start(options: RedisOptionsOfTest): Promise<RedisServer> {
    const server = await RedisServer.reserve(options);
    await server.start();
    return server;
  }

  /** A sentinel with its config. */
  static async sentinel({ folder, conf }: { folder: string; conf: string }): Promise<RedisServer> {
    const server = await RedisServer.reserve({ folder });
    await server.#run([conf, '--sentinel', '--port', String(server.port), '--bind', '127.0.0.1'], false);
    return server;
  }

  private constructor(port: number, options: RedisOptionsOfTest) {
    this.port = port;
    this.#options = options;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Its own client, which waits for it. */
  get redis(): Redis {
    this.#client ??= this.#connect();
    return this.#client;
  }

  /** Resolves when it answers; with `isLoading`, when it listens. */
  async start({ isLoading = false, args = [] }: { isLoading?: boolean; args?: readonly string[] } = {}): Promise<void> {
    const usual = ['--bind', '127.0.0.1', '--dir', this.#options.folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
    const more = ['--enable-debug-command', 'yes', ...(this.#options.args ?? []), ...args];
    await this.#run(['--port', String(this.port), ...usual, ...more], isLoading);
  }

  async #run(args: readonly string[], isLoading: boolean): Promise<void> {
    const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    this.#said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (this.#said += String(text)));
    await until(
      'redis-server answers',
      async () => {
        if (child.exitCode !== null) throw new Error(`redis-server ended: ${this.#said}`);
        const probe = this.#connect({ retryStrategy: () => null, enableReadyCheck: false, lazyConnect: true });
        try {
          await probe.connect();
          return (await probe.ping()) === 'PONG';
        } catch (error) {
          return isLoading && String(error).includes('LOADING');
        } finally {
          probe.disconnect();
        }
      },
      START_MS,
    );
  }

  /** By SIGTERM, as an operator does, or by SIGKILL. Resolves when it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    this.#client?.disconnect();
    this.#client = undefined;
    const child = this.#process;
    this.#process = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  /** Freezes the process, as a machine that hangs does; its sockets stay. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  /** All entries of a stream. */
  async entries(stream: string): Promise<StreamEntry[]> {
    return (await this.redis.xrange(stream, '-', '+')).map(([entry, list]) => ({ entry, fields: fieldsOf(list) }));
  }

  /** The ids of the events in a stream. */
  async ids(stream: string): Promise<string[]> {
    return (await this.entries(stream)).map(({ fields }) => fields.id ?? '');
  }

  #connect(more: Omit<RedisOptions, 'replyMapping'> = {}): Redis {
    const patient = { retryStrategy: () => 20, maxRetriesPerRequest: null };
    const client = new Redis({ port: this.port, host: '127.0.0.1', protocol: 2, ...patient, ...this.#options.client, ...more });
    client.on('error', () => undefined);
    return client;
  }
}

export function fieldsOf(list: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let i = 0; i + 1 < list.length; i += 2) fields[list[i]!] = list[i + 1]!;
  return fields;
}
