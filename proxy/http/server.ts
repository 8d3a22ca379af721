/**
 * The one admin surface, over HTTP. What it answers is in the files beside this one: `<noun>-routes.ts` exports a function that takes what
 * its routes need and gives `Routes`; proxy/proxy.ts puts them together. Everything is JSON (the event stream apart); an error is
 * `{ "error": { "code", "message", "field"? } }`, made by the one error handler here from what a route throws.
 *
 * What holds for all routes is a hook in `buildApp`, before the routes: so it holds for unknown paths, too.
 */
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { clearSocket, isLocal, listenError, type ListenAddress } from '../address.ts';
import type { Gate } from '../token-gate.ts';
import type { ListenTls } from '../listen-tls.ts';
import { boundListener, type ListenerLimits } from '../listener-limits.ts';
import { addGate, addOriginCheck, httpsOptions } from './access.ts';
import type { HttpError } from './http-error.ts';
import { httpErrorOf, NAME_CHARS_MAX } from './http-error.ts';
import { addJsonBodies } from './json-body.ts';
import { KnownPaths } from './known-paths.ts';
import { addProtocol, answerClientError, HOST_IS_OURS, serversOf } from './protocol.ts';

/** Adds routes to the surface. */
export type Routes = (app: FastifyInstance) => void;

export interface HttpSurfaceOptions extends ListenerLimits {
  readonly address: ListenAddress;
  readonly tls?: ListenTls | undefined;
  /** Asked for every request but those of health. */
  readonly gate?: Gate | undefined;
  readonly routes: readonly Routes[];
  /** Told of what a request ran into that is not the request's fault. */
  readonly onProblem: (problem: Error) => void;
}

/** Of a request's body, where its route names no other limit. */
const BODY_BYTES_MAX = 64 * 1024;
/** Beside `https`, where fastify's types do not expect it. */
const PLAIN: object = { http: HOST_IS_OURS };
/** From a request's first byte to its last. */
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
    boundListener(serversOf(app), options);
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

function buildApp({ address, tls, gate, routes, onProblem }: HttpSurfaceOptions): FastifyInstance {
  const answer = (thrown: unknown, reply: FastifyReply, request?: FastifyRequest): FastifyReply => {
    const error = httpErrorOf(thrown, request);
    if (error.status === 500) onProblem(error.cause instanceof Error ? error.cause : error);
    return sendError(reply, error);
  };
  const app = fastify({
    https: httpsOptions(tls),
    ...PLAIN, // where there is no TLS
    logger: false,
    forceCloseConnections: true,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS,
    // A parameter is some name or id; the router answers longer ones with 414 or 404 of its own otherwise.
    routerOptions: { maxParamLength: NAME_CHARS_MAX },
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, _request, reply) => void answer(error, reply as unknown as FastifyReply),
  });
  const paths = new KnownPaths();
  app.addHook('onRoute', ({ method, url }) => paths.add(url, [method].flat()));
  addProtocol(app);
  addJsonBodies(app);
  addOriginCheck(app, isLocal(address) && gate?.wantsToken !== true);
  if (gate) addGate(app, gate);
  app.setErrorHandler((thrown, request, reply) => answer(thrown, reply, request));
  app.setNotFoundHandler((request, reply) => {
    const { error, allow } = paths.notFound(request.method, request.url);
    if (allow !== undefined) reply.header('allow', allow);
    return sendError(reply, error);
  });
  for (const add of routes) add(app);
  return app;
}

function sendError(reply: FastifyReply, error: HttpError): FastifyReply {
  const { retryAfterMs } = error.facts;
  if (retryAfterMs !== undefined) reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1000)));
  // The framework would close at once where a body is too large, before its sender has read why: see protocol.ts.
  return reply.removeHeader('connection').code(error.status).send(error.body);
}
