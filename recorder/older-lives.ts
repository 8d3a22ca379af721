import { LANES, type Lane } from '../core/lane.ts';
import type { OutgoingSeries } from '../proto/session.ts';
import { adoptLife, type AdoptionParts } from './adoption.ts';
import { listLives } from './life-directory.ts';
import { asProblem, isLifeEmpty, removeLife, type Life } from './life.ts';
import type { SeriesStore } from './series-store.ts';

/** Older lives that are open at a time: each has a database. */
const OPEN_MAX = 8;
/** What their exit files may take of memory, together. */
const MEMORY_BYTES_MAX = 16 * 1024 * 1024;
/** A life that does not open is tried again at once, for the order's sake; but it must not hold up the others for long. */
const ATTEMPTS_MAX = 3;
const ATTEMPT_MS = 1_000;
/** How often is looked again: for a life whose owner has ended since, and for one that could not be opened. */
const LOOK_MS = 30_000;

/** What is needed to find and drain older lives. */
export interface OlderParts extends AdoptionParts {
  /** The component's directory; `undefined` for memory only. */
  readonly base: string | undefined;
  /** The own life, which is none of them. */
  readonly ownId: string;
}

/** The lives that others of the component left behind: found, adopted, drained in the order of their births, deleted. */
export class OlderLives {
  readonly #parts: OlderParts;
  /** Names of lives that are still to be adopted, oldest first. */
  #waiting: string[] = [];
  #open: Life[] = [];
  /** Those that could not be opened; they are looked at again, and hold up nobody meanwhile. */
  #failed = 0;
  readonly #told = new Set<string>();
  /** Settled lives whose directory is gone; the proxy may free their rows. */
  #closing: SeriesStore[] = [];
  #lookedAt = 0;
  #attempts = 0;
  #attemptAt = 0;
  /** Events of lives that are drained. */
  #settled = 0;

  constructor(parts: OlderParts) {
    this.#parts = parts;
  }

  get open(): readonly Life[] {
    return this.#open;
  }

  /** How many, the events in those that are open, and those that were settled here. */
  get counts(): { readonly lives: number; readonly events: number; readonly settled: number } {
    let events = 0;
    let settled = this.#settled;
    for (const { stores } of this.#open) {
      for (const lane of LANES) {
        events += stores[lane].spooled + stores[lane].queued;
        settled += stores[lane].counts.settled;
      }
    }
    return { lives: this.#open.length + this.#waiting.length + this.#failed, events, settled };
  }

  /** Monotonic: when there is something to do without a ring. */
  get nextAt(): number {
    if (this.#parts.base === undefined) return Number.POSITIVE_INFINITY;
    return this.#waiting.length > 0 && this.#attempts > 0 ? this.#attemptAt : this.#lookedAt + LOOK_MS;
  }

  /** Finds the lives; `adopt` takes them over one by one. */
  async look(): Promise<void> {
    const { base, clock, ownId } = this.#parts;
    if (base === undefined) return;
    this.#lookedAt = clock.monotonic();
    const known = new Set([ownId, ...this.#waiting, ...this.#open.map(({ id }) => id)]);
    const found = (await listLives(base, clock.now())).filter((name) => !known.has(name));
    this.#waiting = [...this.#waiting, ...found].sort();
    this.#failed = 0;
  }

  /** The series of a lane that may be sent before the own one; a series that cannot be read now holds up nobody. `holdsOwn`: that one has to wait. */
  series(lane: Lane, now: number): { readonly series: SeriesStore[]; readonly holdsOwn: boolean } {
    const series: SeriesStore[] = [];
    for (const { stores } of this.#open) {
      if (stores[lane].isSettled) continue;
      series.push(stores[lane]);
      if (stores[lane].readableAtMs <= now) return { series, holdsOwn: true };
    }
    return { series, holdsOwn: this.#waiting.length > 0 };
  }

  /** Series that are over, and of which the proxy is to hear so. */
  get closing(): readonly OutgoingSeries[] {
    if (this.#closing.length > 0) this.#closing = this.#closing.filter((store) => !store.window.isClosed);
    return this.#closing;
  }

  /** Does one thing; false if there is nothing to do. Never rejects for a life that cannot be opened. */
  async step(): Promise<boolean> {
    if (this.#mayAdopt()) return this.#adopt();
    if (this.#parts.base === undefined || this.#parts.clock.monotonic() < this.#lookedAt + LOOK_MS) return false;
    await this.look();
    return true;
  }

  /** Deletes a settled life; true if there was one. */
  async finish(): Promise<boolean> {
    const life = this.#open.find((each) => each.journal?.isOpen && isLifeEmpty(each));
    if (!life) return false;
    await removeLife(life);
    this.#open = this.#open.filter((other) => other !== life);
    for (const lane of LANES) {
      const store = life.stores[lane];
      this.#settled += store.counts.settled;
      store.isClosing = true;
      if (store.window.settledBy !== '') this.#closing.push(store);
    }
    this.#parts.onCommit();
    return true;
  }

  /** An older life costs a database, and the memory of its exit file. */
  #mayAdopt(): boolean {
    if (this.#waiting.length === 0 || this.#open.length >= OPEN_MAX || this.#parts.clock.monotonic() < this.#attemptAt) return false;
    let bytes = 0;
    for (const { stores } of this.#open) bytes += stores.urgent.memory.bytes + stores.normal.memory.bytes;
    return bytes < MEMORY_BYTES_MAX;
  }

  async #adopt(): Promise<boolean> {
    const name = this.#waiting[0]!;
    try {
      const life = await adoptLife(`${this.#parts.base}/${name}`, this.#parts);
      if (life) this.#open.push(life);
      this.#told.delete(name);
    } catch (error) {
      this.#attemptAt = this.#parts.clock.monotonic() + ATTEMPT_MS;
      if (++this.#attempts < ATTEMPTS_MAX) return true;
      this.#failed++;
      if (!this.#told.has(name)) this.#parts.onProblem(asProblem(error));
      this.#told.add(name);
    }
    this.#attempts = this.#attemptAt = 0;
    this.#waiting.shift();
    this.#parts.onCommit();
    return true;
  }
}
