import type { Clock } from '../core/clock.ts';
import type { Draft, Epoch, NewEntry } from '../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import type { Blob, BlobBuilder } from './blob.ts';
import type { DiskOperation } from './disk.ts';
import { rowKey } from './keys.ts';
import { encodeRecord } from './row-record.ts';

/** One commit while it is being built: entries are framed as they come, rows are encoded when it is sealed. */
export class Commit implements Draft {
  readonly number: number;
  /** Resolves when durable. Rejected ones are always observed by `Journal.commit`'s callers. */
  readonly done: Promise<void>;
  resolve!: () => void;
  reject!: (error: Error) => void;
  /** The position after the last entry, as of this commit. */
  readonly head: PerLane<number>;
  /** Bytes of all blobs up to this commit; known when it is sealed. */
  readonly offset: PerLane<number> = perLane(() => 0);
  /** Grows with every change: an operation that throws before its first one has done no harm. */
  changes = 0;
  readonly #epoch: Epoch;
  readonly #clock: Clock;
  #receivedAt = 0;
  readonly #builders: PerLane<BlobBuilder>;
  readonly #rows = new Map<string, (() => unknown) | undefined>();

  constructor({ number, head, epoch, clock, builders }: CommitOptions) {
    this.number = number;
    this.head = { ...head };
    this.#epoch = epoch;
    this.#clock = clock;
    this.#builders = builders;
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.done.catch(() => undefined); // a commit without operations has nobody who waits for it
  }

  get isEmpty(): boolean {
    return this.changes === 0;
  }

  append(lane: Lane, entry: NewEntry): number {
    this.changes++;
    if (this.#receivedAt === 0) this.#receivedAt = this.#clock.now();
    const position = this.head[lane]++;
    this.#builders[lane].append(position, entry, this.#epoch, this.#receivedAt);
    return position;
  }

  skip(lane: Lane, position: number): void {
    if (position <= this.head[lane]) return;
    this.changes++;
    this.#builders[lane].cut();
    this.head[lane] = position;
  }

  put(key: string, value: () => unknown): void {
    this.changes++;
    this.#rows.set(key, value);
  }

  delete(key: string): void {
    this.changes++;
    this.#rows.set(key, undefined);
  }

  /** Everything that is to be written, and the blobs in it. Called once. */
  seal(): { operations: DiskOperation[]; blobs: Blob[] } {
    const blobs: Blob[] = [];
    for (const lane of LANES) {
      this.#builders[lane].cut();
      blobs.push(...this.#builders[lane].blobs.splice(0));
      this.offset[lane] = this.#builders[lane].offset;
    }
    const operations: DiskOperation[] = [...blobs];
    for (const [name, value] of this.#rows) {
      const key = rowKey(name);
      operations.push({ key, value: value && encodeRecord(key, value(), this.number) });
    }
    return { operations, blobs };
  }
}

interface CommitOptions {
  readonly number: number;
  readonly head: PerLane<number>;
  readonly epoch: Epoch;
  readonly clock: Clock;
  /** Used again by the commits that follow one another. */
  readonly builders: PerLane<BlobBuilder>;
}
