import { request, type IncomingMessage } from 'node:http';
import { asError, FondacoError } from '../core/errors.ts';

export const DEFAULT_API = 'http://127.0.0.1:7071';
const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** `--api`, then FONDACO_API, then the default. */
export function apiAddress(option: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  const given = option ?? env.FONDACO_API;
  return given === undefined || given === '' ? DEFAULT_API : given;
}

/**
 * GETs (or POSTs for) JSON of a proxy at `api`, an http:// URL or `unix:/path`. Rejects CONFIG for an address that is none, UNAVAILABLE where no proxy
 * answers or it has not got what was asked for.
 */
export async function askProxy<T>(api: string, path: string, method: 'GET' | 'POST' = 'GET'): Promise<T> {
  const target = targetOf(api, path);
  let answer: IncomingMessage;
  let body: string;
  try {
    answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ ...target, method, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) }, resolve)
        .once('error', reject)
        .end();
    });
    body = await readBody(answer);
  } catch (error) {
    throw new FondacoError(
      'UNAVAILABLE',
      `no proxy answers at ${api}: ${reason(error)}\nIs it running (fondaco proxy)? --api URL or FONDACO_API says where.`,
      {
        cause: error,
      },
    );
  }
  return parseAnswer(api, path, answer.statusCode ?? 0, body) as T;
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
  if (status === 200) return value;
  const { error } = value as { error?: { message?: string } };
  throw new FondacoError('UNAVAILABLE', `${api}${path} answered ${status}: ${error?.message ?? 'no reason given'}`);
}

function reason(thrown: unknown): string {
  const error = asError(thrown);
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return `no answer within ${TIMEOUT_MS / 1000} s`;
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND') return 'there is no such host';
  if (code === 'ENOENT') return 'there is no such socket';
  return error.message === '' ? String(code) : error.message;
}
