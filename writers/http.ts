/// <reference types="node" preserve="true" />
/**
 * A subscriber over HTTP: one POST a batch, or, in the format `cloudevents`, one an event. Its status decides (http-answer.ts); no connection
 * and no answer in time are UNAVAILABLE; TLS files that cannot be used are REFUSED.
 */
import { createHash } from 'node:crypto';
import { buildConnector, Pool, type Dispatcher } from 'undici';
import { systemClock, type Clock } from '../core/clock.ts';
import { asError, FondacoError } from '../core/errors.ts';
import type { Delivery, Writer } from '../core/writer.ts';
import { CLOUDEVENT_TYPE, CLOUDEVENTS_BATCH_TYPE, cloudEvent, cloudEventsBatch } from './cloudevents.ts';
import { BODY_MS_MAX, readAnswer, refusal } from './http-answer.ts';
import { authorization, secretsOf, type HttpSettings } from './http-settings.ts';
import { NATIVE_JSON_TYPE, nativeBatch, nativeLines, NDJSON_TYPE } from './native-json.ts';
import { isCutOff, isTlsAlert, networkReason } from './network-errors.ts';
import type { Secrets } from './secrets.ts';
import { Stop } from './stop.ts';
import { loadTls } from './tls-files.ts';

interface Format {
  readonly encode: (batch: readonly Delivery[]) => string;
  readonly contentType: string;
  /** Events a request, where that is limited. */
  readonly eventsMax?: number;
}

const FORMATS: Readonly<Record<HttpSettings['format'], Format>> = {
  'cloudevents-batch': { encode: cloudEventsBatch, contentType: CLOUDEVENTS_BATCH_TYPE },
  cloudevents: { encode: ([only]) => cloudEvent(only!), contentType: CLOUDEVENT_TYPE, eventsMax: 1 },
  json: { encode: nativeBatch, contentType: NATIVE_JSON_TYPE },
  ndjson: { encode: nativeLines, contentType: NDJSON_TYPE },
};

/** One for each lane, and one for a replay. */
const CONNECTIONS = 3;
const CONNECT_MS = 10_000;
/** A connection that idles is closed by us, before common servers do it (Node and Apache: 5 s), unless they say that they keep it longer. */
const IDLE_MS = 4000;
const IDLE_MS_MAX = 60_000;
const USER_AGENT = 'fondaco';

/** What an HTTP writer works with. */
export interface HttpParts {
  readonly clock: Clock;
  /** What relative paths of the settings are relative to. */
  readonly directory: string;
}

/** How many events a write may have at most, so that each write is one request and what was taken is settled at once. */
export function httpEventsMax({ format }: HttpSettings): number | undefined {
  return FORMATS[format].eventsMax;
}

/** One destination. Writes of the two lanes, and of a replay, may overlap: each takes a connection of its own. */
export class HttpWriter implements Writer {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #limits: { readonly totalMs: number; readonly headersMs: number };
  readonly #path: string;
  /** For messages: without user, password and query, which may be secrets. */
  readonly #shownUrl: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #format: Format;
  readonly #secrets: Secrets;
  /** Connections begun. */
  #connects = 0;
  /** What a connection could not be made for. */
  readonly #unreached = new WeakSet<Error>();
  /** What a server may mean that closes a TLS connection without a word. */
  readonly #hint: string;
  #isClosed = false;

  /**
   * Opens no connection: the first write does. `settings` are what `httpSettings.parse` gives; `parts` are this machine's clock and the
   * working directory unless told. Rejects REFUSED where the TLS files cannot be used.
   */
  static async open(settings: HttpSettings, parts: Partial<HttpParts> = {}): Promise<HttpWriter> {
    const all = { clock: systemClock(), directory: process.cwd(), ...parts };
    if (settings.tls) await loadTls(settings.tls, all.directory);
    return new HttpWriter(settings, all);
  }

  private constructor(settings: HttpSettings, parts: HttpParts) {
    const url = new URL(settings.url);
    const { timeout, headersTimeout = timeout } = settings;
    this.#clock = parts.clock;
    this.#limits = { totalMs: timeout, headersMs: headersTimeout };
    this.#path = url.pathname + url.search;
    this.#shownUrl = url.origin + url.pathname;
    this.#format = FORMATS[settings.format];
    this.#secrets = secretsOf(settings);
    const answer = settings.tls?.cert === undefined ? 'wants a' : 'does not accept our';
    this.#hint = url.protocol === 'https:' ? ` (so does a server that ${answer} client certificate)` : '';
    this.#headers = {
      'user-agent': USER_AGENT,
      ...authorization(settings),
      ...lowerCased(settings.headers),
      'content-type': this.#format.contentType,
    };
    const connect = connector(settings, parts);
    this.#pool = new Pool(url.origin, {
      connections: CONNECTIONS,
      pipelining: 1,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS_MAX,
      // Deadlines are the request's, in Stop.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (options, callback) => {
        this.#connects++;
        connect(options, (...result) => {
          if (result[0]) this.#unreached.add(result[0]);
          callback(...result);
        });
      },
    });
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    const { eventsMax = batch.length } = this.#format;
    for (let from = 0; from < batch.length; from += eventsMax) await this.#post(batch.slice(from, from + eventsMax), signal);
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

  async #post(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    const what = `POST ${this.#shownUrl}`;
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', `${what}: this writer is closed`);
    const stop = new Stop(signal, this.#limits);
    try {
      const { statusCode: status, headers, body } = await this.#request(batch, stop);
      stop.begun(BODY_MS_MAX);
      const text = await readAnswer(body, this.#secrets);
      const error = refusal(what, { status, headers, text }, this.#clock.now());
      if (error) throw error;
    } catch (error) {
      throw this.#asOurs(error, what, stop);
    } finally {
      stop.clear();
    }
  }

  /**
   * A connection that was used before may be closed by the other side at the very moment of the next request: that is no outage, so the
   * request goes out again at once, on the next connection, until one is new.
   */
  async #request(batch: readonly Delivery[], stop: Stop): Promise<Dispatcher.ResponseData> {
    const headers = { ...this.#headers, 'webhook-id': webhookId(batch) };
    const body = this.#format.encode(batch);
    const before = this.#connects;
    for (let tries = 0; ; tries++) {
      try {
        return await this.#pool.request({ method: 'POST', path: this.#path, headers, body, signal: stop.signal });
      } catch (error) {
        const wasUsedBefore = this.#connects === before && isCutOff(error);
        if (!wasUsedBefore || stop.why !== undefined || this.#isClosed || tries === CONNECTIONS) throw error;
      }
    }
  }

  /** What the network did, in our words. */
  #asOurs(error: unknown, what: string, stop: Stop): FondacoError {
    if (error instanceof FondacoError) return error;
    if (stop.why === 'stopped') return new FondacoError('UNAVAILABLE', `${what} was stopped`, { cause: error });
    if (stop.why !== undefined) return new FondacoError('UNAVAILABLE', `${what} must be answered within ${stop.limit}`, { cause: error });
    if (this.#isClosed) return new FondacoError('UNAVAILABLE', `${what}: this writer was closed`, { cause: error });
    const isAway = isTlsAlert(error) || (error instanceof Error && this.#unreached.has(error));
    const reason = networkReason(error) + (isCutOff(error) ? this.#hint : '');
    return new FondacoError('UNAVAILABLE', `${what} failed: ${reason}`, { cause: error, ...(isAway ? { unreachable: true } : {}) });
  }
}

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

/** With TLS settings the files are read for each connection. */
function connector({ tls, timeout, connectTimeout }: HttpSettings, { directory }: HttpParts): buildConnector.connector {
  const limit = { timeout: connectTimeout ?? Math.min(CONNECT_MS, timeout) };
  if (!tls) return buildConnector(limit);
  return (options, callback) => {
    loadTls(tls, directory).then(
      (files) => buildConnector({ ...limit, ...files })(options, callback),
      (error: unknown) => callback(asError(error), null),
    );
  };
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
