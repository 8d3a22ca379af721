/** Who may ask the HTTP listener. */
import type { ServerOptions } from 'node:https';
import type { FastifyInstance } from 'fastify';
import type { Gate } from '../gate.ts';
import type { ListenTls } from '../listen-tls.ts';
import { HttpError } from './http-error.ts';

/** Whoever asks whether a proxy lives need not know its token. */
const OPEN = new Set(['/healthz', '/readyz']);

/** Who connects and then says nothing is let go after this, ms. */
const HANDSHAKE_MS = 10_000;

/** What `fastify({ https })` takes: TLS with these files, asking for client certificates if there is a CA for them; null for plain HTTP. */
export function httpsOptions(tls: ListenTls | undefined): ServerOptions | null {
  if (!tls) return null;
  const { cert, key, clientCa } = tls;
  return { cert, key, handshakeTimeout: HANDSHAKE_MS, ...(clientCa && { ca: clientCa, requestCert: true, rejectUnauthorized: true }) };
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
