/** RELP: every message is answered, so that what was taken over is known. */
import type { Stop } from '../stop.ts';
import { Connection, type Target } from './connection.ts';
import { RelpSession } from './relp-session.ts';
import type { Transport } from './transport.ts';

export class RelpTransport implements Transport {
  readonly hasBroken = false;
  readonly #target: Target;
  readonly #window: number;
  #session: RelpSession | undefined;

  constructor(target: Target, window: number) {
    this.#target = target;
    this.#window = window;
  }

  async send(messages: readonly Buffer[], stop: Stop): Promise<void> {
    // A session that the server has closed since the last write is seen now, and is no fault: all was answered.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#session?.isOver) this.#session = undefined;
    this.#session ??= await this.#open(stop);
    await this.#session.send(messages, stop);
  }

  async close(): Promise<void> {
    await this.#session?.close();
  }

  async #open(stop: Stop): Promise<RelpSession> {
    const connection = await Connection.open(this.#target, stop);
    try {
      return await RelpSession.open(connection, { what: this.#target.what, window: this.#window }, stop);
    } catch (error) {
      connection.end('its session could not be opened');
      throw error;
    }
  }
}
