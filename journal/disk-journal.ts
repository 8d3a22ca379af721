/**
 * The journal: durable order on a disk that may fail.
 *
 * Write. One commit is being written, one is being built; `commit` runs its operation against the latter and starts it as soon as none is
 * in flight, never by a timer. A commit is one synced batch: blobs of entries, rows with absolute values, and the row `m:lanes`.
 *
 * Fail. A write that fails takes the commit being built with it, for it rests on what was not stored. Both reject, the disk is closed and
 * opened again (LevelDB takes nothing more until then), a new epoch begins, the owners reload what they hold in memory, and operations are
 * taken again. A failed write may still be found stored then (the sync failed, not the write): nobody was told so, and senders ask.
 *
 * Read. From the recent blobs, else from the disk, always from a known key on. Positions are dense, so what is missing is a `hole`.
 *
 * Trim. The new tail is committed first and the blobs below it are cleared after; what a crash leaves between is cleared at the next open.
 *
 * Rows: m:journal { format, id }, m:epochs { id, epochs: [Epoch] }, m:lanes { urgent: LaneBounds, normal: LaneBounds } (store-state.ts).
 */
import { retryWaitMs } from '../core/backoff.ts';
import type { Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Draft, CutShort, Epoch, Journal, Row, Stamp, Stretch } from '../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import { BLOB_ENTRIES_MAX, BlobBuilder, type EpochOf } from './blob.ts';
import { Commit } from './commit.ts';
import type { Disk, OpenDisk } from './disk.ts';
import { epochLookup } from './epoch-lookup.ts';
import { rowKey, rowRange } from './keys.ts';
import { LaneBlobs } from './lane-blobs.ts';
import { RecentBlobs } from './recent-blobs.ts';
import type { Reserve } from './reserve.ts';
import { decodeRecord, readRow } from './row-record.ts';
import { beginEpoch, type LaneBounds } from './store-state.ts';

const RECENT_BYTES = 4 * 1024 * 1024;
const REOPEN = { policy: 'backoff', initialMs: 100, maxMs: 5000 } as const;
/** How often it is tried to take the reserved room again, while it is given up. */
const REGAIN_MS = 1000;

/** What holds for a journal on any disk. */
export interface JournalOptions {
  readonly clock: Clock;
  readonly stamp: Stamp;
  /** How much of what was committed last is kept in memory for readers; 4 MiB. */
  readonly recentBytes?: number;
  /** Room kept for reopening the store on a full disk. Without one it stays closed until there is room. */
  readonly reserve?: Reserve;
  /** Called with what made a reopening necessary, or impossible for now. */
  readonly onProblem?: (problem: FondacoError) => void;
}

/** The one implementation of core/journal.ts, on whatever disk it is given. */
export class DiskJournal implements Journal {
  id = '';
  epochs: Epoch[] = [];
  salvaged: readonly string[] = [];
  cut: CutShort | undefined;
  readonly #openDisk: OpenDisk;
  readonly #options: JournalOptions;
  #disk!: Disk;
  /** As of the last durable commit. */
  #bounds: PerLane<LaneBounds> = perLane(() => ({ head: 1, tail: 1, offset: 0, tailOffset: 0 }));
  #blobs!: PerLane<LaneBlobs>;
  #epochOf!: EpochOf;
  readonly #recent: RecentBlobs;
  #builders!: PerLane<BlobBuilder>;
  #building!: Commit;
  #writing: Commit | undefined;
  /** The highest commit number seen at the last loading. */
  #number = 0;
  /** The store itself said that it is damaged: the next opening repairs it first. */
  #isDamaged = false;
  #regaining: Promise<void> | undefined;
  #state: 'open' | 'reopening' | 'closed' = 'reopening';
  readonly #closing = new AbortController();
  #written: Promise<void> = Promise.resolve();
  #reopened: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #hooks = new Set<(epoch: Epoch) => Promise<void>>();

  private constructor(openDisk: OpenDisk, options: JournalOptions) {
    this.#openDisk = openDisk;
    this.#options = options;
    this.#recent = new RecentBlobs(options.recentBytes ?? RECENT_BYTES);
  }

  /** Opens or creates the store and commits this opening's epoch. Rejects CONFIG for another format, FULL, UNAVAILABLE, or CORRUPT if no repair helps. */
  static async open(openDisk: OpenDisk, options: JournalOptions): Promise<DiskJournal> {
    const journal = new DiskJournal(openDisk, options);
    try {
      await journal.#load();
    } catch (error) {
      const isShort = isFondacoError(error, 'FULL');
      if (isShort) await options.reserve?.give();
      else if (isFondacoError(error, 'CORRUPT')) journal.#isDamaged = true;
      else throw error;
      await journal.#load(isShort);
    }
    journal.#state = 'open';
    await journal.#regain();
    return journal;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isLow(): boolean {
    return this.#options.reserve?.isHeld === false;
  }

  head(lane: Lane): number {
    return this.#bounds[lane].head;
  }

  tail(lane: Lane): number {
    return this.#bounds[lane].tail;
  }

  bytes(lane: Lane): number {
    return this.#bounds[lane].offset - this.#bounds[lane].tailOffset;
  }

  async bytesBefore(lane: Lane, position: number): Promise<number> {
    const { head, tail, tailOffset } = this.#bounds[lane];
    if (position >= head) return this.bytes(lane);
    return Math.max(0, (await this.#offsetAt(lane, position, tail)) - tailOffset);
  }

  async positionAfter(lane: Lane, bytes: number): Promise<number> {
    const { head, tail, tailOffset } = this.#bounds[lane];
    if (bytes <= 0) return tail;
    return this.#heal(() => this.#blobs[lane].positionAt(tailOffset + bytes, tail, head));
  }

  commit<T>(operation: (draft: Draft) => T): Promise<T> {
    if (this.#state !== 'open') return Promise.reject(this.#unavailable());
    const commit = this.#building;
    const before = commit.changes;
    let result: T;
    try {
      result = operation(commit);
    } catch (error) {
      // A half-made change cannot be taken back: the whole pending state is given up and loaded again.
      if (commit.changes !== before) this.#fail(new FondacoError('UNAVAILABLE', 'an operation must not fail half-way', { cause: error }));
      return Promise.reject(asError(error));
    }
    if (commit.isEmpty) {
      // Nothing to write, but what the operation saw may rest on the commit in flight.
      return this.#writing ? this.#writing.done.then(() => result) : Promise.resolve(result);
    }
    if (!this.#writing) this.#written = this.#writeAll();
    return commit.done.then(() => result);
  }

  async read(lane: Lane, from: number, bytesMax: number): Promise<Stretch> {
    const { head, tail } = this.#bounds[lane];
    if (from >= head) return { entries: [] };
    if (from < tail) return { entries: [], hole: { from, to: tail } };
    const recent = this.#recent.read(lane, from, bytesMax, this.#epochOf);
    return recent ? { entries: recent } : this.#blobs[lane].read(from, head, bytesMax);
  }

  async row(key: string): Promise<unknown> {
    const bytes = rowKey(key);
    const record = await this.#heal(() => this.#disk.get(bytes));
    return record && decodeRecord(bytes, record).value;
  }

  async *rows(prefix: string, { after, limit }: { after?: string; limit?: number } = {}): AsyncIterable<Row> {
    const [first, end] = rowRange(prefix);
    const from = after === undefined || after < prefix ? first : rowKey(`${after}\0`);
    for await (const [key, record] of this.#disk.scan(from, end, limit === undefined ? {} : { limit })) yield readRow(key, record);
  }

  async snapshot(prefixes: readonly string[]): Promise<Row[]> {
    const pairs = await this.#heal(() => this.#disk.scanAll(prefixes.map(rowRange)));
    return pairs.map(([key, record]) => readRow(key, record));
  }

  async trim(lane: Lane, position: number): Promise<void> {
    const { head, tail } = this.#bounds[lane];
    if (position <= tail && this.#state === 'closed') return;
    if (position <= tail) return this.commit(() => undefined); // the commit that trimmed may still be in flight
    if (position > head) throw new RangeError(`cannot trim ${lane} to ${position}, beyond its head ${head}`);
    const tailOffset = await this.#offsetAt(lane, position, tail);
    await this.commit((draft) => {
      const bounds = this.#bounds[lane]; // early, and harmless so: what lies below is given up either way
      if (position > bounds.tail) Object.assign(bounds, { tail: position, tailOffset: Math.max(bounds.tailOffset, tailOffset) });
      draft.put('m:lanes', () => this.#bounds); // replaced by the sealed one
    });
    await this.#blobs[lane].clearBelow(tail, position);
  }

  async compact(): Promise<void> {
    for (const lane of LANES) await this.#blobs[lane].compactBelow(this.#bounds[lane].tail);
  }

  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onReopen(hook: (epoch: Epoch) => Promise<void>): () => void {
    this.#hooks.add(hook);
    return () => this.#hooks.delete(hook);
  }

  /** Waits for what is being written, and takes nothing more. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    this.#state = 'closed';
    this.#closing.abort();
    await this.#written;
    await this.#reopened;
    await this.#regaining;
    await this.#disk.close();
  }

  async #writeAll(): Promise<void> {
    while (!this.#building.isEmpty && (this.#state === 'open' || this.#state === 'closed')) {
      const commit = this.#building;
      this.#writing = commit;
      this.#begin(commit);
      try {
        commit.put('m:lanes', () => perLane((lane) => ({ ...this.#bounds[lane], head: commit.head[lane], offset: commit.offset[lane] })));
        const { operations, blobs } = commit.seal();
        await this.#disk.write(operations);
        if (this.#writing !== commit) return; // given up meanwhile
        for (const lane of LANES) Object.assign(this.#bounds[lane], { head: commit.head[lane], offset: commit.offset[lane] });
        this.#recent.add(blobs);
      } catch (error) {
        if (this.#writing !== commit) return; // given up meanwhile, and the disk with it: this is no failure of the one opened since
        this.#fail(isFondacoError(error) ? error : new FondacoError('UNAVAILABLE', 'the journal must take a commit', { cause: error }));
        return;
      }
      commit.resolve();
      for (const listener of this.#listeners) listener(); // what they commit joins the next one
    }
    this.#writing = undefined;
  }

  /** The next commit, after `before` or after what was loaded. */
  #begin(before: Commit | undefined): void {
    this.#building = new Commit({
      number: (before?.number ?? this.#number) + 1,
      head: before?.head ?? perLane((lane) => this.#bounds[lane].head),
      epoch: this.epochs.at(-1)!,
      clock: this.#options.clock,
      builders: this.#builders,
    });
  }

  #fail(cause: FondacoError): void {
    if (this.#state === 'reopening') return;
    const isClosed = this.#state === 'closed';
    if (cause.code === 'CORRUPT') this.#isDamaged = true;
    if (!isClosed) this.#state = 'reopening';
    const code = cause.code === 'FULL' ? 'FULL' : 'UNAVAILABLE';
    const error = new FondacoError(code, `the journal must take a commit, got ${cause.text}`, { cause, retryAfterMs: 1000 });
    const given = [this.#writing, this.#building];
    this.#writing = undefined;
    for (const commit of given) commit?.reject(error);
    this.#options.onProblem?.(error);
    if (!isClosed) this.#reopened = this.#reopen(code === 'FULL');
  }

  /** `isShort`: for want of room. */
  async #reopen(isShort: boolean): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#disk.close();
        if (this.#state === 'closed') return;
        if (isShort) await this.#options.reserve?.give();
        this.#recent.clear();
        await this.#load(isShort);
        for (const hook of this.#hooks) await hook(this.epochs.at(-1)!);
        if (this.#state === 'reopening') this.#state = 'open';
        void this.#regain();
        for (const listener of this.#listeners) listener();
        return;
      } catch (error) {
        if (!isFondacoError(error)) throw error;
        this.#options.onProblem?.(error);
        isShort ||= error.code === 'FULL';
        this.#isDamaged ||= error.code === 'CORRUPT';
      }
      await clock.sleep(
        retryWaitMs(REOPEN, attempt, () => 1),
        this.#closing.signal,
      );
      if (this.#state === 'closed') return;
    }
  }

  /** Opens the disk, takes up what the store knows of itself, and commits the new epoch. */
  async #load(isShort = false): Promise<void> {
    this.#disk = await this.#openDisk(this.#isDamaged, isShort);
    this.#isDamaged = false;
    try {
      const { id, epochs, bounds, number, salvaged } = await beginEpoch(this.#disk, this.#options);
      this.id = id;
      this.epochs = epochs;
      this.salvaged = [...this.#disk.salvaged, ...salvaged];
      this.#bounds = bounds;
      this.#number = number;
      this.#epochOf = epochLookup(epochs, this.#options.stamp);
      this.#builders = perLane((lane) => new BlobBuilder(lane, bounds[lane].offset));
      this.#blobs = perLane((lane) => new LaneBlobs(this.#disk, lane, this.#epochOf));
      this.#begin(undefined);
      for (const lane of LANES) await this.#blobs[lane].clearBelow(0, bounds[lane].tail);
    } catch (error) {
      await this.#disk.close();
      throw error;
    }
  }

  /** While the reserved room is given up: looks whether it can be had again. One loop at a time. */
  async #regain(): Promise<void> {
    const { clock, reserve } = this.#options;
    if (!reserve || reserve.isHeld || this.#regaining || (await reserve.take())) return;
    const regain = async (): Promise<void> => {
      while (this.#state !== 'closed' && !(await reserve.take())) await clock.sleep(REGAIN_MS, this.#closing.signal);
      this.#regaining = undefined;
      for (const listener of this.#listeners) listener();
    };
    this.#regaining = regain();
  }

  /** What the store cannot read because it is damaged is given up by a repair; then it is read again. */
  async #heal<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (!isFondacoError(error, 'CORRUPT') || this.#state !== 'open') throw error;
      this.#fail(error);
      await this.#reopened;
      return read();
    }
  }

  async #offsetAt(lane: Lane, position: number, tail: number): Promise<number> {
    if (position >= this.#bounds[lane].head) return this.#bounds[lane].offset;
    const blob = await this.#heal(() => this.#blobs[lane].before(position + 1));
    return blob && blob.first >= tail - BLOB_ENTRIES_MAX ? blob.offset : this.#bounds[lane].tailOffset;
  }

  #unavailable(): FondacoError {
    const got = this.#state === 'closed' ? 'a closed one' : 'one that is being reopened';
    return new FondacoError('UNAVAILABLE', `the journal must be open, got ${got}`, { retryAfterMs: 100 });
  }
}
