/** A reader of server-sent events, plain: blocks with their fields as they came. */
import { get, type IncomingMessage } from 'node:http';

export interface SentBlock {
  readonly event?: string;
  readonly id?: string;
  readonly data?: string;
  readonly comment?: string;
  readonly retry?: string;
}

export class EventSourceReader {
  readonly blocks: SentBlock[] = [];
  readonly answer: IncomingMessage;
  isEnded = false;
  #text = '';

  /** Resolves when the head of the answer is there. */
  static async open(url: string, lastEventId?: string): Promise<EventSourceReader> {
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      get(url, { headers, agent: false }, resolve).once('error', reject);
    });
    return new EventSourceReader(answer);
  }

  private constructor(answer: IncomingMessage) {
    this.answer = answer;
    answer.setEncoding('utf8');
    answer.on('data', (text: string) => this.#take(text));
    answer.once('close', () => (this.isEnded = true));
    answer.on('error', () => {});
  }

  /** The last id, as a browser would send it. */
  get lastId(): string | undefined {
    return this.blocks.filter(({ id }) => id !== undefined).at(-1)?.id;
  }

  get events(): { id: string; message: string; lane: string; position: number }[] {
    return this.blocks
      .filter(({ event }) => event === 'event')
      .map(({ data = '' }) => JSON.parse(data) as { id: string; message: string; lane: string; position: number });
  }

  get messages(): string[] {
    return this.events.map(({ message }) => message);
  }

  get comments(): string[] {
    return this.blocks.flatMap(({ comment }) => comment ?? []);
  }

  close(): void {
    this.answer.destroy();
  }

  #take(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      const block: Record<string, string> = {};
      for (const line of this.#text.slice(0, end).split('\n')) {
        const colon = line.indexOf(':');
        block[colon === 0 ? 'comment' : line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, '');
      }
      this.blocks.push(block);
      this.#text = this.#text.slice(end + 2);
    }
  }
}
