/** What a new value means: it went above the limit, it came back below, or nothing worth telling. */
export type Crossing = 'up' | 'down' | undefined;

/** A limit with hysteresis: crossed upwards at `high`, and back only below `low`, so that a value that trembles at the limit is told once. */
export class Threshold {
  readonly high: number;
  readonly low: number;
  #isHigh = false;

  constructor(high: number, low: number) {
    this.high = high;
    this.low = Math.min(low, high);
  }

  next(value: number): Crossing {
    if (!this.#isHigh && value >= this.high) {
      this.#isHigh = true;
      return 'up';
    }
    if (this.#isHigh && value < this.low) {
      this.#isHigh = false;
      return 'down';
    }
    return undefined;
  }
}
