/**
 * The admin surface over HTTP: health, readiness, status, ledger, resuming a writer. Everything is JSON; an error is `{ "error": { "code", "message" } }`.
 *
 * /healthz says that the process answers. /readyz speaks of ingest only: a dead destination never makes a proxy unready.
 */
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { asError, isFondacoError } from '../core/errors.ts';
import { clearSocket, listenError, type ListenAddress } from './address.ts';

export interface HttpSurfaceOptions {
  readonly address: ListenAddress;
  /** Whether ingest works. */
  readonly isReady: () => boolean;
  readonly status: () => Promise<object>;
  readonly ledger: () => Promise<object>;
  /** Resumes a writer; false if there is none of that name. */
  readonly resume: (writer: string) => Promise<boolean>;
  /** Told of what a request ran into that is not the request's fault. */
  readonly onProblem: (problem: Error) => void;
}

const BODY_BYTES_MAX = 64 * 1024;
const REQUEST_MS = 30_000;

/** Listens while it is open. */
export class HttpSurface {
  readonly address: ListenAddress;
  readonly #app: FastifyInstance;

  /** Resolves when it listens. Rejects UNAVAILABLE (the address is in use) or CONFIG. */
  static async open(options: HttpSurfaceOptions): Promise<HttpSurface> {
    const { address } = options;
    await clearSocket(address);
    const app = buildApp(options);
    try {
      await app.listen('path' in address ? { path: address.path } : { host: address.host, port: address.port });
    } catch (error) {
      await app.close();
      throw listenError(address, error);
    }
    const bound = app.server.address();
    return new HttpSurface(
      app,
      'path' in address || bound === null || typeof bound === 'string' ? address : { ...address, port: bound.port },
    );
  }

  private constructor(app: FastifyInstance, address: ListenAddress) {
    this.#app = app;
    this.address = address;
  }

  /** Ends its connections. May be called more than once. */
  async close(): Promise<void> {
    await this.#app.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function buildApp({ isReady, status, ledger, resume, onProblem }: HttpSurfaceOptions): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true, bodyLimit: BODY_BYTES_MAX, requestTimeout: REQUEST_MS });
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    if (isReady()) return { status: 'ready' };
    return sendError(reply, 503, 'UNAVAILABLE', 'the journal takes nothing at the moment');
  });
  app.get('/v1/status', async () => status());
  app.get('/v1/ledger', async () => ledger());
  app.post<{ Params: { name: string } }>('/v1/writers/:name/resume', async (request, reply) => {
    const { name } = request.params;
    if (await resume(name)) return { writer: name, resumed: true };
    return sendError(reply, 404, 'NOT_FOUND', `there is no writer called ${JSON.stringify(name)}`);
  });

  const paths = ['/healthz', '/readyz', '/v1/status', '/v1/ledger'];
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.replace(/[?#].*$/s, '');
    const shown = `${request.method} ${path.length > 200 ? `${path.slice(0, 200)}…` : path}`;
    if (!paths.includes(path)) return sendError(reply, 404, 'NOT_FOUND', `${shown} is none of ${paths.join(', ')}`);
    return sendError(reply.header('allow', 'GET, HEAD'), 405, 'METHOD_NOT_ALLOWED', `${shown}: this path takes GET`);
  });
  app.setErrorHandler((thrown, _request, reply) => {
    const error = asError(thrown);
    if (isFondacoError(error, 'UNAVAILABLE')) return sendError(reply, 503, error.code, error.text);
    const statusCode = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
    if (statusCode < 500) return sendError(reply, statusCode, 'BAD_REQUEST', error.message);
    onProblem(error);
    return sendError(reply, 500, isFondacoError(error) ? error.code : 'INTERNAL', error.message);
  });
  return app;
}

function sendError(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  return reply.code(status).send({ error: { code, message } });
}
