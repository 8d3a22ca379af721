/**
 * A disk in memory, which can be made to fail: for tests of everything above it, and of applications that embed Fondaco.
 * What it holds outlives its openings, as a real disk's content does.
 */
import { FondacoError } from '../core/errors.ts';
import type { Disk, DiskOperation } from './disk.ts';

/**
 * What a write does: `taken` (the default), `failed` (nothing was stored), `failed-but-stored` (a sync error after the data went out),
 * `hangs` until the disk is closed (a process killed now leaves nothing of it).
 */
export type WriteFate = 'taken' | 'failed' | 'failed-but-stored' | 'hangs';

export class MemoryStorage {
  /** Asked before each write. */
  fate: (operations: readonly DiskOperation[]) => WriteFate = () => 'taken';
  /** How long a write takes; by default one turn of the event loop. */
  delay: () => Promise<void> = () => new Promise((resolve) => setImmediate(resolve));
  /** Makes the next openings fail. */
  openFailures = 0;
  writes = 0;
  #pairs = new Map<string, Buffer>();
  #order: string[] | undefined;
  #opening: symbol | undefined;

  /** An opening ends the one before, as a reopening after a crash does. */
  open(): Promise<Disk> {
    if (this.openFailures > 0) {
      this.openFailures--;
      return Promise.reject(new FondacoError('UNAVAILABLE', 'the simulated disk must open, got a simulated fault'));
    }
    const opening = Symbol('opening');
    this.#opening = opening;
    return Promise.resolve(new MemoryDisk(this, () => this.#opening === opening));
  }

  /** A copy of what is stored now: an older state to come back to. */
  copy(): MemoryStorage {
    const copy = new MemoryStorage();
    copy.#pairs = new Map(this.#pairs);
    return copy;
  }

  apply(operations: readonly DiskOperation[]): void {
    this.#order = undefined;
    for (const { key, value } of operations) {
      if (value === undefined) this.#pairs.delete(key.toString('latin1'));
      else this.#pairs.set(key.toString('latin1'), Buffer.from(value));
    }
  }

  get(key: Buffer): Buffer | undefined {
    return this.#pairs.get(key.toString('latin1'));
  }

  /** Pairs in the order of their bytes. */
  range(from: Buffer, to: Buffer): (readonly [Buffer, Buffer])[] {
    this.#order ??= [...this.#pairs.keys()].sort();
    const order = this.#order;
    const start = lowerBound(order, from.toString('latin1'));
    const end = lowerBound(order, to.toString('latin1'));
    return order.slice(start, end).map((key) => [Buffer.from(key, 'latin1'), this.#pairs.get(key) ?? Buffer.alloc(0)] as const);
  }
}

class MemoryDisk implements Disk {
  readonly salvaged: readonly string[] = [];
  readonly #storage: MemoryStorage;
  readonly #isCurrent: () => boolean;
  #isClosed = false;
  #isBroken = false;
  readonly #hanging: (() => void)[] = [];

  constructor(storage: MemoryStorage, isCurrent: () => boolean) {
    this.#storage = storage;
    this.#isCurrent = isCurrent;
  }

  async write(operations: readonly DiskOperation[]): Promise<void> {
    this.#check();
    const fate = this.#isBroken ? 'failed' : this.#storage.fate(operations);
    if (fate === 'hangs') await new Promise<void>((resolve) => this.#hanging.push(resolve));
    else await this.#storage.delay();
    this.#check();
    this.#storage.writes++;
    if (fate === 'taken' || fate === 'failed-but-stored') this.#storage.apply(operations);
    if (fate === 'taken') return;
    this.#isBroken = true; // as LevelDB: nothing more until it is reopened
    throw new FondacoError('FULL', 'the simulated disk must take a write, got a simulated fault');
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    this.#check();
    return Promise.resolve(this.#storage.get(key));
  }

  async *scan(from: Buffer, to: Buffer, { reverse = false, limit = -1 } = {}): AsyncIterable<readonly [Buffer, Buffer]> {
    this.#check();
    await Promise.resolve();
    const pairs = this.#storage.range(from, to);
    if (reverse) pairs.reverse();
    yield* limit < 0 ? pairs : pairs.slice(0, limit);
  }

  async *keys(from: Buffer, to: Buffer, options: { reverse?: boolean; limit?: number } = {}): AsyncIterable<Buffer> {
    for await (const [key] of this.scan(from, to, options)) yield key;
  }

  async scanAll(ranges: readonly (readonly [Buffer, Buffer])[]): Promise<(readonly [Buffer, Buffer])[]> {
    this.#check();
    return Promise.resolve(ranges.flatMap(([from, to]) => this.#storage.range(from, to)));
  }

  async clear(from: Buffer, to: Buffer): Promise<void> {
    this.#check();
    await Promise.resolve();
    this.#storage.apply(this.#storage.range(from, to).map(([key]) => ({ key, value: undefined })));
  }

  compact(): Promise<void> {
    this.#check();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const resolve of this.#hanging) resolve();
    return Promise.resolve();
  }

  #check(): void {
    if (this.#isClosed || !this.#isCurrent()) throw new FondacoError('UNAVAILABLE', 'the simulated disk must be open, got a closed one');
  }
}

function lowerBound(order: readonly string[], key: string): number {
  let low = 0;
  let high = order.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (order[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
