/** HTTP dates have whole seconds, and proxies on the way take a moment. */
const SKEW_MS_MAX = 60_000;

/** How far the destination's clock is from ours, by the `Date` of its last answer. */
export class ClockSkew {
  #skewMs = 0;

  /** An answer that says `date` came for a request that left at `sentAt`; both wall clock, ms. Undefined: it said no date. */
  saw(date: number | undefined, sentAt: number, receivedAt: number): void {
    if (date === undefined) return;
    // It was made some time in between: only what lies outside is a difference. A date is cut to its second.
    this.#skewMs = date > receivedAt ? date - receivedAt : date + 1000 < sentAt ? date + 1000 - sentAt : 0;
  }

  /** What a person should know; undefined while the two are within a minute. */
  get warning(): string | undefined {
    const seconds = Math.round(Math.abs(this.#skewMs) / 1000);
    if (Math.abs(this.#skewMs) <= SKEW_MS_MAX) return undefined;
    return `its clock is ${seconds} s ${this.#skewMs > 0 ? 'ahead of' : 'behind'} the one here`;
  }
}
