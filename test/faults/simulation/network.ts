/** Links between agents and the proxy: the real session at one end, the real stream of the input at the other, encoded messages between. */
import { EventEmitter } from 'node:events';
import type { Batch, BatchReply } from '../../../core/batch.ts';
import { FondacoError } from '../../../core/errors.ts';
import { decodeBatchOrError, decodeReply, encodeOutgoing, encodeReply, type OutgoingBatch } from '../../../proto/batch-codec.ts';
import type { RecordLink, RecordStream as ClientStream, StreamEvents } from '../../../proto/record-client.ts';
import { RecordStream, type RecordCall } from '../../../proxy/inputs/record-stream.ts';
import type { Life, Timeline } from './timeline.ts';

/** Where a proxy listens. */
export interface Listening {
  readonly life: Life;
  readonly journal: string;
  readonly accept: (batch: Batch) => Promise<BatchReply>;
  readonly onBug: (bug: unknown) => void;
}

/** up; refused: nobody answers, and that is known at once; silent: whatever is sent vanishes. */
export type Weather = 'up' | 'refused' | 'silent';

/** The network between one agent and the proxy. */
export class Network {
  weather: Weather = 'up';
  readonly #timeline: Timeline;
  readonly #proxy: () => Listening | undefined;
  #calls: Call[] = [];

  constructor(timeline: Timeline, proxy: () => Listening | undefined) {
    this.#timeline = timeline;
    this.#proxy = proxy;
  }

  /** For a life of the agent. */
  connect(life: Life, address: string): RecordLink {
    return {
      proxy: address,
      isReady: () => this.weather === 'up' && this.#proxy() !== undefined,
      record: (events) => {
        const call = new Call({ timeline: this.#timeline, life, proxy: () => this.reachable() }, events);
        this.#calls = [...this.#calls.filter((each) => !each.isOver), call];
        return call;
      },
      close: () => undefined,
    };
  }

  reachable(): Listening | 'silent' | undefined {
    if (this.weather !== 'up') return this.weather === 'silent' ? 'silent' : undefined;
    return this.#proxy();
  }

  /** Every connection breaks: what is on its way is lost. Both ends hear of it, or `isSilent`: neither. */
  cut(isSilent: boolean): void {
    for (const call of this.#calls) call.cut(isSilent);
    this.#calls = [];
  }
}

/** Messages in one direction: they arrive in their order, each when the schedule says so, or never. */
class Channel {
  readonly #timeline: Timeline;
  readonly #to: { life: Life | undefined; what: string };
  #queue: (() => void)[] = [];
  #takeBack: (() => void) | undefined;

  constructor(timeline: Timeline, to: { life: Life | undefined; what: string }) {
    this.#timeline = timeline;
    this.#to = to;
  }

  push(arrive: () => void): void {
    this.#queue.push(arrive);
    this.#next();
  }

  /** What is on its way is lost. */
  clear(): void {
    this.#queue = [];
    this.#takeBack?.();
    this.#takeBack = undefined;
  }

  #next(): void {
    if (this.#queue.length === 0 || this.#takeBack) return;
    const life = this.#to.life ?? { isDead: false, frozen: [] };
    this.#takeBack = this.#timeline.add({
      life,
      what: this.#to.what,
      go: () => {
        this.#takeBack = undefined;
        this.#queue.shift()?.();
        this.#next();
      },
    });
  }
}

interface CallParts {
  readonly timeline: Timeline;
  readonly life: Life;
  readonly proxy: () => Listening | 'silent' | undefined;
}

class Call implements ClientStream {
  isOver = false;
  readonly #parts: CallParts;
  readonly #events: StreamEvents;
  readonly #toProxy: Channel;
  readonly #toAgent: Channel;
  #server: ServerCall | undefined;
  #isCut = false;

  constructor(parts: CallParts, events: StreamEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#toProxy = new Channel(parts.timeline, { life: undefined, what: 'a message to the proxy' });
    this.#toAgent = new Channel(parts.timeline, { life: parts.life, what: 'a message to an agent' });
  }

  send(batch: OutgoingBatch): number {
    const bytes = encodeOutgoing(batch);
    this.#push(() => {
      this.#reached()?.emit('data', { bytes: bytes.length, request: decodeBatchOrError(bytes), release: () => undefined });
    });
    return bytes.length;
  }

  end(): void {
    this.#push(() => this.#reached()?.emit('end'));
  }

  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#push(() => this.#server?.emit('cancelled'));
  }

  cut(isSilent: boolean): void {
    this.#isCut = true;
    this.#toProxy.clear();
    this.#toAgent.clear();
    if (isSilent) return;
    this.#toProxy.push(() => this.#server?.emit('cancelled'));
    this.#fail('the connection broke');
  }

  #push(arrive: () => void): void {
    if (!this.#isCut) this.#toProxy.push(arrive);
  }

  /** The proxy's end, made when the first message arrives; none if there is nobody, or nobody any more. */
  #reached(): ServerCall | undefined {
    const proxy = this.#parts.proxy();
    if (proxy === 'silent') return undefined;
    if (!proxy || (this.#server && this.#server.life !== proxy.life)) {
      this.#fail('nobody listens');
      return undefined;
    }
    this.#server ??= new ServerCall(proxy, {
      reply: (bytes) => this.#toAgent.push(() => !this.isOver && this.#events.reply(decodeReply(bytes))),
      end: (error) => this.#toAgent.push(() => this.#end(error)),
    });
    return this.#server;
  }

  #fail(why: string): void {
    this.#toAgent.push(() => this.#end(new FondacoError('UNAVAILABLE', why)));
  }

  #end(error: Error | undefined): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#events.end(error);
  }
}

/** What the proxy's stream has of a call. */
class ServerCall extends EventEmitter implements RecordCall {
  readonly life: Life;
  readonly #answers: { reply: (bytes: Buffer) => void; end: (error: Error | undefined) => void };

  constructor(proxy: Listening, answers: { reply: (bytes: Buffer) => void; end: (error: Error | undefined) => void }) {
    super();
    this.life = proxy.life;
    this.#answers = answers;
    this.on('error', ({ details }: { details: string }) => this.#answers.end(new FondacoError('UNAVAILABLE', details)));
    void new RecordStream(this, proxy, proxy.onBug);
  }

  write(reply: BatchReply): boolean {
    if (!this.life.isDead) this.#answers.reply(encodeReply(reply));
    return true;
  }

  end(): void {
    if (!this.life.isDead) this.#answers.end(undefined);
  }

  pause(): void {
    this.removeAllListeners('data'); // nothing more is read
  }
}
