/**
 * A subscriber over HTTP: one POST a batch. Its status decides (design section 5):
 *
 * | answer | becomes |
 * |---|---|
 * | 2xx | taken |
 * | no connection, no answer in time, 408, 409, 425, 429, 5xx | UNAVAILABLE, not before Retry-After |
 * | 400, 413 (too large), 422 | REJECTED: an event in the batch |
 * | any other 3xx (redirects are not followed) or 4xx | REFUSED |
 */
import { createHash } from 'node:crypto';
import { Pool } from 'undici';
import { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import { FondacoError, type ErrorFacts } from '../core/errors.ts';
import type { Delivery, Writer } from '../core/writer.ts';
import { CLOUDEVENTS_BATCH_TYPE, cloudEventsBatch } from './cloudevents.ts';
import { NATIVE_JSON_TYPE, nativeBatch } from './native-json.ts';
import { duration, oneOf, text } from './settings.ts';

const FORMATS = {
  'cloudevents-batch': { encode: cloudEventsBatch, contentType: CLOUDEVENTS_BATCH_TYPE },
  json: { encode: nativeBatch, contentType: NATIVE_JSON_TYPE },
} as const;

/** Ours, and what makes the message: not to be set by hand. */
const OWN_HEADERS = new Set([
  'content-type',
  'content-length',
  'transfer-encoding',
  'connection',
  'host',
  'webhook-id',
  'expect',
  'upgrade',
]);

export const httpSettings = z.strictObject({
  /** Where to POST. A user and password in it become basic authorization. */
  url: text('an http:// or https:// URL', isHttpUrl),
  format: oneOf('cloudevents-batch', 'json').default('cloudevents-batch'),
  /** Further headers of each request, such as authorization. */
  headers: z
    .record(text('a header name that is not one of ours', isHeaderName), text('a header value on one line', isHeaderValue))
    .default({}),
  /** For the whole request, its answer included. */
  timeout: duration({ min: '100ms', max: '10m' }).default(30_000),
});

export type HttpSettings = z.output<typeof httpSettings>;

/** How much of an answer is kept for people, in bytes. */
const ANSWER_BYTES = 2048;
/** An answer longer than this is not read to its end: the connection is closed instead. */
const BODY_BYTES_MAX = 64 * 1024;
/** Nor one that takes longer than this after its status, ms: the status has decided, and the next batch is not to wait for a body without end. */
const BODY_MS_MAX = 1000;
/** What is asked beyond this is a mistake: nobody would see the writer come back. */
const RETRY_AFTER_MS_MAX = 86_400_000;
const USER_AGENT = 'fondaco';

/** One destination. Writes of the two lanes may overlap: each takes a connection of its own. */
export class HttpWriter implements Writer {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #path: string;
  /** For messages: without user, password and query, which may be secrets. */
  readonly #shownUrl: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #encode: (batch: readonly Delivery[]) => string;
  #isClosed = false;

  /** Opens no connection: the first write does. */
  static async open(settings: HttpSettings, parts: { readonly clock: Clock }): Promise<HttpWriter> {
    return new HttpWriter(settings, parts.clock);
  }

  private constructor(settings: HttpSettings, clock: Clock) {
    const url = new URL(settings.url);
    const format = FORMATS[settings.format];
    this.#clock = clock;
    this.#timeoutMs = settings.timeout;
    this.#path = url.pathname + url.search;
    this.#shownUrl = url.origin + url.pathname;
    this.#encode = format.encode;
    this.#headers = {
      'user-agent': USER_AGENT,
      ...basicAuthorization(url),
      ...lowerCased(settings.headers),
      'content-type': format.contentType,
    };
    // Deadlines are the whole request's, below: undici's own would cut it into parts.
    this.#pool = new Pool(url.origin, {
      connections: 2,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: settings.timeout },
    });
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (batch.length === 0) return;
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', `POST ${this.#shownUrl}: this writer is closed`);
    const stop = new Stop(signal, this.#timeoutMs);
    try {
      const headers = { ...this.#headers, 'webhook-id': webhookId(batch) };
      const {
        statusCode,
        headers: answered,
        body,
      } = await this.#pool.request({
        method: 'POST',
        path: this.#path,
        headers,
        body: this.#encode(batch),
        signal: stop.signal,
      });
      stop.within(BODY_MS_MAX);
      const answer = await readAnswer(body);
      if (statusCode >= 200 && statusCode <= 299) return;
      throw this.#refusal(statusCode, answer, answered);
    } catch (error) {
      throw this.#asOurs(error, stop);
    } finally {
      stop.clear();
    }
  }

  /** Ends what is under way. May be called more than once. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#pool.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #refusal(status: number, answer: string, headers: Headers): FondacoError {
    const text = `POST ${this.#shownUrl} must be answered with 2xx, got ${status}`;
    const facts: ErrorFacts = { status: String(status), ...(answer === '' ? {} : { answer }) };
    if (status === 413) return new FondacoError('REJECTED', text, { ...facts, tooLarge: true });
    if (status === 400 || status === 422) return new FondacoError('REJECTED', text, facts);
    if (status >= 500 || PASSING.has(status)) {
      const retryAfterMs = retryAfter(headers, this.#clock.now());
      return new FondacoError('UNAVAILABLE', text, retryAfterMs === undefined ? facts : { ...facts, retryAfterMs });
    }
    return new FondacoError('REFUSED', text, facts);
  }

  /** What the network did, in our words. */
  #asOurs(error: unknown, stop: Stop): FondacoError {
    if (error instanceof FondacoError) return error;
    const what = `POST ${this.#shownUrl}`;
    if (stop.why === 'stopped') return new FondacoError('UNAVAILABLE', `${what} was stopped`, { cause: error });
    if (stop.why === 'late')
      return new FondacoError('UNAVAILABLE', `${what} must be answered within ${this.#timeoutMs} ms`, { cause: error });
    if (this.#isClosed) return new FondacoError('UNAVAILABLE', `${what}: this writer was closed`, { cause: error });
    const code = errorCode(error);
    const reason = error instanceof Error && error.message !== '' ? error.message : code;
    const unreachable = UNREACHED.has(code) || isTlsError(code);
    return new FondacoError('UNAVAILABLE', `${what} failed: ${reason}`, { cause: error, ...(unreachable ? { unreachable: true } : {}) });
  }
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** 4xx that speak of the moment, not of us and not of the event: timeout, conflict, too early, too many requests. */
const PASSING = new Set([408, 409, 425, 429]);

/** Errors of the way there: no request can get through at present. */
const UNREACHED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/**
 * The same for every repeat of the same batch, and never for another: positions may be used again after a loss, an epoch's birth never. Where
 * something lies between first and last that is not in the batch (filtered, folded, or a replay of chosen dead letters) a hash says what is:
 * a receiver that knows 3-12 without 7 must not take 3-12 with 7 for it.
 */
export function webhookId(batch: readonly Delivery[]): string {
  const first = batch[0]!;
  const last = batch[batch.length - 1]!;
  const { writer, lane } = first.delivery;
  const lastBirth = last.entry.birth === first.entry.birth ? '' : `${last.entry.birth}.`;
  const id = `${writer}.${lane}.${first.entry.birth}.${first.entry.position}-${lastBirth}${last.entry.position}`;
  if (lastBirth === '' && last.entry.position - first.entry.position === batch.length - 1) return id;
  const hash = createHash('sha256');
  for (const { entry } of batch) hash.update(`${entry.birth}/${entry.position} `);
  return `${id}.${hash.digest('hex').slice(0, 16)}`;
}

/** The caller's signal and a timeout as one signal, and which of them it was. Nothing is left on the caller's signal afterwards. */
class Stop {
  why: 'stopped' | 'late' | undefined;
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal;
  readonly #deadline: AbortSignal;
  #sooner: NodeJS.Timeout | undefined;

  constructor(caller: AbortSignal, timeoutMs: number) {
    this.#caller = caller;
    this.#deadline = AbortSignal.timeout(timeoutMs);
    caller.addEventListener('abort', this.#stopped);
    this.#deadline.addEventListener('abort', this.#late);
    if (caller.aborted) this.#stopped();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on it is late after so many milliseconds at the latest. */
  within(ms: number): void {
    this.#sooner = setTimeout(this.#late, ms);
  }

  clear(): void {
    clearTimeout(this.#sooner);
    this.#caller.removeEventListener('abort', this.#stopped);
    this.#deadline.removeEventListener('abort', this.#late);
  }

  readonly #stopped = (): void => this.#abort('stopped');
  readonly #late = (): void => this.#abort('late');

  #abort(why: 'stopped' | 'late'): void {
    this.why ??= why;
    this.#controller.abort();
  }
}

/** Reads the body to its end, so that the connection can be used again, and keeps its first 2 KiB. Never rejects: the status has decided already. */
async function readAnswer(body: AsyncIterable<Buffer>): Promise<string> {
  const kept: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      if (bytes < ANSWER_BYTES) kept.push(chunk.subarray(0, ANSWER_BYTES - bytes));
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) break; // destroys the body, and the connection with it
    }
  } catch {
    // An answer cut short after its status: what came of it is what a person can be shown.
  }
  return Buffer.concat(kept).toString('utf8');
}

/** Retry-After (RFC 9110, section 10.2.3): seconds, or a date, which is measured by the answer's own Date where it has one. */
function retryAfter(headers: Headers, now: number): number | undefined {
  const value = one(headers['retry-after'])?.trim() ?? '';
  if (/^\d{1,15}$/.test(value)) return Math.min(Number(value) * 1000, RETRY_AFTER_MS_MAX);
  const at = Date.parse(value);
  if (Number.isNaN(at)) return undefined;
  const theirs = Date.parse(one(headers.date) ?? '');
  return Math.min(Math.max(0, at - (Number.isNaN(theirs) ? now : theirs)), RETRY_AFTER_MS_MAX);
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** The code of an error, of its cause, or of the first of several (an address with IPv4 and IPv6 has been tried twice). */
function errorCode(error: unknown): string {
  for (let next: unknown = error, depth = 0; next instanceof Error && depth < 4; depth++) {
    if ('code' in next && typeof next.code === 'string' && next.code !== 'UND_ERR_SOCKET') return next.code;
    next = next instanceof AggregateError ? next.errors[0] : next.cause;
  }
  return 'unknown error';
}

/** The certificate or the handshake: OpenSSL's verification codes as Node gives them. */
function isTlsError(code: string): boolean {
  return /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/.test(code);
}

function basicAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function isHttpUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  return (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '';
}

function isHeaderName(value: string): boolean {
  return /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(value) && !OWN_HEADERS.has(value.toLowerCase());
}

function isHeaderValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}
