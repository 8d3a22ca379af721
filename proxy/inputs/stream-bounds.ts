/**
 * What Record streams have sent and was not answered is bounded in bytes, each and all together: beyond that no further message is taken, and
 * HTTP/2's flow control stops the sender. Each stream always has one message of its own; those that wait for the rest go first come, first served,
 * so that many senders at full speed get the same. Pausing a call alone would not do: a paused stream of grpc-js still reads ahead sixteen
 * messages, whatever their size.
 */
import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { eventService } from '../../proto/load.ts';
import type { Received } from './record-stream.ts';

export interface StreamBounds {
  readonly ofOne: number;
  readonly ofAll: number;
}

/** What all streams have not been answered, and who waits. */
interface Shared {
  bytes: number;
  readonly waiting: Set<Bounded>;
}

/** One stream, from its first message to its status. */
class Bounded {
  readonly #shared: Shared;
  readonly #max: StreamBounds;
  #bytes = 0;
  #waiting: { readonly bytes: number; readonly step: () => void } | undefined;
  #isOver = false;

  constructor(shared: Shared, max: StreamBounds) {
    this.#shared = shared;
    this.#max = max;
  }

  /** Hands a message on, now or when there is room. The next one comes only after it. */
  take(received: Received, next: (received: Received) => void): void {
    const { bytes } = received;
    const step = (): void => {
      this.#bytes += bytes;
      this.#shared.bytes += bytes;
      next({ ...received, release: () => this.#release(bytes) });
    };
    if (this.#isOver || this.#hasRoom(bytes)) {
      step();
      return;
    }
    this.#waiting = { bytes, step };
    this.#shared.waiting.add(this);
  }

  /** Nothing of it counts any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#giveBack(this.#bytes);
  }

  #release(bytes: number): void {
    if (!this.#isOver) this.#giveBack(bytes);
  }

  #giveBack(bytes: number): void {
    this.#bytes -= bytes;
    this.#shared.bytes -= bytes;
    for (const stream of [...this.#shared.waiting]) stream.#goOn();
  }

  #goOn(): void {
    if (!this.#waiting || !(this.#isOver || this.#hasRoom(this.#waiting.bytes))) return;
    const { step } = this.#waiting;
    this.#waiting = undefined;
    this.#shared.waiting.delete(this);
    step();
  }

  #hasRoom(bytes: number): boolean {
    return this.#bytes === 0 || (this.#bytes + bytes <= this.#max.ofOne && this.#shared.bytes + bytes <= this.#max.ofAll);
  }
}

/** For a server; each has bounds of its own. */
export function boundStreams(max: StreamBounds): ServerInterceptor {
  const shared: Shared = { bytes: 0, waiting: new Set() };
  return (method, call) => {
    if (method.path !== eventService.Record.path) return new ServerInterceptingCall(call);
    const stream = new Bounded(shared, max);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMessage: (received: Received, nextMessage: (received: Received) => void) => stream.take(received, nextMessage),
          onCancel: () => stream.end(),
        }),
      sendStatus: (status, next) => {
        stream.end();
        next(status);
      },
    });
  };
}
