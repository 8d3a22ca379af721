import { request as requestPlain, type IncomingMessage, type RequestOptions } from 'node:http';
import { asError, FondacoError } from '../core/errors.ts';
import { visible } from '../writers/console-line.ts';
import { EXIT, ExitError } from './exit.ts';

/** Where a proxy's HTTP listener is, and what it takes to be let in. connection.ts makes one of flags and environment. */
export interface Api {
  /** `http://…`, `https://…` or `unix:/path`. */
  readonly url: string;
  /** PEM. Without `ca` the CAs that Node knows are trusted. */
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  readonly token: string | undefined;
}

const TIMEOUT_MS = 10_000;
/** A stream that says nothing for so long is dead. */
const SILENCE_MS = 45_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** An answer of a proxy that is an error. */
export class AnswerError extends ExitError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(exitCodeOf(status), message);
    this.status = status;
  }
}

/** How a proxy is asked; GET without a body by default. */
export interface Ask {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** Sent as JSON. */
  readonly body?: object;
  /** How long the whole answer may take; 10 s unless told. */
  readonly timeoutMs?: number;
  /** Members that the answer must have: a proxy of another version may have others. */
  readonly needs?: readonly string[];
}

/**
 * Asks a proxy and returns its JSON. Waits at most `timeoutMs`. Rejects UNAVAILABLE where no proxy answers or its certificate is not trusted,
 * with an AnswerError where it has not got what was asked for or will not do it.
 */
export async function askProxy<T>(api: Api, path: string, ask: Ask = {}): Promise<T> {
  const value: unknown = JSON.parse(await askProxyText(api, path, ask));
  const lacking = (ask.needs ?? []).find((name) => (value as Record<string, unknown> | null)?.[name] === undefined);
  if (lacking === undefined) return value as T;
  throw new FondacoError('UNAVAILABLE', `${api.url}${path} must answer with ${lacking}, got none: is that a proxy of this version?`);
}

/** Like `askProxy`, the JSON as it came: what JSON.parse makes of attributes is not always what was recorded. */
export async function askProxyText(api: Api, path: string, { method = 'GET', body, timeoutMs = TIMEOUT_MS }: Ask = {}): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  const answer = await send(api, path, { method, signal, ...(body && { body: JSON.stringify(body) }) });
  const text = await readBody(answer).catch((error: unknown) => {
    throw unreachable(api, error);
  });
  checkAnswer(api, path, answer.statusCode ?? 0, text);
  return text;
}

/**
 * Opens a stream that goes on until `signal` is aborted, the proxy ends it, or nothing came for 45 s (the proxy says something every 15 s);
 * then reading it rejects. Rejects like `askProxy`.
 */
export async function openStream(
  api: Api,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const opening = new AbortController();
  const limit = setTimeout(() => opening.abort(new DOMException('', 'TimeoutError')), TIMEOUT_MS);
  try {
    const answer = await send(api, path, { method: 'GET', headers, signal: AbortSignal.any([signal, opening.signal]) });
    const status = answer.statusCode ?? 0;
    if (status !== 200) checkAnswer(api, path, status, await readBody(answer));
    const type = answer.headers['content-type'] ?? 'nothing';
    if (status !== 200 || !type.startsWith('text/event-stream')) {
      answer.destroy();
      const got = `${status} and ${visible(type)}`;
      throw new FondacoError('UNAVAILABLE', `${api.url}${path} must answer with an event stream, got ${got}: is that a proxy?`);
    }
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
async function send(api: Api, path: string, { method, headers, body, signal }: Sent): Promise<IncomingMessage> {
  const { isTls, ...target } = targetOf(api, path);
  const authorization = api.token === undefined ? {} : { authorization: `Bearer ${api.token}` };
  const given = { ...authorization, ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  const options: RequestOptions = { ...target, method, headers: given, agent: false, signal };
  // TLS takes longer to load than all the rest of a verb.
  const request = isTls ? (await import('node:https')).request : requestPlain;
  try {
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request({ ...options, ...(isTls && api.tls) }, resolve);
      sent.once('error', reject).end(body);
    });
  } catch (error) {
    throw unreachable(api, error);
  }
}

type Target = Pick<RequestOptions, 'socketPath' | 'hostname' | 'port' | 'path'> & { isTls: boolean; servername?: string };

function targetOf({ url: api, tls }: Api, path: string): Target {
  // The certificate of a proxy that is reached by a path can only name this machine.
  if (api.startsWith('unix:/')) {
    return { socketPath: api.slice('unix:'.length), path, isTls: tls.ca !== undefined, servername: 'localhost' };
  }
  const url = new URL(api);
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  return { hostname, port: url.port, path: url.pathname.replace(/\/$/, '') + path, isTls: url.protocol === 'https:' };
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

function checkAnswer({ url: api, token }: Api, path: string, status: number, body: string): void {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw new FondacoError('UNAVAILABLE', `${api}${path} must answer with JSON, got ${status} and something else: is that a proxy?`, {
      cause: error,
    });
  }
  if (status >= 200 && status < 300) return;
  if (status === 401) {
    const got = token === undefined ? 'none was given' : 'the one that was given is not it';
    const hint = '--token-file FILE, FONDACO_TOKEN_FILE or FONDACO_TOKEN gives what is listen.token in its config.';
    throw new AnswerError(status, `the proxy at ${api} wants its token, and ${got}\n${hint}`);
  }
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

/** Why there was no answer, and what to do: nobody there, a certificate that is not trusted, TLS on one side alone, or ours missing. */
function unreachable({ url, tls }: Api, thrown: unknown): FondacoError {
  const error = asError(thrown);
  const code = 'code' in error ? String(error.code) : '';
  const problem = (text: string, hint: string): FondacoError => new FondacoError('UNAVAILABLE', `${text}\n${hint}`, { cause: error });
  const none = `no proxy answers at ${url}`;
  if (NOT_TRUSTED.test(code)) {
    return problem(`the certificate of the proxy at ${url} is not trusted: ${error.message}`, trustHint(code, tls.ca !== undefined));
  }
  // Node hangs up without a word on a certificate that it does not take.
  const isCut = code === 'ECONNRESET' || code === 'EPIPE';
  if (/_ALERT_.*(CERT|CA|HANDSHAKE)/.test(code) || (isCut && tls.cert)) {
    const got = tls.cert ? 'perhaps does not take the one that was given' : 'none was given';
    return problem(
      `${none}: it wants a client certificate, and ${got}`,
      '--cert FILE and --key FILE (FONDACO_CERT, FONDACO_KEY) give one.',
    );
  }
  if (error.message.includes('wrong version number'))
    return problem(`${none}: there is no TLS on that port`, 'Is it http:// instead of https://?');
  if (isCut && url.startsWith('http:')) {
    return problem(`${none}: the connection was closed`, 'Is it https:// instead of http://? --ca FILE or FONDACO_CA names the CA.');
  }
  if (code.startsWith('HPE_')) {
    const hint = 'Is it the port of gRPC, or of something else? --api takes what is listen.http in the config of the proxy.';
    return problem(`${none}: what answers there does not speak HTTP`, hint);
  }
  return problem(
    `${none}: ${reason(error, code)}`,
    'Is it running (fondaco proxy)? --api URL or FONDACO_API says where; fondaco doctor looks where its config says.',
  );
}

/** OpenSSL's X509_V_ERR_*, as Node names them, and the name that does not match. */
const NOT_TRUSTED = /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|INVALID_|HOSTNAME_MISMATCH|ERR_TLS_CERT_ALTNAME)/;

function trustHint(code: string, hasCa: boolean): string {
  if (code === 'CERT_HAS_EXPIRED') return 'fondaco tls server makes a new one, from the same CA.';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return '--api must have one of the names that are in it, or fondaco tls server --name makes one with more.';
  return hasCa ? 'Is --ca (or FONDACO_CA) the CA of this proxy?' : '--ca FILE or FONDACO_CA names the CA that is to be trusted.';
}

function reason(error: Error, code: string): string {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'no answer in time';
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND') return 'there is no such host';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'ENOENT') return 'there is no such socket';
  return error.message === '' ? code : error.message;
}
