/// <reference types="node" preserve="true" />
/**
 * One Record call to a proxy: asks batch after batch, and hands each its answer, which come in their order. Whatever goes wrong ends it for
 * all that wait, and for good: a new one is made by who needs it.
 */
import type { BatchReply } from '../../core/batch.ts';
import { FondacoError } from '../../core/errors.ts';
import type { OutgoingBatch } from '../../proto/batch-codec.ts';
import { linkError } from '../../proto/link-error.ts';
import { RecordClient, type LinkSecurity, type RecordStream } from '../../proto/record-client.ts';

interface Question {
  readonly answer: (reply: BatchReply) => void;
  readonly fail: (error: FondacoError) => void;
}

export interface LinkParts {
  readonly proxy: string;
  readonly security: LinkSecurity;
  /** An answer that takes longer ends the link. */
  readonly timeoutMs: number;
}

export class UpstreamLink {
  readonly #parts: LinkParts;
  readonly #client: RecordClient;
  readonly #call: RecordStream;
  readonly #waiting: Question[] = [];
  #wasAnswered = false;
  #failure: FondacoError | undefined;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.#client = new RecordClient(parts.proxy, parts.security);
    this.#call = this.#client.record({
      reply: (reply) => {
        this.#wasAnswered = true;
        this.#waiting.shift()?.answer(reply);
      },
      end: (error) => this.#fail(linkError(error ?? new Error('the proxy ended the stream'), parts.proxy, parts.security)),
    });
  }

  /** Why it has ended. */
  get failure(): FondacoError | undefined {
    return this.#failure;
  }

  /**
   * Sends a batch; resolves with its answer. Rejects REFUSED where the proxy does not let us in, UNAVAILABLE for everything else that ends the
   * link, and at `signal`; then what was sent may be taken all the same.
   */
  async ask(batch: OutgoingBatch, signal: AbortSignal): Promise<BatchReply> {
    if (this.#failure) throw this.#failure;
    if (signal.aborted) throw this.#stopped();
    const { timeoutMs } = this.#parts;
    let stop = (): void => undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<BatchReply>((resolve, reject) => {
        stop = () => reject(this.#stopped());
        signal.addEventListener('abort', stop, { once: true });
        timer = setTimeout(() => this.#fail(this.#error(`no answer within ${timeoutMs} ms`)), timeoutMs);
        this.#waiting.push({ answer: resolve, fail: reject });
        this.#call.send(batch);
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  close(): void {
    this.#fail(this.#stopped());
  }

  #stopped(): FondacoError {
    return this.#error('this link was stopped');
  }

  #error(text: string): FondacoError {
    return new FondacoError('UNAVAILABLE', `proxy ${this.#parts.proxy}: ${text}`);
  }

  #fail(error: FondacoError): void {
    if (this.#failure) return;
    const unreachable = error.code === 'UNAVAILABLE' && !this.#wasAnswered && !this.#client.isReady();
    this.#failure = new FondacoError(error.code, error.text, { cause: error, ...(unreachable && { unreachable }) });
    for (const { fail } of this.#waiting.splice(0)) fail(this.#failure);
    this.#call.cancel();
    this.#client.close();
  }
}
