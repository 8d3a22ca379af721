/// <reference types="node" preserve="true" />
/**
 * A subscriber over HTTP: one POST a batch, or, in the formats `cloudevents` and `cloudevents-binary`, one an event. Its status decides
 * (answer.ts); no connection and no answer in time are UNAVAILABLE; TLS files that cannot be used are REFUSED.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { systemClock, type Clock } from '../../core/clock.ts';
import { FondacoError } from '../../core/errors.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import type { Secrets } from '../secrets.ts';
import { Stop } from '../stop.ts';
import { loadTls } from '../tls-files.ts';
import { BODY_MS_MAX, dateOf, readAnswer, refusal } from './answer.ts';
import { ClockSkew } from './clock-skew.ts';
import { authorization, secretsOf } from './credentials.ts';
import { formatOf, type Format } from './format.ts';
import { certificateHint, networkFailure } from './network-failure.ts';
import { OneByOne } from './one-by-one.ts';
import { Pace } from './pace.ts';
import { ConnectionPool, type Message } from './pool.ts';
import { isOneByOne, type HttpSettings } from './settings.ts';
import { Signer } from './signature.ts';
import { webhookId } from './webhook-id.ts';

const USER_AGENT = 'fondaco';
/** A smaller body is not worth compressing. */
const GZIP_BYTES_MIN = 1024;
const compressed = promisify(gzip);

/** What an HTTP writer works with. */
export interface HttpParts {
  readonly clock: Clock;
  /** What relative paths of the settings are relative to. */
  readonly directory: string;
}

/** One destination. Writes of the two lanes, and of a replay, may overlap: there are connections for each. */
export class HttpWriter implements Writer {
  readonly #pool: ConnectionPool;
  readonly #clock: Clock;
  readonly #limits: { readonly totalMs: number; readonly headersMs: number };
  /** For messages: without user, password and query, which may be secrets. */
  readonly #what: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #format: Format;
  readonly #isGzip: boolean;
  readonly #signer: Signer | undefined;
  readonly #secrets: Secrets;
  readonly #pace: Pace;
  readonly #skew = new ClockSkew();
  readonly #oneByOne: OneByOne | undefined;
  /** What a server may mean that closes a TLS connection without a word. */
  readonly #hint: string;

  /**
   * Opens no connection: the first write does. `settings` are what `httpSettings.parse` gives; `parts` are this machine's clock and the
   * working directory unless told. Rejects REFUSED where the TLS files cannot be used.
   */
  static async open(settings: HttpSettings, parts: Partial<HttpParts> = {}): Promise<HttpWriter> {
    const all = { clock: systemClock(), directory: process.cwd(), ...parts };
    if (settings.tls) await loadTls(settings.tls, all.directory);
    return new HttpWriter(settings, all);
  }

  private constructor(settings: HttpSettings, { clock, directory }: HttpParts) {
    const url = new URL(settings.url);
    const { timeout, headersTimeout = timeout } = settings;
    this.#clock = clock;
    this.#limits = { totalMs: timeout, headersMs: headersTimeout };
    this.#what = `POST ${url.origin}${url.pathname}`;
    this.#format = formatOf(settings);
    this.#isGzip = settings.compression === 'gzip';
    this.#signer = settings.secret && new Signer(settings.secret);
    this.#secrets = secretsOf(settings);
    this.#pace = new Pace(clock, settings.limit);
    this.#oneByOne = isOneByOne(settings) ? new OneByOne(settings.concurrency) : undefined;
    this.#hint = certificateHint(url.protocol === 'https:', settings.tls?.cert !== undefined);
    this.#headers = {
      'user-agent': USER_AGENT,
      ...authorization(settings),
      ...lowerCased(settings.headers),
      'content-type': this.#format.contentType,
    };
    this.#pool = new ConnectionPool(settings, directory);
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (this.#oneByOne) await this.#oneByOne.write(batch, async (delivery) => this.#post([delivery], signal));
    else await this.#post(batch, signal);
  }

  warnings(): readonly string[] {
    const { warning } = this.#skew;
    return warning === undefined ? [] : [warning];
  }

  /** Ends what is under way. May be called more than once. */
  async close(): Promise<void> {
    if (!this.#pool.isClosed) await this.#pool.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #post(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (this.#pool.isClosed) throw new FondacoError('UNAVAILABLE', `${this.#what}: this writer is closed`);
    const text = this.#format.encode(batch);
    const body = this.#isGzip && text.length >= GZIP_BYTES_MIN ? await compressed(text) : text;
    await this.#pace.turn(batch[0]!.delivery.lane, { events: batch.length, bytes: Buffer.byteLength(body) }, signal);
    const sentAt = this.#clock.now();
    const message = { headers: this.#headersOf(batch, text, sentAt, body !== text), body };
    const stop = new Stop(signal, this.#limits);
    try {
      await this.#exchange(message, sentAt, stop);
    } catch (error) {
      throw networkFailure(error, { what: this.#what, stop, pool: this.#pool, hint: this.#hint });
    } finally {
      stop.clear();
    }
  }

  #headersOf(batch: readonly Delivery[], text: string, now: number, isCompressed: boolean): Record<string, string> {
    const id = webhookId(batch);
    return {
      ...this.#headers,
      ...this.#format.headers?.(batch[0]!),
      ...(isCompressed && { 'content-encoding': 'gzip' }),
      'webhook-id': id,
      ...this.#signer?.headers(id, text, now),
    };
  }

  async #exchange(message: Message, sentAt: number, stop: Stop): Promise<void> {
    const { statusCode: status, headers, body } = await this.#pool.post(message, stop);
    stop.begun(BODY_MS_MAX);
    const now = this.#clock.now();
    this.#skew.saw(dateOf(headers), sentAt, now);
    const text = await readAnswer(body, this.#secrets);
    const error = refusal(this.#what, { status, headers, text }, now, this.#format.headers !== undefined);
    if (error) throw error;
  }
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
