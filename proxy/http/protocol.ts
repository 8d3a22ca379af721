/** Requests that are none, or that go on after their answer: what they are answered, in the one form of an error, and how they end. */
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { HttpError } from './http-error.ts';

/** How long what still comes of a request that has its answer is passed over, so that its sender reads the answer, ms. */
const LINGER_MS = 2000;
/** Node's own limit of a request's headers. */
const HEADER_KIB_MAX = 16;

/** Options of the server under fastify: a request without Host gets its answer here, and not an empty one of Node's. */
export const HOST_IS_OURS = { requireHostHeader: false } as const;

/** Every server that fastify listens with: where the host is `localhost`, it makes one for each of its addresses and shows the first. */
export function serversOf(app: FastifyInstance): Server[] {
  const bindings = Object.getOwnPropertySymbols(app).find(({ description }) => description === 'fastify.serverBindings');
  const others = bindings && (app as unknown as Record<symbol, Server[] | undefined>)[bindings];
  return [...new Set<Server>([app.server, ...(others ?? [])])];
}

/** Asks for Host, answers `Expect`, and ends connections on which a request goes on after its answer. */
export function addProtocol(app: FastifyInstance): void {
  app.addHook('onRequest', async ({ raw, headers }) => {
    if (headers.host === undefined && raw.httpVersion === '1.1')
      throw new HttpError(400, 'host must be given, got none', { field: 'host' });
  });
  app.addHook('onResponse', async ({ raw }) => linger(raw));
  app.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const { status, body } = new HttpError(
      417,
      `expect must be 100-continue, got ${JSON.stringify(request.headers.expect?.slice(0, 60))}`,
      {
        field: 'expect',
      },
    );
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body), () => linger(request));
  });
}

/** What Node passes over is bounded in time, not in length; without an end a sender would keep a core busy. */
function linger(request: IncomingMessage): void {
  const { socket } = request;
  if (request.complete || socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
  request.once('end', () => clearTimeout(timer));
}

/** Answers what is no request: bytes that are not HTTP, headers without end, a request that takes too long. */
export function answerClientError(thrown: Error, socket: Socket): void {
  const error = thrown as NodeJS.ErrnoException & { reason?: string };
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const { status, body } = protocolError(error);
  const text = JSON.stringify(body);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json; charset=utf-8\r\nconnection: close\r\n`;
  if (socket.writable) socket.write(`${head}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  socket.destroySoon();
}

function protocolError({ code, reason, message }: NodeJS.ErrnoException & { reason?: string }): HttpError {
  if (code === 'HPE_HEADER_OVERFLOW') return new HttpError(431, `headers must be at most ${HEADER_KIB_MAX} KiB, got more`);
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return new HttpError(413, 'chunk extensions must be at most 16 KiB, got more');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HttpError(408, 'a request must be sent within its time, got only a part of it');
  return new HttpError(400, `a request must be HTTP/1.1, got what is none: ${reason ?? message}`);
}
