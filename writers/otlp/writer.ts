/// <reference types="node" preserve="true" />
/**
 * Log records to a collector, OTLP over HTTP: one POST a batch. Its status decides as that of a subscriber (http/answer.ts), so a 500 is tried
 * again, too: OTLP would have it dropped.
 *
 * A 200 with a partial success does not say which records were not taken. OTLP would have them dropped; here nothing is lost without a name: the
 * batch is REJECTED, and bisecting finds them. What the collector did take comes again meanwhile, under the same `log.record.uid`.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { systemClock, type Clock } from '../../core/clock.ts';
import { FondacoError } from '../../core/errors.ts';
import { ProtobufReader } from '../../core/protobuf.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { BODY_MS_MAX, readAnswer, refusal, type Headers } from '../http/answer.ts';
import { authorization, secretsOf } from '../http/credentials.ts';
import { certificateHint, networkFailure } from '../http/network-failure.ts';
import { ConnectionPool } from '../http/pool.ts';
import type { Secrets } from '../secrets.ts';
import { Stop } from '../stop.ts';
import { loadTls } from '../tls-files.ts';
import { exportRequest } from './log-record.ts';
import { decodePartialSuccess, encodeRequest, parsePartialSuccess } from './protobuf.ts';
import { httpOf, type OtlpSettings } from './settings.ts';

const PROTOBUF_TYPE = 'application/x-protobuf';
const JSON_TYPE = 'application/json';
/** A smaller body is not worth compressing. */
const GZIP_BYTES_MIN = 1024;
/** More of an answer is not read. */
const ANSWER_BYTES_MAX = 64 * 1024;
const compressed = promisify(gzip);

export interface OtlpParts {
  readonly clock: Clock;
  /** What relative paths of the settings are relative to. */
  readonly directory: string;
}

export class OtlpWriter implements Writer {
  readonly #pool: ConnectionPool;
  readonly #clock: Clock;
  readonly #settings: OtlpSettings;
  readonly #headers: Readonly<Record<string, string>>;
  /** For messages: without user, password and query, which may be secrets. */
  readonly #what: string;
  readonly #secrets: Secrets;
  readonly #hint: string;

  /** Opens no connection: the first write does. Rejects REFUSED where the TLS files cannot be used. */
  static async open(settings: OtlpSettings, parts: Partial<OtlpParts> = {}): Promise<OtlpWriter> {
    const all = { clock: systemClock(), directory: process.cwd(), ...parts };
    if (settings.tls) await loadTls(settings.tls, all.directory);
    return new OtlpWriter(settings, all);
  }

  private constructor(settings: OtlpSettings, { clock, directory }: OtlpParts) {
    const http = httpOf(settings);
    const { origin, pathname, protocol } = new URL(http.url);
    this.#settings = settings;
    this.#clock = clock;
    this.#what = `POST ${origin}${pathname}`;
    this.#secrets = secretsOf(http);
    this.#hint = certificateHint(protocol === 'https:', settings.tls?.cert !== undefined);
    this.#pool = new ConnectionPool(http, directory);
    const given = Object.entries(settings.headers).map(([name, value]): [string, string] => [name.toLowerCase(), value]);
    const contentType = settings.encoding === 'json' ? JSON_TYPE : PROTOBUF_TYPE;
    this.#headers = { 'user-agent': 'fondaco', ...authorization(http), ...Object.fromEntries(given), 'content-type': contentType };
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (batch.length === 0) return;
    if (this.#pool.isClosed) throw new FondacoError('UNAVAILABLE', `${this.#what}: this writer is closed`);
    const { encoding, compression, timeout, headersTimeout = timeout } = this.#settings;
    const request = exportRequest(batch);
    const plain = encoding === 'json' ? Buffer.from(JSON.stringify(request)) : encodeRequest(request);
    const isGzip = compression === 'gzip' && plain.length >= GZIP_BYTES_MIN;
    const body = isGzip ? await compressed(plain) : plain;
    const headers = isGzip ? { ...this.#headers, 'content-encoding': 'gzip' } : this.#headers;
    const stop = new Stop(signal, { totalMs: timeout, headersMs: headersTimeout });
    try {
      const answer = await this.#pool.post({ headers, body }, stop);
      stop.begun(BODY_MS_MAX);
      await this.#judge(answer.statusCode, answer.headers, await readBytes(answer.body));
    } catch (error) {
      throw networkFailure(error, { what: this.#what, stop, pool: this.#pool, hint: this.#hint });
    } finally {
      stop.clear();
    }
  }

  /** Ends what is under way. May be called more than once. */
  async close(): Promise<void> {
    if (!this.#pool.isClosed) await this.#pool.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #judge(status: number, headers: Headers, bytes: Buffer): Promise<void> {
    const isJson = String(headers['content-type'] ?? '').startsWith(JSON_TYPE);
    const isProtobuf = String(headers['content-type'] ?? '').startsWith(PROTOBUF_TYPE);
    const said = isProtobuf ? Buffer.from(statusMessage(bytes) ?? bytes) : bytes;
    const error = refusal(this.#what, { status, headers, text: await this.#shown(said) }, this.#clock.now());
    if (error) throw error;
    const partial = isJson ? parsePartialSuccess(bytes.toString('utf8')) : isProtobuf ? decodePartialSuccess(bytes) : undefined;
    if (!partial || partial.rejected <= 0) return;
    const answer = await this.#shown(Buffer.from(partial.message));
    const message = `${this.#what} must be answered with success, got a partial one: ${partial.rejected} log records rejected`;
    throw new FondacoError('REJECTED', message, { status: String(status), ...(answer === '' ? {} : { answer }) });
  }

  /** As a person may see it. */
  async #shown(bytes: Buffer): Promise<string> {
    return readAnswer(
      (async function* () {
        yield bytes;
      })(),
      this.#secrets,
    );
  }
}

/** Never rejects: the status has decided already. */
async function readBytes(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const kept: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      kept.push(chunk);
      bytes += chunk.length;
      if (bytes > ANSWER_BYTES_MAX) break; // destroys the body, and the connection with it
    }
  } catch {
    // An answer cut short after its status.
  }
  return Buffer.concat(kept);
}

/** The message of a google.rpc.Status, which is what an error is in protobuf. */
function statusMessage(bytes: Buffer): string | undefined {
  const reader = new ProtobufReader();
  let message: string | undefined;
  for (reader.over(bytes); reader.next();)
    if (reader.field === 2 && reader.wireType === 2) message = bytes.toString('utf8', reader.start, reader.at);
  return reader.isBroken ? undefined : message;
}
