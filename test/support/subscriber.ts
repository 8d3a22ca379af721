import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/** One request that a subscriber saw. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** What it was answered; 0 where it was not. */
  status: number;
}

/** What to answer. `hang`: nothing, until it is closed. `cut`: break the connection. */
export type Answer = Reply | 'hang' | 'cut';

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** How long it takes to answer, ms. */
  readonly delayMs?: number;
  /** It does not arrive: the connection breaks. */
  readonly isLost?: true;
}

/** A real HTTP server that a test scripts. It keeps every request; `answer` decides on each, 200 unless told. */
export class Subscriber {
  readonly requests: SeenRequest[] = [];
  answer: (request: SeenRequest) => Answer = () => ({ status: 200 });
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  readonly #scheme: 'http' | 'https';
  connections = 0;

  /** Listens on a free port, or on `port`; with TLS where there are options for it. */
  static async open(port = 0, tls?: ServerOptions, host = '127.0.0.1'): Promise<Subscriber> {
    const subscriber = new Subscriber(tls);
    await new Promise<void>((resolve, reject) => {
      subscriber.#server.once('error', reject).listen(port, host, resolve);
    });
    return subscriber;
  }

  private constructor(tls?: ServerOptions) {
    this.#scheme = tls ? 'https' : 'http';
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('error', () => {}); // a client that goes away in the middle is part of the tests
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const seen: SeenRequest = { method, url, headers, body: Buffer.concat(chunks), status: 0 };
        this.requests.push(seen);
        const answer = this.answer(seen);
        if (answer === 'cut') request.socket.destroy();
        else if (answer !== 'hang') {
          seen.status = answer.status;
          const reply = (): void => void response.writeHead(answer.status, answer.headers).end(answer.body ?? '');
          if (answer.isLost) request.socket.destroy();
          else if (answer.delayMs === undefined) reply();
          else setTimeout(reply, answer.delayMs);
        }
        for (const wake of this.#waiting) wake();
      });
    };
    this.#server = tls ? createTlsServer(tls, listener) : createServer(listener);
    this.#server.on('tlsClientError', () => {}); // as with a client that goes away
    this.#server.on('connection', (socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}/events`;
  }

  /** Bodies that were answered with 2xx. */
  get taken(): Buffer[] {
    return this.requests.filter(({ status }) => status >= 200 && status <= 299).map(({ body }) => body);
  }

  /** Resolves when `isDone`, looked at after each request; rejects after `limitMs`. */
  async until(isDone: (subscriber: this) => boolean, limitMs = 4000): Promise<void> {
    if (isDone(this)) return;
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        clearTimeout(limit);
        this.#waiting.delete(look);
      };
      const look = (): void => {
        if (!isDone(this)) return;
        end();
        resolve();
      };
      const limit = setTimeout(() => {
        end();
        reject(new Error(`not within ${limitMs} ms: ${isDone.toString()}; ${this.requests.length} requests`));
      }, limitMs);
      this.#waiting.add(look);
    });
  }

  /** Breaks every connection and stops listening. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
