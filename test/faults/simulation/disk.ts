import type { MemoryStorage } from '../../../journal/memory-journal.ts';
import { type WriteFate } from '../../../journal/memory-journal.ts';
import type { DiskOperation } from '../../../journal/disk.ts';
import type { Life, Timeline } from './timeline.ts';

/** A machine's disk: how its next writes end. */
export class SimDisk {
  readonly #timeline: Timeline;
  /** Writes that are taken before one is not. */
  #good = Infinity;
  #fate: WriteFate = 'taken';
  faults = 0;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** So many writes are taken, the next one fails. */
  failAfter(good: number, fate: WriteFate): void {
    this.#good = good;
    this.#fate = fate;
  }

  heal(): void {
    this.#good = Infinity;
  }

  /** From now on the storage's writes are those of this life, and end when the schedule says so. */
  attach(storage: MemoryStorage, life: Life, what: string): void {
    let operations: readonly DiskOperation[] = [];
    storage.fate = (given) => {
      operations = given;
      if (this.#good-- > 0) return 'taken';
      this.#good = Infinity;
      this.faults++;
      return this.#fate;
    };
    storage.delay = () => {
      const out = operations;
      return this.#timeline.wait(life, what, () => storage.apply(out));
    };
  }
}
