import { createServer, type Server } from 'node:http';
import { freePorts } from '../../demo/free-ports.ts';
import type { Lane } from '../../core/lane.ts';
import { Tally } from './tally.ts';

/** A batch that was taken. */
export interface TallyBatch {
  readonly lane: Lane;
  readonly count: number;
  /** When its request was there, by the wall clock of this machine, which is the proxy's. */
  readonly at: number;
  /** When the proxy received the first of its events, by the same clock. */
  readonly receivedAt: number;
  /** Whether a batch of the other lane was being answered then. */
  readonly isBeside: boolean;
}

/** A destination with a place of its own that counts what comes, batch by batch, and answers after a while. It may leave and come back. */
export class TallySubscriber {
  readonly tally = new Tally();
  readonly batches: TallyBatch[] = [];
  /** How long it takes to answer, and with what. */
  delayMs = 0;
  status = 200;
  /** Requests that were answered with another status than 200, by lane. */
  readonly refused = { urgent: 0, normal: 0 };
  readonly #answering = { urgent: 0, normal: 0 };
  readonly #port: number;
  #server: Server | undefined;

  static async reserve(): Promise<TallySubscriber> {
    const [port = 0] = await freePorts(1, Math.random);
    return new TallySubscriber(port);
  }

  private constructor(port: number) {
    this.#port = port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  /** How many batches of the lane were taken. */
  count(lane: Lane): number {
    return this.batches.reduce((sum, batch) => sum + (batch.lane === lane ? 1 : 0), 0);
  }

  async open(): Promise<void> {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('error', () => undefined);
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const lane = this.#take(Buffer.concat(parts));
        this.#answering[lane]++;
        const answer = (): void => {
          this.#answering[lane]--;
          response.writeHead(this.status).end();
        };
        if (this.delayMs === 0) answer();
        else setTimeout(answer, this.delayMs);
      });
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(this.#port, '127.0.0.1', resolve));
  }

  async leave(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  #take(body: Buffer): Lane {
    const first = body.subarray(0, body.indexOf('\n')).toString();
    const { receivedTime, delivery } = JSON.parse(first) as { receivedTime: string; delivery: { lane: Lane } };
    const { lane } = delivery;
    if (this.status !== 200) this.refused[lane]++;
    else {
      const isBeside = this.#answering[lane === 'urgent' ? 'normal' : 'urgent'] > 0;
      const at = Date.now();
      this.batches.push({ lane, count: this.tally.add(body), at, receivedAt: Date.parse(receivedTime), isBeside });
    }
    return lane;
  }
}
