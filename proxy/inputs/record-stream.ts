/**
 * One Record call: every batch goes to `accept` as it comes, and the replies go back in the order of the batches, each when its promise has
 * resolved, which is when it is durable.
 */
import type { EventEmitter } from 'node:events';
import { status } from '@grpc/grpc-js';
import type { Batch, BatchReply } from '../../core/batch.ts';
import { asError, isFondacoError } from '../../core/errors.ts';
import type { BatchRequest } from '../../proto/load.ts';
import { grpcStatus, type GrpcStatus } from './grpc-status.ts';

/** A message of a Record stream, with what gives its room back. */
export interface Received {
  readonly bytes: number;
  readonly request: BatchRequest;
  readonly release: () => void;
}

/** What a Record call is to its stream: of a ServerDuplexStream no more than this. `cancelled` is emitted when the client is gone. */
export interface RecordCall extends EventEmitter {
  write(reply: BatchReply): boolean;
  end(): void;
  pause(): unknown;
}

export interface RecordStreamOptions {
  /** Resolves when the batch is durable. Rejects REFUSED (a sender that is not let in), UNAVAILABLE or FULL; anything else but CORRUPT and REJECTED is a bug. */
  readonly accept: (batch: Batch) => Promise<BatchReply>;
  /** The UUID of the journal, for replies that were not made by `accept`. */
  readonly journal: string;
}

/** Takes batches from its making on. `onBug` is called with what `accept` must not reject with. */
export class RecordStream {
  readonly #call: RecordCall;
  readonly #options: RecordStreamOptions;
  readonly #onBug: (bug: unknown) => void;
  /** Resolves when everything taken so far is answered; replies hang on it one after the other, which is their order. */
  #answered: Promise<void> = Promise.resolve();
  #isEnded = false;
  #sender: Batch['sender'] | undefined;

  constructor(call: RecordCall, options: RecordStreamOptions, onBug: (bug: unknown) => void) {
    this.#call = call;
    this.#options = options;
    this.#onBug = onBug;
    call.on('data', (received: Received) => this.#take(received));
    call.once('end', () => this.#then(async () => this.#end()));
    call.once('cancelled', () => (this.#isEnded = true));
  }

  /** Takes nothing more; resolves when what was taken is answered and the stream has ended. */
  async stop(): Promise<void> {
    this.#call.removeAllListeners('data');
    this.#call.pause();
    this.#then(async () => this.#end(grpcStatus(status.UNAVAILABLE, 'the proxy is stopping: connect again')));
    await this.#answered;
  }

  #take({ request: received, release }: Received): void {
    const request = received instanceof Error ? received : this.#named(received);
    if (request instanceof Error) {
      // What came before it is answered first.
      this.#call.pause();
      this.#then(async () => {
        release();
        this.#end(statusOf(request));
      });
      return;
    }
    const accepted = this.#accept(request);
    this.#then(async () => {
      const result = await accepted;
      if (result instanceof Error) this.#fail(request, result);
      else await this.#reply(result);
      release();
    });
  }

  /** A sender names itself once a stream; its losses are to name it whichever batch they come with. */
  #named(batch: Batch): Batch {
    if (batch.sender.node !== '' || batch.sender.component !== '') this.#sender = batch.sender;
    return this.#sender === undefined ? batch : { ...batch, sender: this.#sender };
  }

  /** The reply, or the error as a value: it waits for its turn, and a rejection that waits would count as unhandled. */
  async #accept(batch: Batch): Promise<BatchReply | Error> {
    try {
      return await this.#options.accept(batch);
    } catch (error) {
      return asError(error);
    }
  }

  #fail(batch: Batch, error: Error): void {
    const answer = statusOf(error);
    if (answer.code === status.INTERNAL) this.#onBug(error);
    if (this.#isEnded) return;
    if (isFondacoError(error, 'FULL')) {
      const { retryAfterMs = 1000 } = error.facts;
      // settled 0 says nothing new: what a sender knows to be settled stays so.
      this.#call.write({ series: batch.series, settled: 0, journal: this.#options.journal, throttleMs: retryAfterMs, rejections: [] });
      return;
    }
    this.#end(answer);
  }

  /** Waits where the sender does not read its replies, so that they do not pile up either. */
  async #reply(reply: BatchReply): Promise<void> {
    if (this.#isEnded || this.#call.write(reply)) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        this.#call.off('drain', go).off('cancelled', go);
        resolve();
      };
      this.#call.on('drain', go).on('cancelled', go);
    });
  }

  #end(answer?: GrpcStatus): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (answer) this.#call.emit('error', answer);
    else this.#call.end();
  }

  #then(step: () => Promise<void>): void {
    this.#answered = this.#answered.then(step);
    this.#answered.catch(this.#onBug);
  }
}

/** What a caller is told of an error. */
export function statusOf(error: unknown): GrpcStatus {
  if (!isFondacoError(error)) return grpcStatus(status.INTERNAL, asError(error).message);
  const { text, facts } = error;
  if (error.code === 'REFUSED') return grpcStatus(status.PERMISSION_DENIED, text);
  if (error.code === 'REJECTED') return grpcStatus(status.INVALID_ARGUMENT, text);
  if (error.code === 'FULL') return grpcStatus(status.RESOURCE_EXHAUSTED, text, facts.retryAfterMs ?? 1000);
  if (error.code === 'UNAVAILABLE') return grpcStatus(status.UNAVAILABLE, text, facts.retryAfterMs);
  if (error.code === 'CORRUPT') return grpcStatus(status.DATA_LOSS, text);
  return grpcStatus(status.INTERNAL, text);
}
