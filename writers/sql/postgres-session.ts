/** One connection to a PostgreSQL. A session that failed is ended, never mended: what it was in the middle of is rolled back by its end. */
import { Socket } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { FondacoError } from '../../core/errors.ts';
import { loadTls, type TlsSettings } from '../tls-files.ts';
import type { PostgresPlace } from './settings.ts';

export interface SessionTarget extends PostgresPlace {
  readonly tls: TlsSettings | undefined;
  readonly directory: string;
  readonly connectMs: number;
}

export type SqlValue = string | number | null | readonly (string | number | null)[];

/** As pg gives it. */
export interface Answer {
  /** The command that was run: of COMMIT, what became of it. */
  readonly command: string;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly rowCount: number | null;
}

/** The part of pg's client that is used, so that our types need none of its. */
interface Client {
  connect(): Promise<unknown>;
  query(text: string, values?: readonly SqlValue[]): Promise<Answer | Answer[]>;
  end(): Promise<void>;
  on(event: 'error' | 'end', listener: () => void): unknown;
}

const KEEP_ALIVE_MS = 30_000;
/** How long a good-bye may take. */
const END_MS = 1000;

export class PostgresSession {
  /** Whether it has done something before. */
  isUsed = false;
  /** Whether the table was looked at. */
  isReady = false;
  #isGone = false;
  readonly #client: Client;
  readonly #socket: Socket;

  /** Rejects with what pg or the network says, REFUSED for TLS files that cannot be used; UNAVAILABLE when `signal` is aborted. */
  static async open(target: SessionTarget, signal: AbortSignal): Promise<PostgresSession> {
    const { host, port, user, password, database, connectMs } = target;
    const { default: pg } = await import('pg');
    const ssl = await sslOptions(target);
    const socket = new Socket();
    const client = new pg.Client({
      host,
      port,
      user,
      database,
      // As a function: given nothing, pg would look for a password elsewhere.
      password: () => password ?? '',
      ssl,
      stream: () => socket,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      connectionTimeoutMillis: connectMs,
      application_name: 'fondaco',
      client_encoding: 'UTF8',
    }) as unknown as Client;
    const session = new PostgresSession(client, socket);
    try {
      await session.#until(signal, client.connect());
    } catch (error) {
      session.destroy();
      throw error;
    }
    return session;
  }

  private constructor(client: Client, socket: Socket) {
    this.#client = client;
    this.#socket = socket;
    const gone = (): void => void (this.#isGone = true);
    client.on('error', gone);
    client.on('end', gone);
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Without values, several statements may be told at once; the answer is the last one's. When `signal` is aborted the session ends. */
  async query(text: string, values: readonly SqlValue[] | undefined, signal: AbortSignal): Promise<Answer> {
    const answer = await this.#until(signal, this.#client.query(text, values));
    return Array.isArray(answer) ? answer.at(-1)! : answer;
  }

  /** At once, in the middle of whatever it does. */
  destroy(): void {
    this.#isGone = true;
    this.#socket.destroy();
  }

  /** Says good-bye. */
  async end(): Promise<void> {
    if (this.#isGone) return void this.destroy();
    const late = setTimeout(() => this.destroy(), END_MS);
    await this.#client.end().catch(() => undefined);
    clearTimeout(late);
  }

  async #until<T>(signal: AbortSignal, doing: Promise<T>): Promise<T> {
    const stop = (): void => this.destroy();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await doing;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}

/** pg sets the name that it connects to over ours, and an address is no name: so whose certificate it must be is said here. */
async function sslOptions({ tls, directory, host }: SessionTarget): Promise<object | false> {
  if (!tls) return false;
  const { servername = host, ...files } = await loadTls(tls, directory);
  return {
    ...files,
    rejectUnauthorized: true,
    checkServerIdentity: (_: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
      checkServerIdentity(servername, certificate),
  };
}

/** What a COMMIT must have become: in a transaction that had failed it is a ROLLBACK, which the server does not call an error. */
export function assertCommitted({ command }: Answer): void {
  if (command !== 'COMMIT') throw new FondacoError('UNAVAILABLE', `the transaction must be committed, it was ended with ${command}`);
}
