/** A destination over HTTP for the contract of writers, which misbehaves as it is told. */
import { gunzipSync } from 'node:zlib';
import type { EventInput } from '../../testing/deliveries.ts';
import type { WriterContractOptions } from '../../testing/writer-contract.ts';
import { Subscriber, type Answer, type SeenRequest } from './subscriber.ts';

const SLOW_MS = 25;
const POISON: EventInput = { type: 'test.Poison', severity: 'warn', message: 'nobody takes this' };

export class HttpDestination {
  readonly #older: SeenRequest[] = [];
  #subscriber: Subscriber;

  static async open(): Promise<HttpDestination> {
    return new HttpDestination(await Subscriber.open());
  }

  private constructor(subscriber: Subscriber) {
    this.#subscriber = subscriber;
  }

  get url(): string {
    return this.#subscriber.url;
  }

  /** What it took, plain. */
  get taken(): SeenRequest[] {
    const all = [...this.#older, ...this.#subscriber.requests];
    return all.filter(({ status }) => status === 200).map(unpacked);
  }

  set answer(answer: (request: SeenRequest) => Answer) {
    this.#subscriber.answer = answer;
  }

  /** The next request is answered so, `after` requests from now; all others with 200. */
  answerOnce(answer: Answer, after = 0): void {
    let count = 0;
    this.answer = () => (count++ === after ? answer : { status: 200 });
  }

  async restart(): Promise<void> {
    const { port, requests } = this.#subscriber;
    this.#older.push(...requests);
    await this.#subscriber.close();
    this.#subscriber = await Subscriber.open(port);
  }

  async close(): Promise<void> {
    await this.#subscriber.close();
  }
}

export function plainBody({ headers, body }: SeenRequest): Buffer {
  return headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
}

function unpacked(seen: SeenRequest): SeenRequest {
  const { 'content-encoding': _, ...headers } = seen.headers;
  return { ...seen, headers, body: plainBody(seen) };
}

type Hooks = Pick<
  Required<WriterContractOptions<HttpDestination>>,
  'open' | 'close' | 'hang' | 'recover' | 'slow' | 'loseReply' | 'poison' | 'restart'
>;

export const httpHooks: Hooks = {
  open: async () => HttpDestination.open(),
  close: async (destination) => destination.close(),
  hang: (destination) => (destination.answer = () => 'hang'),
  recover: (destination) => (destination.answer = () => ({ status: 200 })),
  slow: (destination) => (destination.answer = () => ({ status: 200, delayMs: SLOW_MS })),
  loseReply: (destination) => destination.answerOnce({ status: 200, isLost: true }),
  poison: (destination) => {
    destination.answer = (seen) => ({ status: isPoison(seen) ? 422 : 200 });
    return POISON;
  },
  restart: async (destination) => destination.restart(),
};

function isPoison(seen: SeenRequest): boolean {
  return seen.headers['ce-type'] === POISON.type || plainBody(seen).includes(POISON.type);
}

/** For a destination that gets one event a request: it fails once. */
export const failAfterRequests = (destination: HttpDestination, count: number): void =>
  destination.answerOnce({ status: 503, body: 'no room' }, count);
