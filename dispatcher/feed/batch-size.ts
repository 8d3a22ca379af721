/**
 * How many events the next batch of a lane may have: all, unless a batch was rejected. Then the one at fault is looked for by halves, left
 * half first, so that what goes through is settled as a prefix. Pure; positions and counts are told to it.
 */
const GROW_AFTER = 32;

export class BatchSize {
  readonly #eventsMax: number;
  /** Batches of more were too large for the destination (413). */
  #sizeMax: number;
  #fits = 0;
  /** An event at fault is among the next so many. 0: none is known. */
  #suspects = 0;

  constructor(eventsMax: number) {
    this.#eventsMax = eventsMax;
    this.#sizeMax = eventsMax;
  }

  get next(): number {
    return this.#suspects > 1 ? Math.floor(this.#suspects / 2) : this.#suspects === 1 ? 1 : this.#sizeMax;
  }

  /** True while the one at fault is being looked for. */
  get isSearching(): boolean {
    return this.#suspects > 0;
  }

  /** `events` went through. */
  delivered(events: number): void {
    this.#suspects = Math.max(0, this.#suspects - events);
    if (this.#sizeMax === this.#eventsMax || events < this.#sizeMax || ++this.#fits < GROW_AFTER) return;
    this.#sizeMax = Math.min(this.#eventsMax, this.#sizeMax * 2); // the limit over there may have been lifted
    this.#fits = 0;
  }

  /** A batch of more than one was rejected for what is in it. */
  rejected(events: number): void {
    this.#suspects = events;
  }

  /** A batch of more than one was too large as a whole. */
  tooLarge(events: number): void {
    this.#sizeMax = Math.max(1, Math.floor(events / 2));
    this.#suspects = 0;
    this.#fits = 0;
  }

  /** The one at fault was found and set aside: what follows is unknown again. */
  found(): void {
    this.#suspects = 0;
  }
}
