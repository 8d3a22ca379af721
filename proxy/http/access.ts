/** Who may ask the HTTP listener. */
import type { ServerOptions } from 'node:https';
import { isIP } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Gate } from '../token-gate.ts';
import type { ListenTls } from '../listen-tls.ts';
import { HttpError } from './http-error.ts';
import { HOST_IS_OURS } from './protocol.ts';

/** Whoever asks whether a proxy lives need not know its token. */
const OPEN = new Set(['/healthz', '/readyz']);

/** Who connects and then says nothing is let go after this, ms. */
const HANDSHAKE_MS = 10_000;

/** What `fastify({ https })` takes: TLS with these files, asking for client certificates if there is a CA for them; null for plain HTTP. */
export function httpsOptions(tls: ListenTls | undefined): ServerOptions | null {
  if (!tls) return null;
  const { cert, key, clientCa } = tls;
  return {
    ...HOST_IS_OURS,
    cert,
    key,
    handshakeTimeout: HANDSHAKE_MS,
    ...(clientCa && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}

/**
 * Answers 403 to what a web page can make a browser send: requests that change something and come from another origin, and, with
 * `isOnlyLocal`, requests to this machine under a name of the network's (DNS rebinding).
 */
export function addOriginCheck(app: FastifyInstance, isOnlyLocal: boolean): void {
  app.addHook('onRequest', async ({ method, headers: { origin, host = '' } }) => {
    const changes = method !== 'GET' && method !== 'HEAD';
    if (changes && origin !== undefined && !origin.endsWith(`//${host}`))
      throw new HttpError(403, `what changes something must not come from another origin, got ${JSON.stringify(origin.slice(0, 200))}`);
    const name = host.replace(/:\d*$/, '');
    if (isOnlyLocal && name.includes('.') && isIP(name) === 0)
      throw new HttpError(403, `the host must be this machine, such as localhost, got ${JSON.stringify(name.slice(0, 200))}`);
  });
}

/** Answers 401 before anything of a request's body is read, unless the gate lets its sender in. */
export function addGate(app: FastifyInstance, gate: Gate): void {
  app.addHook('onRequest', async (request, reply) => {
    if (OPEN.has(request.routeOptions.url ?? '')) return;
    const problem = gate.problem(request.headers.authorization, request.ip);
    if (problem === undefined) return;
    reply.header('www-authenticate', 'Bearer');
    throw new HttpError(401, problem);
  });
}
