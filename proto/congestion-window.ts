/**
 * How many bytes of the normal lane may be on their way, learnt from the replies as TCP learns it (additive increase, multiplicative decrease:
 * RFC 5681, section 3; growth only where the window was used: RFC 7661). A proxy that is slow, or has many to serve, gets no more than it answers
 * in about a second, and each of many senders about the same; what is urgent does not wait behind it; and a narrow link gets batches that pass it
 * before it counts as silent. Pure: no clock, no I/O.
 */
const KIB = 1024;
/** To begin with, what late answers leave, and what answers in time add in a round trip: a batch or two. */
const STEP_BYTES = 256 * KIB;
/** What failures leave: a link of 2 KiB/s passes it in time. */
const MIN_BYTES = 16 * KIB;
const LATE_MS = 1_000;

export class CongestionWindow {
  readonly #max: number;
  #bytes = STEP_BYTES;

  constructor(bytesMax: number) {
    this.#max = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A batch was answered `ms` after it was sent; `onTheWay`: the bytes that were on their way then, its own among them. */
  answered(bytes: number, onTheWay: number, ms: number): void {
    if (ms >= LATE_MS) this.#bytes = Math.max(Math.min(STEP_BYTES, this.#bytes), this.#bytes >> 1);
    else if (onTheWay >= this.#bytes >> 1) this.#bytes = Math.min(this.#max, this.#bytes + this.#growth(bytes));
  }

  /** The link failed with batches on their way: perhaps because they were too many for it. */
  failed(): void {
    this.#bytes = Math.max(MIN_BYTES, this.#bytes >> 2);
  }

  /** A small window doubles with each round trip. */
  #growth(bytes: number): number {
    return Math.ceil(bytes * Math.min(1, STEP_BYTES / this.#bytes));
  }
}
