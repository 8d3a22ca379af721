import type { DecodedEvent } from './event-codec.ts';
import type { Lane } from './lane.ts';

/** A destination's client: writes one batch; knows nothing of retries, order or cursors. */
export interface Writer {
  /**
   * For transports without an acknowledgement: how many events the other side may not have got when `write` resolves. The feed keeps settled
   * that far behind sent (at most 10 s after the last write), and sends what lies between again after UNAVAILABLE.
   */
  readonly resendWindow?: number | undefined;
  /**
   * Called with batches of one lane, in order, at most one at a time per lane. Resolves when the destination has taken the whole batch
   * over. A batch may come again, in the same or other cuts. Rejects with a FondacoError whose code says what to do:
   * UNAVAILABLE (keep, try again), REFUSED (pause, keep everything), REJECTED (an event in it, never); anything else counts as UNAVAILABLE. With the fact
   * `taken` the code is about one delivery: those before it are settled, nothing is said of those behind it, and they come again.
   * When `signal` is aborted it stops as soon as it can and rejects; one that goes on is left alone 10 s later, and called again.
   */
  write(batch: readonly Delivery[], signal: AbortSignal): Promise<void>;
  /**
   * For a writer with a `resendWindow`: whether the connection that took the last writes of this lane has ended since. Asked before what they
   * sent counts as delivered; where it has, that is sent again.
   */
  hasBroken?(lane: Lane): boolean;
  /** What a person should know of the destination although it takes everything; a sentence each, asked for by `status`. */
  warnings?(): readonly string[];
  /** SIGHUP: what it has open by name (a file that was renamed, say) is to be let go, and opened anew by the next write. */
  reopen?(): void;
  /**
   * What it has to know in a later life of what its destination said in this lane, at most 4 KiB: asked whenever the feed's place is stored,
   * and stored with it.
   */
  note?(lane: Lane): string | undefined;
  /** Called before the first write, with the lane's note of an earlier life. */
  recall?(lane: Lane, note: string): void;
  /** Frees what it holds; called once, after the last write. It is waited for, for 5 s at most, and what it rejects with is only logged. */
  close?(): Promise<void>;
}

/** One event for one writer. To be read only: writers share the event. */
export interface Delivery {
  readonly event: Readonly<DecodedEvent>;
  readonly delivery: DeliveryNumber;
  /** Names the entry for ever: positions may be used again after a loss, an epoch's birth never. For idempotency keys, and nothing else is. */
  readonly entry: { readonly epoch: number; readonly birth: number; readonly position: number };
  /** True of a dead letter that is delivered again: the lane has gone on since, so it stands out of its order. */
  readonly isReplay?: boolean;
}

/** Where the event stands in what this writer is sent: seq counts the entries that matched its filter, so a gap is a loss. */
export interface DeliveryNumber {
  readonly writer: string;
  readonly lane: Lane;
  /** UUID. */
  readonly series: string;
  readonly seq: number;
}
