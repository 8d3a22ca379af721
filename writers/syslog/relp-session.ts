/**
 * A session of RELP over a connection: `open` with offers, `syslog` frames of which so many may be without an answer, `close`. An answer is
 * `rsp` with the number of what it answers, and begins with a status: `200 OK`, or `500` and why not.
 */
import { FondacoError } from '../../core/errors.ts';
import type { Stop } from '../stop.ts';
import type { Connection } from './connection.ts';
import { NUMBER_MAX, RelpReader, relpFrame, type RelpFrame } from './relp-frames.ts';

const OFFERS = Buffer.from('relp_version=0\nrelp_software=fondaco\ncommands=syslog');
const ANSWER_CHARS_MAX = 2048;

export interface RelpOptions {
  readonly what: string;
  readonly window: number;
  /** The number of the first frame, for tests of what follows the largest. */
  readonly firstNumber?: number;
}

interface Answer {
  readonly status: string;
  readonly text: string;
}

export class RelpSession {
  readonly #connection: Connection;
  readonly #options: RelpOptions;
  readonly #reader = new RelpReader();
  #number: number;
  readonly #unanswered = new Map<number, (answer: Answer) => void>();
  /** Wakes the write that waits for room or for its last answer. */
  #wake = (): void => undefined;

  /** Rejects UNAVAILABLE, or REFUSED where the server does not take syslog. */
  static async open(connection: Connection, options: RelpOptions, stop: Stop): Promise<RelpSession> {
    const session = new RelpSession(connection, options);
    let answer: Answer | undefined;
    await session.#transmit([['open', OFFERS]], (given) => (answer = given), stop);
    while (!answer) await session.#answered(stop);
    const { status, text } = answer;
    const commands = /^commands=(.*)$/m.exec(text)?.[1]?.split(',') ?? [];
    if (status === '200' && commands.includes('syslog')) return session;
    const got = status === '200' ? `commands=${commands.join(',')}` : text;
    throw new FondacoError('REFUSED', `${options.what} must be opened with 200 and the command syslog, got ${got}`, {
      status,
      answer: text,
    });
  }

  private constructor(connection: Connection, options: RelpOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#number = (options.firstNumber ?? 1) - 1;
    connection.onData = (bytes) => this.#take(bytes);
  }

  get isOver(): boolean {
    return this.#connection.why !== undefined;
  }

  /** Resolves when every message is answered with 200. Rejects UNAVAILABLE, or REJECTED where one is not. */
  async send(messages: readonly Buffer[], stop: Stop): Promise<void> {
    let refusal: Answer | undefined;
    const judge = (answer: Answer): void => {
      if (answer.status !== '200') refusal ??= answer;
    };
    let next = 0;
    while (next < messages.length || this.#unanswered.size > 0) {
      const room = refusal ? 0 : this.#options.window - this.#unanswered.size;
      const some = messages.slice(next, next + room);
      if (refusal && this.#unanswered.size === 0) break;
      next += some.length;
      const frames = some.map((message): [string, Buffer] => ['syslog', message]);
      if (frames.length > 0) await this.#transmit(frames, judge, stop);
      else await this.#answered(stop);
    }
    if (refusal) throw this.#rejected(refusal);
  }

  async close(): Promise<void> {
    await this.#connection.close(relpFrame(this.#nextNumber(), 'close', Buffer.alloc(0)));
  }

  async #transmit(frames: readonly [command: string, data: Buffer][], onAnswer: (answer: Answer) => void, stop: Stop): Promise<void> {
    const bytes = frames.map(([command, data]) => {
      const number = this.#nextNumber();
      this.#unanswered.set(number, onAnswer);
      return relpFrame(number, command, data);
    });
    await this.#connection.send(Buffer.concat(bytes), stop);
  }

  #nextNumber(): number {
    this.#number = this.#number >= NUMBER_MAX ? 1 : this.#number + 1;
    return this.#number;
  }

  /** Until there was an answer. */
  async #answered(stop: Stop): Promise<void> {
    await this.#connection.unlessEnded(new Promise<void>((resolve) => (this.#wake = resolve)), stop);
  }

  #take(bytes: Buffer): void {
    try {
      for (const frame of this.#reader.push(bytes)) this.#heed(frame);
    } catch (error) {
      this.#wake(); // answers that came before it count
      this.#connection.end((error as Error).message);
    }
    this.#wake();
  }

  #heed({ number, command, data }: RelpFrame): void {
    if (command === 'serverclose') throw new Error('it closed the session (serverclose)');
    if (command !== 'rsp') throw new Error(`it must answer with rsp, got ${command}`);
    const onAnswer = this.#unanswered.get(number);
    if (!onAnswer) throw new Error(`it answered ${number}, which waits for no answer`);
    this.#unanswered.delete(number);
    const text = data.toString('utf8');
    onAnswer({ status: /^\d{3}(?!\d)/.exec(text)?.[0] ?? 'none', text: text.slice(0, ANSWER_CHARS_MAX) });
  }

  #rejected({ status, text }: Answer): FondacoError {
    const facts = { status, answer: text };
    return new FondacoError('REJECTED', `${this.#options.what} must be answered with 200, got ${status}`, facts);
  }
}
