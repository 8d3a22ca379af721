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
 * Rows: m:journal { format, id }, m:epochs [Epoch], m:lanes { urgent: { head, tail }, normal: { head, tail } }.
 */
import { randomInt } from 'node:crypto';
import { retryWaitMs } from '../core/backoff.ts';
import type { Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Draft, Entry, Epoch, Journal, Row, Stamp, Stretch } from '../core/journal.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import { uuidV7 } from '../core/uuid.ts';
import { BlobBuilder, readBlob, readHeader } from './blob.ts';
import { Commit } from './commit.ts';
import type { Disk, OpenDisk } from './disk.ts';
import { blobKey, blobsEnd, positionOf, rowKey, rowRange } from './keys.ts';
import { RecentBlobs } from './recent.ts';
import { decodeRecord, encodeRecord } from './record.ts';

export const FORMAT = 1;
const RECENT_BYTES = 4 * 1024 * 1024;
const REOPEN = { policy: 'backoff', initialMs: 100, maxMs: 5000 } as const;

export interface JournalOptions {
  readonly clock: Clock;
  readonly stamp: Stamp;
  /** How much of what was committed last is kept in memory for readers; 4 MiB. */
  readonly recentBytes?: number;
  /** Called with what made a reopening necessary, or impossible for now. */
  readonly onProblem?: (problem: FondacoError) => void;
}

interface LaneBounds {
  head: number;
  tail: number;
}

export class DiskJournal implements Journal {
  id = '';
  epochs: Epoch[] = [];
  readonly #openDisk: OpenDisk;
  readonly #options: JournalOptions;
  #disk!: Disk;
  /** As of the last durable commit. */
  #bounds: PerLane<LaneBounds> = perLane(() => ({ head: 1, tail: 1 }));
  #epochByNumber = new Map<number, Epoch>();
  readonly #recent: RecentBlobs;
  #builders = perLane((lane) => new BlobBuilder(lane));
  #building!: Commit;
  #writing: Commit | undefined;
  /** The highest commit number seen at the last loading. */
  #number = 0;
  #state: 'open' | 'reopening' | 'closed' = 'reopening';
  readonly #closing = new AbortController();
  #written: Promise<void> = Promise.resolve();
  #reopened: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #hooks: ((epoch: Epoch) => Promise<void>)[] = [];

  private constructor(openDisk: OpenDisk, options: JournalOptions) {
    this.#openDisk = openDisk;
    this.#options = options;
    this.#recent = new RecentBlobs(options.recentBytes ?? RECENT_BYTES);
  }

  /** Opens or creates the store and commits this opening's epoch. Rejects CORRUPT, FULL or UNAVAILABLE. */
  static async open(openDisk: OpenDisk, options: JournalOptions): Promise<DiskJournal> {
    const journal = new DiskJournal(openDisk, options);
    await journal.#load();
    journal.#state = 'open';
    return journal;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  head(lane: Lane): number {
    return this.#bounds[lane].head;
  }

  tail(lane: Lane): number {
    return this.#bounds[lane].tail;
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
    const recent = this.#recent.read(lane, from, bytesMax, this.#epochByNumber);
    return recent ? { entries: recent } : this.#readDisk(lane, from, head, bytesMax);
  }

  async row(key: string): Promise<unknown> {
    const bytes = rowKey(key);
    const record = await this.#disk.get(bytes);
    return record && decodeRecord(bytes, record).value;
  }

  async *rows(prefix: string, { after, limit }: { after?: string; limit?: number } = {}): AsyncIterable<Row> {
    const [first, end] = rowRange(prefix);
    const from = after === undefined || after < prefix ? first : rowKey(`${after}\0`);
    for await (const [key, record] of this.#disk.scan(from, end, limit === undefined ? {} : { limit })) yield readRow(key, record);
  }

  async snapshot(prefixes: readonly string[]): Promise<Row[]> {
    const pairs = await this.#disk.scanAll(prefixes.map(rowRange));
    return pairs.map(([key, record]) => readRow(key, record));
  }

  async trim(lane: Lane, position: number): Promise<void> {
    const { head, tail } = this.#bounds[lane];
    if (position <= tail) return;
    if (position > head) throw new RangeError(`cannot trim ${lane} to ${position}, beyond its head ${head}`);
    await this.commit((draft) => {
      this.#bounds[lane].tail = position; // early, and harmless so: what lies below is given up either way
      draft.put('m:lanes', () => this.#bounds); // replaced by the sealed one
    });
    await this.#clearBelow(lane, tail, position);
  }

  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onReopen(hook: (epoch: Epoch) => Promise<void>): void {
    this.#hooks.push(hook);
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
    await this.#disk.close();
  }

  async #writeAll(): Promise<void> {
    while (!this.#building.isEmpty && (this.#state === 'open' || this.#state === 'closed')) {
      const commit = this.#building;
      this.#writing = commit;
      this.#begin(commit);
      try {
        const lanes = perLane((lane) => ({ head: commit.head[lane], tail: this.#bounds[lane].tail }));
        commit.put('m:lanes', () => lanes);
        const { operations, blobs } = commit.seal();
        await this.#disk.write(operations);
        if (this.#writing !== commit) return; // given up meanwhile
        for (const lane of LANES) this.#bounds[lane].head = commit.head[lane];
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
    if (!isClosed) this.#state = 'reopening';
    const code = cause.code === 'FULL' ? 'FULL' : 'UNAVAILABLE';
    const error = new FondacoError(code, `the journal must take a commit, got ${cause.text}`, { cause, retryAfterMs: 1000 });
    const given = [this.#writing, this.#building];
    this.#writing = undefined;
    this.#builders = perLane((lane) => new BlobBuilder(lane));
    for (const commit of given) commit?.reject(error);
    this.#options.onProblem?.(error);
    if (!isClosed) this.#reopened = this.#reopen();
  }

  async #reopen(): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#disk.close();
        if (this.#state === 'closed') return;
        this.#recent.clear();
        await this.#load();
        for (const hook of this.#hooks) await hook(this.epochs.at(-1)!);
        if (this.#state === 'reopening') this.#state = 'open';
        for (const listener of this.#listeners) listener();
        return;
      } catch (error) {
        if (!isFondacoError(error)) throw error;
        this.#options.onProblem?.(error);
      }
      await clock.sleep(
        retryWaitMs(REOPEN, attempt, () => 1),
        this.#closing.signal,
      );
      if (this.#state === 'closed') return;
    }
  }

  /** Opens the disk, reads the rows of the journal itself and commits the new epoch. */
  async #load(): Promise<void> {
    this.#disk = await this.#openDisk();
    try {
      await this.#loadRows();
    } catch (error) {
      await this.#disk.close();
      throw error;
    }
  }

  async #loadRows(): Promise<void> {
    const own = (await this.#ownRow('m:journal')) as { format: number; id: string } | undefined;
    if (own && own.format !== FORMAT) throw new FondacoError('CORRUPT', `the store must have format ${FORMAT}, got ${own.format}`);
    const epochs = (await this.#ownRow('m:epochs')) as Epoch[] | undefined;
    const bounds = (await this.#ownRow('m:lanes')) as PerLane<LaneBounds> | undefined;
    const found = [own, epochs, bounds].filter((row) => row !== undefined).length;
    if (found % 3 !== 0)
      throw new FondacoError('CORRUPT', `the store must have m:journal, m:epochs and m:lanes, got ${found} of these rows`);
    this.id = own?.id ?? uuidV7(this.#options.clock.now());
    this.epochs = epochs ?? [];
    this.#bounds = bounds ?? perLane(() => ({ head: 1, tail: 1 }));
    let lastEpoch = this.epochs.at(-1)?.number ?? 0;
    for (const lane of LANES) {
      for await (const [key, value] of this.#disk.scan(blobKey(lane, 0), blobsEnd(lane), { reverse: true, limit: 1 })) {
        const { count, epoch } = readHeader(key, value);
        this.#bounds[lane].head = Math.max(this.#bounds[lane].head, positionOf(key) + count);
        lastEpoch = Math.max(lastEpoch, epoch);
      }
    }
    await this.#beginEpoch(own === undefined, lastEpoch + 1);
    for (const lane of LANES) await this.#clearBelow(lane, 0, this.#bounds[lane].tail);
  }

  async #ownRow(key: string): Promise<unknown> {
    const bytes = rowKey(key);
    const record = await this.#disk.get(bytes);
    if (!record) return undefined;
    const { value, commit } = decodeRecord(bytes, record);
    this.#number = Math.max(this.#number, commit);
    return value;
  }

  /** `epochNumber` is above that of every blob, also where the row of the epochs is older: no blob may pass for one of this opening. */
  async #beginEpoch(isNew: boolean, epochNumber: number): Promise<void> {
    const epoch: Epoch = {
      number: epochNumber,
      // Where the wall clock is behind, a random step keeps two copies of one store from giving the same birth to different epochs.
      birth: Math.max(this.#options.clock.now(), (this.epochs.at(-1)?.birth ?? 0) + randomInt(1, 1000)),
      first: perLane((lane) => this.#bounds[lane].head),
      stamp: this.#options.stamp,
    };
    // An epoch without a position at or above the tails has no entry left to name; the last one keeps births growing.
    const isHeld = (at: number): boolean =>
      LANES.some((lane) => {
        const end = this.epochs[at + 1]?.first[lane] ?? this.#bounds[lane].head;
        return end > Math.max(this.epochs[at]!.first[lane], this.#bounds[lane].tail);
      });
    const epochs = [...this.epochs.filter((_, at) => at === this.epochs.length - 1 || isHeld(at)), epoch];
    const number = ++this.#number;
    const put = (name: string, value: unknown): { key: Buffer; value: Buffer } => {
      const key = rowKey(name);
      return { key, value: encodeRecord(key, value, number) };
    };
    const operations = [put('m:epochs', epochs), put('m:lanes', this.#bounds)];
    if (isNew) operations.push(put('m:journal', { format: FORMAT, id: this.id }));
    await this.#disk.write(operations);
    this.epochs = epochs;
    this.#epochByNumber = new Map(epochs.map((each) => [each.number, each]));
    this.#begin(undefined);
  }

  async #readDisk(lane: Lane, from: number, head: number, bytesMax: number): Promise<Stretch> {
    let start = from;
    for await (const [key] of this.#disk.scan(blobKey(lane, 0), blobKey(lane, from + 1), { reverse: true, limit: 1 }))
      start = positionOf(key);
    const entries: Entry[] = [];
    let next = from;
    let bytes = 0;
    for await (const [key, value] of this.#disk.scan(blobKey(lane, start), blobKey(lane, head))) {
      const first = positionOf(key);
      if (first > next) return { entries, hole: { from: next, to: first } };
      const read = this.#tryRead(lane, first, key, value);
      if (!read) {
        const to = await this.#nextBlob(lane, Math.max(first, next) + 1, head);
        return { entries, hole: { from: next, to } };
      }
      const end = first + read.length;
      if (end <= next) continue; // an earlier blob that ends before `from`
      if (entries.length > 0 && entries[0]!.epoch !== read[0]!.epoch) return { entries };
      for (const entry of read) if (entry.position >= next) entries.push(entry);
      next = end;
      bytes += value.length;
      if (bytes >= bytesMax) return { entries };
    }
    return next < head ? { entries, hole: { from: next, to: head } } : { entries };
  }

  #tryRead(lane: Lane, first: number, key: Buffer, value: Buffer): Entry[] | undefined {
    try {
      const entries = readBlob({ lane, first, key, value }, this.#epochByNumber);
      return entries.length > 0 ? entries : undefined;
    } catch (error) {
      if (isFondacoError(error, 'CORRUPT') || error instanceof RangeError || error instanceof TypeError) return undefined;
      throw error;
    }
  }

  async #nextBlob(lane: Lane, from: number, head: number): Promise<number> {
    for await (const [key] of this.#disk.scan(blobKey(lane, from), blobKey(lane, head), { limit: 1 })) return positionOf(key);
    return head;
  }

  /** Clears the blobs that lie wholly below `position`; `from` is where they begin, so that no cleared range is scanned. */
  async #clearBelow(lane: Lane, from: number, position: number): Promise<void> {
    for await (const [key] of this.#disk.scan(blobKey(lane, from), blobKey(lane, position + 1), { reverse: true, limit: 1 })) {
      const start = await this.#nextBlob(lane, Math.max(from - ENTRIES_PER_BLOB, 0), position);
      if (start < positionOf(key)) await this.#disk.clear(blobKey(lane, start), key);
    }
  }

  #unavailable(): FondacoError {
    const got = this.#state === 'closed' ? 'a closed one' : 'one that is being reopened';
    return new FondacoError('UNAVAILABLE', `the journal must be open, got ${got}`, { retryAfterMs: 100 });
  }
}

const ENTRIES_PER_BLOB = 128;

function readRow(key: Buffer, record: Buffer): Row {
  const name = key.toString('utf8');
  try {
    return { key: name, value: decodeRecord(key, record).value };
  } catch (error) {
    if (isFondacoError(error, 'CORRUPT')) return { key: name, value: undefined };
    throw error;
  }
}
