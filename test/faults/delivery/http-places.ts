/** Subscribers over HTTP, one for each format, and a collector of OpenTelemetry. */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { HttpSettings } from '../../../writers/http/settings.ts';
import { decodeRequest, partialSuccess, type LogRecord } from '../../support/from-otlp.ts';
import { textsOf } from '../../support/http-scene.ts';
import { pause } from '../../support/pause.ts';
import { Subscriber, type Answer, type SeenRequest } from '../../support/subscriber.ts';
import { TcpTap } from '../../support/tcp-tap.ts';
import { arrivedCloud, arrivedNative, arrivedOtlp, type Arrived } from './arrived.ts';
import { POISON } from './load.ts';
import { BATCH_EVENTS, TWO_BATCHES, WRITE_MS, type Place } from './place.ts';

interface Way {
  readonly format: HttpSettings['format'];
  readonly more?: string;
  readonly concurrency?: number;
}

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
/** By writer. */
export const HTTP_WAYS: Readonly<Record<string, Way>> = {
  'http-batch': { format: 'cloudevents-batch' },
  'http-one': { format: 'cloudevents', concurrency: 1 },
  'http-four': { format: 'cloudevents', concurrency: 4 },
  'http-binary': { format: 'cloudevents-binary', concurrency: 4 },
  'http-redfish': { format: 'redfish' },
  'http-json': { format: 'json', more: `, compression: gzip, secret: ${SECRET}` },
  'http-ndjson': { format: 'ndjson' },
};
/** While a place takes in part, every so manieth request is turned away. */
const TURNED_AWAY_EVERY = 3;
const IN_PART_MS = 300;

/** A server on a port of its own, which may be broken off and come back. */
abstract class Listener implements Place {
  readonly name: string;
  readonly rule = 'at least once';
  abstract readonly inFlight: number;
  abstract readonly yaml: string;
  readonly tap: TcpTap;
  readonly problems: string[] = [];
  protected readonly came: Arrived[] = [];
  readonly #port: number;
  #subscriber: Subscriber;

  protected constructor(name: string, { subscriber, tap }: { subscriber: Subscriber; tap: TcpTap }) {
    this.name = name;
    this.tap = tap;
    this.#port = subscriber.port;
    this.#subscriber = subscriber;
    this.#listen();
  }

  static async listen(): Promise<{ subscriber: Subscriber; tap: TcpTap }> {
    const subscriber = await Subscriber.open();
    return { subscriber, tap: await TcpTap.open(subscriber.port) };
  }

  async restart(): Promise<void> {
    await this.#subscriber.close();
    await pause(50);
    this.#subscriber = await Subscriber.open(this.#port);
    this.#listen();
  }

  async arrived(): Promise<readonly Arrived[]> {
    return this.came;
  }

  async close(): Promise<void> {
    await this.tap.close();
    await this.#subscriber.close();
  }

  protected abstract answer(request: SeenRequest, body: Buffer): Answer;

  #listen(): void {
    const subscriber = this.#subscriber;
    subscriber.answer = (request) => {
      subscriber.requests.length = 0; // what matters is kept event by event
      return this.answer(request, request.headers['content-encoding'] === 'gzip' ? gunzipSync(request.body) : request.body);
    };
  }
}

export class HttpPlace extends Listener {
  readonly inFlight: number;
  readonly yaml: string;
  readonly eventsMax: number;
  readonly takeInPart: (() => Promise<void>) | undefined;
  readonly #way: Way;
  /** By webhook-id: what its bytes were. */
  readonly #bodies = new Map<string, string>();
  #isInPart = false;
  #requests = 0;

  static async open(name: string): Promise<HttpPlace> {
    return new HttpPlace(name, HTTP_WAYS[name]!, await Listener.listen());
  }

  private constructor(name: string, way: Way, parts: { subscriber: Subscriber; tap: TcpTap }) {
    super(name, parts);
    const { format, more = '', concurrency } = way;
    this.#way = way;
    if (concurrency === undefined) this.eventsMax = BATCH_EVENTS;
    else this.eventsMax = concurrency === 1 ? 1 : 4 * concurrency; // as the kind has it
    this.inFlight = 2 * this.eventsMax;
    const beside = concurrency === undefined ? '' : `, concurrency: ${concurrency}`;
    this.yaml = `kind: http, url: "http://${parts.tap.address}/${name}", format: ${format}, timeout: ${WRITE_MS}ms${beside}${more}`;
    if ((concurrency ?? 1) > 1) this.takeInPart = async () => this.#takeInPart();
  }

  protected answer({ headers, body: sent }: SeenRequest, body: Buffer): Answer {
    const { format, concurrency = 1 } = this.#way;
    this.#sameBytes(String(headers['webhook-id']), sent);
    if (this.#isInPart && ++this.#requests % TURNED_AWAY_EVERY === 0) return { status: 503 };
    const texts = textsOf(format, { headers, body });
    const read = (text: string): Arrived => (format.startsWith('cloudevents') ? arrivedCloud(text, concurrency > 1) : arrivedNative(text));
    const events = texts.map(read);
    if (events.some(({ type }) => type === POISON)) return { status: 422 };
    this.came.push(...events);
    return { status: 200 };
  }

  async #takeInPart(): Promise<void> {
    this.#isInPart = true;
    await pause(IN_PART_MS);
    this.#isInPart = false;
  }

  #sameBytes(id: string, body: Buffer): void {
    const hash = createHash('sha256').update(body).digest('base64');
    const before = this.#bodies.get(id);
    if (before !== undefined && before !== hash) this.problems.push(`webhook-id ${id} came with other bytes`);
    this.#bodies.set(id, hash);
  }
}

export class OtlpPlace extends Listener {
  readonly inFlight = TWO_BATCHES;
  readonly yaml: string;

  static async open(name: string): Promise<OtlpPlace> {
    return new OtlpPlace(name, await Listener.listen());
  }

  private constructor(name: string, parts: { subscriber: Subscriber; tap: TcpTap }) {
    super(name, parts);
    this.yaml = `kind: otlp, url: "http://${parts.tap.address}", timeout: ${WRITE_MS}ms`;
  }

  /** Poison is left out of what is taken, as a partial success: which records those were is not said. */
  protected answer(_: SeenRequest, body: Buffer): Answer {
    const records = decodeRequest(body).resourceLogs?.flatMap(({ scopeLogs = [] }) =>
      scopeLogs.flatMap(({ logRecords = [] }) => logRecords),
    );
    const taken = (records ?? []).filter(({ eventName }: LogRecord) => eventName !== POISON);
    this.came.push(...taken.map(arrivedOtlp));
    const rejected = (records?.length ?? 0) - taken.length;
    const headers = { 'content-type': 'application/x-protobuf' };
    return { status: 200, headers, ...(rejected > 0 && { body: partialSuccess(rejected, 'poison') }) };
  }
}
