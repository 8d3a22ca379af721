import { freePorts } from '../../demo/free-ports.ts';
import { RecordBook } from './record-book.ts';
import { Subscriber, type Answer, type SeenRequest } from './subscriber.ts';

/** A subscriber with a name and a place of its own, which it may leave and come back to, and the book of what it took meanwhile. */
export class Destination {
  readonly name: string;
  readonly book = new RecordBook();
  /** Decides on each request, 200 unless told. What is answered 2xx is in the book. */
  answer: (request: SeenRequest) => Answer = () => ({ status: 200 });
  /** Events in one batch at most. */
  readonly eventsMax: number;
  #port: number;
  #subscriber: Subscriber | undefined;
  /** What it saw before it last went away. */
  #seen: SeenRequest[] = [];

  static async open(name: string, options?: { eventsMax?: number }): Promise<Destination> {
    const destination = await Destination.reserve(name, options);
    await destination.comeBack();
    return destination;
  }

  /** A place where nobody listens yet. */
  static async reserve(name: string, { eventsMax = 500 } = {}): Promise<Destination> {
    const [port = 0] = await freePorts(1, Math.random);
    return new Destination(name, port, eventsMax);
  }

  private constructor(name: string, port: number, eventsMax: number) {
    this.name = name;
    this.#port = port;
    this.eventsMax = eventsMax;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/events`;
  }

  /** Every request that came, in order, taken or not. */
  get requests(): readonly SeenRequest[] {
    return [...this.#seen, ...(this.#subscriber?.requests ?? [])];
  }

  /** Breaks every connection, and is gone. */
  async leave(): Promise<void> {
    this.#seen = [...this.requests];
    const subscriber = this.#subscriber;
    this.#subscriber = undefined;
    await subscriber?.close();
  }

  async comeBack(): Promise<void> {
    this.#subscriber = await Subscriber.open(this.#port);
    this.#subscriber.answer = (request) => {
      const answer = this.answer(request);
      if (typeof answer === 'object' && answer.status >= 200 && answer.status <= 299) this.book.add(request.body);
      return answer;
    };
  }

  /** Away, and back somewhere else. */
  async move(): Promise<void> {
    await this.leave();
    [this.#port = 0] = await freePorts(1, Math.random);
    await this.comeBack();
  }
}
