/** Reads the bodies of requests within limits of size, time, and what all of them together may take. */
import type { Readable } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { HttpError } from './http-error.ts';

export interface BodyLimits {
  /** One body. */
  readonly bytesMax: number;
  /** All bodies whose requests are under way. */
  readonly totalBytesMax: number;
  /** From the first byte of a body to its last. */
  readonly waitMs: number;
}

/** What a request takes at least, so that very many small ones are bounded too. */
const REQUEST_BYTES = 4096;

export class Bodies {
  readonly #limits: BodyLimits;
  readonly #clock: Clock;
  #bytes = 0;

  constructor(limits: BodyLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Reads a body and does `work` with it; its room is taken until that is done. `declared`: the length that the request names, if any.
   * Rejects with HttpError 413, 408, 400 (it ended early) or 503 (no room for it now).
   */
  async with<T>(stream: Readable, declared: number | undefined, work: (body: Buffer) => Promise<T>): Promise<T> {
    const { bytesMax, totalBytesMax } = this.#limits;
    if (declared !== undefined && declared > bytesMax) throw this.#tooLarge(declared);
    let taken = 0;
    const take = (bytes: number): void => {
      if (bytes <= taken) return;
      if (this.#bytes + bytes - taken > totalBytesMax)
        throw new HttpError(503, `all requests together must have at most ${totalBytesMax} bytes, got more`, { retryAfterMs: 1000 });
      this.#bytes += bytes - taken;
      taken = bytes;
    };
    take(REQUEST_BYTES); // and more as it comes: a sender that only promises much keeps no other out
    try {
      return await work(await this.#read(stream, take));
    } finally {
      this.#bytes -= taken;
    }
  }

  /** What a failed request still sends is passed over, so that its sender reads the answer; the server's own limit of time ends that. */
  async #read(stream: Readable, take: (bytes: number) => void): Promise<Buffer> {
    const { bytesMax, waitMs } = this.#limits;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const ended = new AbortController();
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        stream.on('data', (chunk: Buffer) => {
          if (ended.signal.aborted) return;
          bytes += chunk.length;
          chunks.push(chunk);
          try {
            if (bytes > bytesMax) throw this.#tooLarge(bytes);
            take(bytes);
          } catch (error) {
            reject(error);
          }
        });
        stream.once('end', () => resolve(Buffer.concat(chunks)));
        const early = (): void => reject(new HttpError(400, `body must be sent whole, got its end after ${bytes} bytes`));
        stream.once('error', early).once('close', early);
        void this.#clock.sleep(waitMs, ended.signal).then(() => reject(new HttpError(408, `body must be sent within ${waitMs / 1000} s`)));
      });
    } finally {
      chunks.length = 0;
      ended.abort();
    }
  }

  #tooLarge(bytes: number): HttpError {
    return new HttpError(413, `body must be at most ${this.#limits.bytesMax} bytes, got ${bytes}`, { field: 'body' });
  }
}
