/**
 * A subscriber: a plain HTTP server that takes CloudEvents batches, writes them down in a record of its own, answers 2xx only then, and
 * shows what arrives, one line an event.
 *
 *     node --import tsx demo/subscriber.ts --record received.ndjson [--port 0] [--quiet] [--lose N]
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { eventLine } from './event-line.ts';
import { EventRecord, eventId, parseBatch, readRecord, withoutRepeats, type ReceivedEvent } from './event-record.ts';
import { answerParent, sayReady, untilAsked } from './parent-link.ts';

const BODY_BYTES_MAX = 64 * 1024 * 1024;
/** Lines that a slow terminal has not taken yet; beyond it events are only written down. */
const UNSHOWN_BYTES_MAX = 1024 * 1024;
/** Ids and series that are remembered; the oldest are forgotten first. */
const IDS_MAX = 200_000;
const SERIES_MAX = 1000;

/** What a parent is told when it asks about `sums`. */
export interface SubscriberSums {
  /** Deliveries, repeats among them. */
  readonly deliveries: number;
  readonly repeats: number;
  /** Σ `added` of each series, over its record. */
  readonly added: Readonly<Record<string, number>>;
}

interface SubscriberSettings {
  readonly record: EventRecord;
  readonly isQuiet: boolean;
  /** Loses this one of the new events, to see whether the demo notices: 1 is the first, 0 loses none. */
  readonly lose: number;
}

class Subscriber {
  readonly #settings: SubscriberSettings;
  /** Ids of what was written down, in this life and before: by them a repeat is recognised. */
  readonly #known = new Set<string>();
  readonly #added = new Map<string, number>();
  readonly #isColored = process.stdout.isTTY && (process.env.NO_COLOR ?? '') === '';
  #writing: Promise<void> = Promise.resolve();
  #deliveries = 0;
  #repeats = 0;
  #new = 0;
  #unshown = 0;

  /** `before`: what its record holds already. */
  constructor(settings: SubscriberSettings, before: readonly ReceivedEvent[]) {
    this.#settings = settings;
    for (const event of withoutRepeats(before)) this.#note(event);
  }

  sums(): SubscriberSums {
    return { deliveries: this.#deliveries, repeats: this.#repeats, added: Object.fromEntries(this.#added) };
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const contentType = request.headers['content-type'] ?? '';
    if (request.method !== 'POST') return void refuse(response, 405, 'this takes POST');
    if (!contentType.startsWith('application/cloudevents-batch+json'))
      return void refuse(response, 415, 'this takes CloudEvents batches in JSON');
    const body = await readBody(request);
    if (body === undefined) return void refuse(response, 413, `at most ${BODY_BYTES_MAX} bytes`);
    const batch = parseBatch(body);
    if (typeof batch === 'string') return void refuse(response, 400, batch);
    // One after the other: requests of the two lanes may overlap, and the record is the order of arrival.
    const written = this.#writing.then(() => this.#take(batch));
    this.#writing = written.catch(() => undefined);
    await written;
    response.writeHead(204).end();
  }

  /** Rejects if it cannot be written down: then it is not acknowledged either. */
  async #take(batch: readonly ReceivedEvent[]): Promise<void> {
    const isNew = batch.map(({ id }) => !this.#known.has(id));
    const kept = batch.filter((_event, at) => !isNew[at] || ++this.#new !== this.#settings.lose);
    await this.#settings.record.append(kept);
    this.#deliveries += batch.length;
    for (const event of kept) {
      if (this.#known.has(event.id)) this.#repeats++;
      else {
        this.#note(event);
        if (!this.#settings.isQuiet) this.#show(event);
      }
    }
  }

  #note(event: ReceivedEvent): void {
    remember(this.#known, event.id);
    const series = eventId(event.id)?.series ?? '';
    const sum = (this.#added.get(series) ?? 0) + event.data.added;
    this.#added.delete(series);
    this.#added.set(series, sum);
    if (this.#added.size > SERIES_MAX) this.#added.delete(this.#added.keys().next().value!);
  }

  #show(event: ReceivedEvent): void {
    if (process.stdout.writableLength > UNSHOWN_BYTES_MAX) {
      this.#unshown++;
      return;
    }
    if (this.#unshown > 0) process.stdout.write(`… ${this.#unshown} more, not shown: they are in the record\n`);
    this.#unshown = 0;
    process.stdout.write(eventLine(event, this.#isColored) + '\n');
  }
}

function remember(known: Set<string>, id: string): void {
  known.add(id);
  if (known.size > IDS_MAX) known.delete(known.values().next().value!);
}

/** The body as text; `undefined` if it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(`${why}\n`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      record: { type: 'string', default: 'received.ndjson' },
      port: { type: 'string', default: '0' },
      quiet: { type: 'boolean', default: false },
      lose: { type: 'string', default: '0' },
    },
  });
  const asked = untilAsked();
  process.stdout.on('error', () => undefined); // nobody looks any more: what arrives is written down all the same
  const record = await EventRecord.open(values.record);
  const settings = { record, isQuiet: values.quiet, lose: Number(values.lose) };
  const subscriber = new Subscriber(settings, await readRecord(values.record));
  const server = createServer((request, response) => {
    subscriber.answer(request, response).catch((error: unknown) => {
      console.error(`subscriber: ${error instanceof Error ? error.message : String(error)}`);
      if (!response.headersSent && !request.destroyed) refuse(response, 503, 'it could not be written down');
    });
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(Number(values.port), '127.0.0.1', resolve));
  answerParent({ sums: () => subscriber.sums() });
  await sayReady({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events` });
  await new Promise<void>((resolve) => (asked.aborted ? resolve() : asked.addEventListener('abort', () => resolve())));
  server.closeIdleConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await record.close();
}

await main();
