/** Which numbers of a series were seen, and what was in the last of them, in memory that does not grow with a record that is whole. */

/** Numbers a page: a bit each. */
const PAGE = 4096;
/** Checksums a page: only of what came last, because a repeat follows soon after the first. */
const SUMS = 256;

/** Numbers first to last, both included. */
export type NumberRange = readonly [first: number, last: number];

/** What all series of one record share: how much they may keep. */
export class SeenLimits {
  /** Pages with holes in them: 512 bytes each. Beyond it the record is in no order at all. */
  pagesLeft: number;
  /** Checksums, oldest first: 1 KiB a page. What is forgotten can no longer be compared. */
  readonly sums = new Map<string, Uint32Array>();
  readonly sumPagesMax: number;

  constructor({ pagesMax = 65_536, sumPagesMax = 16_384 } = {}) {
    this.pagesLeft = pagesMax;
    this.sumPagesMax = sumPagesMax;
  }
}

/** What became of a number that was added. */
export type Added = 'new' | 'late' | 'repeat' | 'changed' | 'not compared';

/** The numbers 1, 2, 3 … of one series. */
export class SeenNumbers {
  readonly #name: string;
  readonly #limits: SeenLimits;
  /** Everything up to it was seen. */
  #solid = 0;
  #max = 0;
  #min = Infinity;
  #count = 0;
  /** Above `#solid`; 'full' for a page without a hole. */
  readonly #pages = new Map<number, Uint8Array | 'full'>();
  readonly #held = new Map<number, number>();

  /** `name`: of the series, unique among those that share `limits`. */
  constructor(name: string, limits: SeenLimits) {
    this.#name = name;
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  get min(): number {
    return this.#min;
  }

  get max(): number {
    return this.#max;
  }

  /** `sum`: a checksum of what is under the number. Undefined: there is no room for another page with holes. */
  add(number: number, sum: number): Added | undefined {
    if (this.has(number)) return this.#compare(number, sum);
    if (!this.#mark(number)) return undefined;
    this.#remember(number, sum);
    const isLate = number < this.#max;
    this.#count++;
    this.#max = Math.max(this.#max, number);
    this.#min = Math.min(this.#min, number);
    return isLate ? 'late' : 'new';
  }

  has(number: number): boolean {
    if (number <= this.#solid) return true;
    const page = this.#pages.get(Math.floor(number / PAGE));
    if (page === undefined) return false;
    return page === 'full' || (page[(number % PAGE) >> 3]! & (1 << (number & 7))) !== 0;
  }

  /** What is missing from `first` to `last`. */
  *missing(first: number, last: number): Generator<NumberRange> {
    const pages = [...this.#pages.keys()].sort((a, b) => a - b);
    let from: number | undefined;
    for (let at = first; at <= last;) {
      const end = Math.min(last, this.#uniformTo(at, pages));
      if (this.has(at)) {
        if (from !== undefined) yield [from, at - 1];
        from = undefined;
      } else from ??= at;
      at = end + 1;
    }
    if (from !== undefined) yield [from, last];
  }

  /** The end of the stretch from `at` on that is known to be all seen or all missing. `pages`: those there are, in order; used up. */
  #uniformTo(at: number, pages: number[]): number {
    if (at <= this.#solid) return this.#solid;
    const index = Math.floor(at / PAGE);
    while (pages.length > 0 && pages[0]! < index) pages.shift();
    if (pages[0] === index) return this.#pages.get(index) === 'full' ? (index + 1) * PAGE - 1 : at;
    return pages[0] === undefined ? Infinity : pages[0] * PAGE - 1;
  }

  #mark(number: number): boolean {
    if (number === this.#solid + 1) {
      this.#solid++;
      this.#grow();
      return true;
    }
    const index = Math.floor(number / PAGE);
    let page = this.#pages.get(index);
    if (page === undefined) {
      if (this.#limits.pagesLeft === 0) return false;
      this.#limits.pagesLeft--;
      page = new Uint8Array(PAGE / 8);
      this.#pages.set(index, page);
      // What lies below it on the same page is known without bits.
      for (let at = index * PAGE; at <= this.#solid; at++) this.#set(index, page, at);
    }
    if (page !== 'full') this.#set(index, page, number);
    return true;
  }

  #set(index: number, page: Uint8Array, number: number): void {
    page[(number % PAGE) >> 3]! |= 1 << (number & 7);
    const held = (this.#held.get(index) ?? 0) + 1;
    if (held < PAGE) {
      this.#held.set(index, held);
      return;
    }
    this.#held.delete(index);
    this.#pages.set(index, 'full');
    this.#limits.pagesLeft++;
  }

  /** Takes in what follows the solid part, and gives its pages up. */
  #grow(): void {
    while (this.#pages.size > 0) {
      const index = Math.floor((this.#solid + 1) / PAGE);
      const page = this.#pages.get(index);
      if (page === undefined) break;
      if (page === 'full') this.#solid = (index + 1) * PAGE - 1;
      else while (this.#solid + 1 < (index + 1) * PAGE && this.#hasBit(page, this.#solid + 1)) this.#solid++;
      if (this.#solid + 1 < (index + 1) * PAGE) break;
      this.#drop(index);
    }
    if (this.#pages.size > 0 && this.#solid >= this.#max) for (const index of [...this.#pages.keys()]) this.#drop(index);
  }

  #hasBit(page: Uint8Array, number: number): boolean {
    return (page[(number % PAGE) >> 3]! & (1 << (number & 7))) !== 0;
  }

  #drop(index: number): void {
    if (this.#pages.get(index) !== 'full') this.#limits.pagesLeft++;
    this.#pages.delete(index);
    this.#held.delete(index);
  }

  #remember(number: number, sum: number): void {
    const { sums, sumPagesMax } = this.#limits;
    const key = `${this.#name}/${Math.floor(number / SUMS)}`;
    let page = sums.get(key);
    if (!page) {
      page = new Uint32Array(SUMS);
      sums.set(key, page);
      if (sums.size > sumPagesMax) sums.delete(sums.keys().next().value!);
    }
    page[number % SUMS] = sum;
  }

  #compare(number: number, sum: number): Added {
    const page = this.#limits.sums.get(`${this.#name}/${Math.floor(number / SUMS)}`);
    // A page that was forgotten and begun again knows only what came since: 0 is nothing.
    if (page === undefined || page[number % SUMS] === 0) return 'not compared';
    return page[number % SUMS] === sum ? 'repeat' : 'changed';
  }
}
