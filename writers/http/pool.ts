/** The connections to one subscriber. */
import { buildConnector, Pool, type Dispatcher } from 'undici';
import { asError } from '../../core/errors.ts';
import { isCutOff } from '../network-errors.ts';
import type { Stop } from '../stop.ts';
import { loadTls } from '../tls-files.ts';
import type { HttpSettings } from './settings.ts';

const LANES = 2;
const CONNECT_MS = 10_000;
/** A connection that idles is closed by us, before common servers do it (Node and Apache: 5 s), unless they say that they keep it longer. */
const IDLE_MS = 4000;
const IDLE_MS_MAX = 60_000;

/** What is posted. */
export interface Message {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

export class ConnectionPool {
  readonly #pool: Pool;
  readonly #path: string;
  readonly #connections: number;
  /** Connections begun. */
  #connects = 0;
  /** What a connection could not be made for. */
  readonly #unreached = new WeakSet<Error>();
  #isClosed = false;

  /** Opens no connection. Relative paths of TLS files are below `directory`. */
  constructor(settings: HttpSettings, directory: string) {
    const url = new URL(settings.url);
    this.#path = url.pathname + url.search;
    this.#connections = LANES * settings.concurrency + 1; // and one for a replay
    const connect = connector(settings, directory);
    this.#pool = new Pool(url.origin, {
      connections: this.#connections,
      pipelining: 1,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS_MAX,
      // Deadlines are the request's, in Stop.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (options, callback) => {
        this.#connects++;
        connect(options, (...result) => {
          if (result[0]) this.#unreached.add(result[0]);
          callback(...result);
        });
      },
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** True for an error that kept a connection from being made. */
  hasNotReached(error: unknown): boolean {
    return error instanceof Error && this.#unreached.has(error);
  }

  /**
   * A connection that was used before may be closed by the other side at the very moment of the next request: that is no outage, so the
   * request goes out again at once, on the next connection, until one is new.
   */
  async post({ headers, body }: Message, stop: Stop): Promise<Dispatcher.ResponseData> {
    const before = this.#connects;
    for (let tries = 0; ; tries++) {
      try {
        return await this.#pool.request({ method: 'POST', path: this.#path, headers, body, signal: stop.signal });
      } catch (error) {
        const wasUsedBefore = this.#connects === before && isCutOff(error);
        if (!wasUsedBefore || stop.why !== undefined || this.#isClosed || tries === this.#connections) throw error;
      }
    }
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pool.destroy();
  }
}

/** With TLS settings the files are read for each connection. */
function connector({ tls, timeout, connectTimeout }: HttpSettings, directory: string): buildConnector.connector {
  const limit = { timeout: connectTimeout ?? Math.min(CONNECT_MS, timeout) };
  if (!tls) return buildConnector(limit);
  return (options, callback) => {
    loadTls(tls, directory).then(
      (files) => buildConnector({ ...limit, ...files })(options, callback),
      (error: unknown) => callback(asError(error), null),
    );
  };
}
