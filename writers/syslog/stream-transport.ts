/** TCP and TLS: nothing is answered, so that what was written counts only as long as the connection holds (the writer's `resendWindow`). */
import type { Clock } from '../../core/clock.ts';
import { FondacoError } from '../../core/errors.ts';
import type { Stop } from '../stop.ts';
import { Connection, type Target } from './connection.ts';
import { framed, type Framing } from './framing.ts';
import type { Transport } from './transport.ts';

/** Well beyond the 10 s after which the feed counts the last write as delivered. */
const CONFIRMED_MS = 15_000;

export class StreamTransport implements Transport {
  readonly #target: Target;
  readonly #framing: Framing;
  readonly #clock: Clock;
  #connection: Connection | undefined;
  #sentAt = 0;

  constructor(target: Target, framing: Framing, clock: Clock) {
    this.#target = target;
    this.#framing = framing;
    this.#clock = clock;
  }

  get hasBroken(): boolean {
    return this.#connection?.why !== undefined;
  }

  async send(messages: readonly Buffer[], stop: Stop): Promise<void> {
    // What the server said since the last write, its end above all, is heard before the next one.
    await new Promise((resolve) => setImmediate(resolve));
    this.#mustHaveHeld();
    this.#connection ??= await Connection.open(this.#target, stop);
    try {
      await this.#connection.send(framed(messages, this.#framing), stop);
      this.#sentAt = this.#clock.monotonic();
    } catch (error) {
      this.#connection = undefined; // who called knows now
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#connection?.close();
  }

  /** A connection that ended after all that it carried was confirmed is no fault: idle ones are closed by many servers. */
  #mustHaveHeld(): void {
    const why = this.#connection?.why;
    if (!why) return;
    this.#connection = undefined;
    if (this.#clock.monotonic() - this.#sentAt > CONFIRMED_MS) return;
    throw new FondacoError('UNAVAILABLE', `${why.text}; what was sent last may not have arrived, and comes again`, { cause: why });
  }
}
