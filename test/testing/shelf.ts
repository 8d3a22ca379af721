/** A destination in memory that misbehaves as it is told, and a writer to it that keeps the contract: what broken ones are made of. */
import { setTimeout as pause } from 'node:timers/promises';
import { FondacoError } from '../../core/errors.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import type { Received } from '../../testing/contract/received.ts';
import type { WriterContractOptions } from '../../testing/writer-contract.ts';
import { nativeJson } from '../../writers/native-json.ts';
import { fromNative } from '../support/received.ts';

export class Shelf {
  readonly lines: string[] = [];
  /** Of connections: those of an older life are closed. */
  life = 0;
  isHanging = false;
  isSlow = false;
  isReplyLost = false;
  hasPoison = false;
  /** How many more it takes before it fails once. */
  left = Infinity;
  readonly isOnce: boolean;

  constructor(isOnce = false) {
    this.isOnce = isOnce;
  }

  get received(): Received[] {
    return this.lines.map(fromNative);
  }

  /** Takes lines one by one. Rejects as a writer should. */
  async take(lines: readonly string[], signal: AbortSignal): Promise<void> {
    if (this.isHanging) await pause(2 ** 30, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', 'it was stopped');
    await pause(this.isSlow ? 5 : 0);
    if (this.hasPoison && lines.some((line) => line.includes('test.Poison'))) this.#refuse(lines);
    for (const [taken, line] of lines.entries()) {
      if (this.left-- <= 0) {
        this.left = Infinity;
        throw new FondacoError('UNAVAILABLE', 'no room', { taken });
      }
      if (!this.isOnce || !this.lines.includes(line)) this.lines.push(line);
    }
    if (!this.isReplyLost) return;
    this.isReplyLost = false;
    throw new FondacoError('UNAVAILABLE', 'the connection broke');
  }

  #refuse(lines: readonly string[]): never {
    const taken = lines.findIndex((line) => line.includes('test.Poison'));
    this.lines.push(...lines.slice(0, taken).filter((line) => !this.isOnce || !this.lines.includes(line)));
    throw new FondacoError('REJECTED', 'not this', { taken });
  }
}

export class ShelfWriter implements Writer {
  readonly shelf: Shelf;
  life: number;
  isClosed = false;

  constructor(shelf: Shelf) {
    this.shelf = shelf;
    this.life = shelf.life;
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (this.isClosed || signal.aborted) throw new FondacoError('UNAVAILABLE', 'it is closed or stopped');
    if (this.life !== this.shelf.life) {
      this.life = this.shelf.life;
      throw new FondacoError('UNAVAILABLE', 'the connection was closed');
    }
    await this.shelf.take(batch.map(nativeJson), signal);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

export const nobody = (facts = { unreachable: true }): Writer => ({
  write: async () => {
    throw new FondacoError('UNAVAILABLE', 'nobody listens', facts);
  },
});

/** The whole contract of it, with every hook. */
export const shelfOptions: WriterContractOptions<Shelf> = {
  open: () => new Shelf(),
  openWriter: (shelf) => new ShelfWriter(shelf),
  received: ({ received }) => received,
  payloads: ({ lines }) => lines,
  close: () => undefined,
  openUnreachable: () => nobody(),
  hang: (shelf) => (shelf.isHanging = true),
  recover: (shelf) => (shelf.isHanging = false),
  slow: (shelf) => (shelf.isSlow = true),
  loseReply: (shelf) => (shelf.isReplyLost = true),
  failAfter: (shelf, count) => (shelf.left = count),
  poison: (shelf) => {
    shelf.hasPoison = true;
    return { type: 'test.Poison', severity: 'warn', message: 'nobody takes this' };
  },
  restart: (shelf) => void shelf.life++,
};
