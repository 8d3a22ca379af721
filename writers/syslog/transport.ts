import type { Stop } from '../stop.ts';

/** The way of one lane's messages to the server. Used by one write at a time. */
export interface Transport {
  /**
   * Resolves when the messages are sent or, where the transport has answers, taken over. Rejects as `Writer.write` does; `stop` ends it.
   */
  send(messages: readonly Buffer[], stop: Stop): Promise<void>;
  /** The connection has ended since the last successful `send`: what lies within the resend window may not have arrived. */
  readonly hasBroken: boolean;
  close(): Promise<void>;
}
