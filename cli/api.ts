import { request, type IncomingMessage } from 'node:http';
import { asError, FondacoError } from '../core/errors.ts';
import { visible } from '../writers/console-line.ts';
import { EXIT, ExitError } from './exit.ts';

export const DEFAULT_API = 'http://127.0.0.1:7071';
const TIMEOUT_MS = 10_000;
/** A stream that says nothing for so long is dead. */
const SILENCE_MS = 45_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** `--api`, then FONDACO_API, then the default. */
export function apiAddress(option: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  const given = option ?? env.FONDACO_API;
  return given === undefined || given === '' ? DEFAULT_API : given;
}

/** An answer of a proxy that is an error. */
export class AnswerError extends ExitError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(exitCodeOf(status), message);
    this.status = status;
  }
}

export interface Ask {
  readonly method?: 'GET' | 'POST';
  /** Sent as JSON. */
  readonly body?: object;
}

/**
 * Asks a proxy at `api`, an http:// URL or `unix:/path`, and returns its JSON. Waits at most 10 s. Rejects CONFIG for an address that is none,
 * UNAVAILABLE where no proxy answers, with an AnswerError where it has not got what was asked for or will not do it.
 */
export async function askProxy<T>(api: string, path: string, { method = 'GET', body }: Ask = {}): Promise<T> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const answer = await send(api, path, { method, signal, ...(body && { body: JSON.stringify(body) }) });
  const text = await readBody(answer).catch((error: unknown) => {
    throw unreachable(api, error);
  });
  return parseAnswer(api, path, answer.statusCode ?? 0, text) as T;
}

/**
 * Opens a stream that goes on until `signal` is aborted, the proxy ends it, or nothing came for 45 s (the proxy says something every 15 s);
 * then reading it rejects. Rejects like `askProxy`.
 */
export async function openStream(
  api: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const opening = new AbortController();
  const limit = setTimeout(() => opening.abort(new DOMException('', 'TimeoutError')), TIMEOUT_MS);
  try {
    const answer = await send(api, path, { method: 'GET', headers, signal: AbortSignal.any([signal, opening.signal]) });
    const status = answer.statusCode ?? 0;
    if (status !== 200) parseAnswer(api, path, status, await readBody(answer));
    answer.socket.setTimeout(SILENCE_MS, () => answer.destroy(new Error(`nothing came for ${SILENCE_MS / 1000} s`)));
    return answer;
  } finally {
    clearTimeout(limit);
  }
}

interface Sent {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** Resolves with the head of the answer. */
async function send(api: string, path: string, { method, headers, body, signal }: Sent): Promise<IncomingMessage> {
  const target = targetOf(api, path);
  const given = { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  try {
    return await new Promise<IncomingMessage>((resolve, reject) => {
      request({ ...target, method, headers: given, agent: false, signal }, resolve)
        .once('error', reject)
        .end(body);
    });
  } catch (error) {
    throw unreachable(api, error);
  }
}

function unreachable(api: string, cause: unknown): FondacoError {
  return new FondacoError(
    'UNAVAILABLE',
    `no proxy answers at ${api}: ${reason(cause)}\nIs it running (fondaco proxy)? --api URL or FONDACO_API says where.`,
    { cause },
  );
}

function targetOf(api: string, path: string): { socketPath: string; path: string } | { hostname: string; port: string; path: string } {
  if (api.startsWith('unix:/')) return { socketPath: api.slice('unix:'.length), path };
  const url = URL.canParse(api) ? new URL(api) : undefined;
  if (url?.protocol !== 'http:') throw new FondacoError('CONFIG', `--api must be an http:// URL or unix:/path, got ${JSON.stringify(api)}`);
  return { hostname: url.hostname.replace(/^\[|\]$/g, ''), port: url.port, path: url.pathname.replace(/\/$/, '') + path };
}

async function readBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer must be at most ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer(api: string, path: string, status: number, body: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw new FondacoError('UNAVAILABLE', `${api}${path} must answer with JSON, got ${status} and something else: is that a proxy?`, {
      cause: error,
    });
  }
  if (status >= 200 && status < 300) return value;
  const { error } = (value ?? {}) as { error?: { message?: unknown } };
  const why = typeof error?.message === 'string' ? visible(error.message) : 'no reason given';
  throw new AnswerError(status, exitCodeOf(status) === EXIT.usage ? why : `${api} answered ${status}: ${why}`);
}

/** What was wrong with the question is the command line's fault. */
function exitCodeOf(status: number): number {
  if (status === 401 || status === 403) return EXIT.noPermission;
  if (status === 507) return EXIT.disk;
  return status >= 400 && status < 500 && status !== 408 && status !== 409 && status !== 429 ? EXIT.usage : EXIT.unavailable;
}

function reason(thrown: unknown): string {
  const error = asError(thrown);
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return `no answer within ${TIMEOUT_MS / 1000} s`;
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND') return 'there is no such host';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'ENOENT') return 'there is no such socket';
  return error.message === '' ? String(code) : error.message;
}
