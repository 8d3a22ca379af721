/**
 * What keeps events when the proxy does not take them: spills memory, adopts the lives that others left behind, writes back what was
 * settled, deletes what is empty. One loop, one thing at a time, so that no two of these meet on the disk.
 *
 * Everything in memory spills, in one synced commit of both lanes, when the link is down, the oldest unsettled event is 250 ms old, memory
 * is half full, or `durability` is `spool`.
 */
import type { Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import { LANES, perLane, type Lane, type PerLane } from '../core/lane.ts';
import type { Bell } from '../core/bell.ts';
import type { OutgoingSeries } from '../proto/session.ts';
import { adoptLife, dropOldest, listLives, newLife, removeLife, writeBack, type Life, type LifeParts } from './life.ts';
import type { SeriesStore, Spill } from './series-store.ts';
import { seriesKey, SpoolLane } from './spool.ts';

/** What memory may take, both lanes together. */
export const MEMORY_BYTES_MAX = 16 * 1024 * 1024;
const SPILL_AGE_MS = 250;
/** With the link down waiting is of no use, but a disk at the edge should not sync for each event. */
const SPILL_AGE_DOWN_MS = 20;
const WRITE_BACK_MS = 1_000;
const REMOVE_IDLE_MS = 5_000;
const PAUSE_MS = 5_000;
/** Older lives that are open at a time: each has a database. */
const OLDER_OPEN_MAX = 8;
const ADOPT_ATTEMPTS_MAX = 3;

export interface KeeperParts extends LifeParts {
  /** The component's directory; `undefined` for memory only. */
  readonly base: string | undefined;
  readonly bytesMax: number;
  readonly whenFull: 'drop-oldest' | 'drop-newest';
  readonly isDurable: boolean;
  readonly node: string;
  readonly component: string;
  /** Rung when there may be something to do. */
  readonly bell: Bell;
  readonly clock: Clock;
  /** Called when the session may have more to send. */
  readonly onSendable: () => void;
}

export class Keeper {
  readonly own: Life;
  isLinkDown = false;
  readonly #parts: KeeperParts;
  /** Names of lives that are still to be adopted, oldest first. */
  #waiting: string[] = [];
  #adoptAttempts = 0;
  #older: Life[] = [];
  /** Settled lives whose directory is gone; the proxy may free their rows. */
  #closing: SeriesStore[] = [];
  #spilledAt = 0;
  #wroteBackAt = 0;
  #pausedUntil = 0;
  #isSpillWanted = false;
  #isFailing = false;
  #isSpoolFull = false;
  readonly #written = new WeakMap<SeriesStore, { settled: number; lost: number }>();

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.own = newLife(parts.base ?? '', parts);
  }

  /** The series that may be sent now: urgent first, and in each lane the older lives before the new one. */
  readonly series = (): OutgoingSeries[] => {
    const series: OutgoingSeries[] = [];
    for (const lane of LANES) {
      const older = this.#older.find((life) => !life.stores[lane].isSettled);
      if (older) series.push(older.stores[lane]);
      else if (this.#waiting.length === 0) series.push(this.own.stores[lane]);
    }
    if (this.#closing.length > 0) series.push(...(this.#closing = this.#closing.filter((store) => !store.window.isClosed)));
    return series;
  };

  /** The component's directory; `undefined` for memory only. */
  get base(): string | undefined {
    return this.#parts.base;
  }

  get memoryBytes(): number {
    return this.own.stores.urgent.memory.bytes + this.own.stores.normal.memory.bytes;
  }

  get spoolBytes(): number {
    return this.#older.reduce((sum, life) => sum + life.bytes, this.own.bytes);
  }

  /** Older lives, and the events in those that are open. */
  get older(): { readonly lives: number; readonly events: number } {
    let events = 0;
    for (const life of this.#older) for (const lane of LANES) events += life.stores[lane].spooled + life.stores[lane].queued;
    return { lives: this.#older.length + this.#waiting.length, events };
  }

  /** Memory is all there is: no directory, or it cannot be written to at the moment. */
  get isMemoryOnly(): boolean {
    return this.#parts.base === undefined || this.#isFailing;
  }

  /** Spill at the next opportunity, whatever the age. */
  wantSpill(): void {
    this.#isSpillWanted = true;
    this.#parts.bell.ring();
  }

  /** Finds the lives that others left behind. They are adopted by `run`. */
  async findOlder(): Promise<void> {
    if (this.#parts.base !== undefined) this.#waiting = await listLives(this.#parts.base, this.#parts.clock.now());
  }

  /** Works until `signal` is aborted. Never rejects: a disk that fails is tried again. */
  async run(signal: AbortSignal): Promise<void> {
    const { bell, clock } = this.#parts;
    signal.addEventListener('abort', () => bell.ring(), { once: true });
    while (!signal.aborted) {
      if (!(await this.#tryStep())) await bell.wait(clock, this.#waitMs());
    }
  }

  /** The end: spills what memory holds, writes back, and closes; a life that is settled is deleted. True if nothing is left in memory. */
  async close(): Promise<boolean> {
    this.#pausedUntil = 0;
    if (this.#hasUnspilled()) await this.#guard(() => this.#spill());
    if (this.#isEmpty(this.own)) await this.#guard(() => removeLife(this.own));
    for (const life of [...this.#older, this.own]) {
      await this.#guard(() => writeBack(life));
      await this.#guard(async () => life.journal?.close());
      life.journal = undefined;
    }
    return !this.#hasUnspilled();
  }

  /** Deletes the own life's directory if everything is settled; true if so. Only then may its series be closed. */
  async removeOwn(): Promise<boolean> {
    if (!this.#isEmpty(this.own)) return false;
    return this.#guard(() => removeLife(this.own));
  }

  async #tryStep(): Promise<boolean> {
    if (this.#parts.clock.monotonic() < this.#pausedUntil) return false;
    let acted = false;
    const isGood = await this.#guard(async () => void (acted = await this.#step()));
    if (isGood && acted) this.#isFailing = false;
    return acted;
  }

  /** Runs what touches the disk. A failure is reported once, and the disk left alone for a while. */
  async #guard(action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      this.#pausedUntil = this.#parts.clock.monotonic() + PAUSE_MS;
      if (!this.#isFailing) this.#parts.onProblem(asFondacoError(error));
      this.#isFailing = true;
      return false;
    }
  }

  /** Does one thing; false if there is nothing to do. */
  async #step(): Promise<boolean> {
    if (this.#shouldSpill()) return this.#spill().then(() => true);
    if (this.#mayAdopt()) return this.#adopt();
    const done = this.#older.find((life) => this.#isEmpty(life));
    if (done) return this.#finish(done);
    const now = this.#parts.clock.monotonic();
    const stale = now - this.#wroteBackAt >= WRITE_BACK_MS ? this.#findStale() : undefined;
    if (stale) return this.#writeBack(stale);
    if (this.own.journal && this.#isEmpty(this.own) && now - this.#spilledAt >= REMOVE_IDLE_MS) {
      await removeLife(this.own);
      return true;
    }
    return false;
  }

  #waitMs(): number {
    const now = this.#parts.clock.monotonic();
    if (now < this.#pausedUntil) return this.#pausedUntil - now;
    let until = Number.POSITIVE_INFINITY;
    const since = this.#since();
    if (since !== undefined && !this.#isSpoolFull && this.#parts.base !== undefined) until = since + this.#spillAgeMs();
    if (this.#findStale()) until = Math.min(until, this.#wroteBackAt + WRITE_BACK_MS);
    if (this.own.journal && this.#isEmpty(this.own)) until = Math.min(until, this.#spilledAt + REMOVE_IDLE_MS);
    return Math.max(until - now, 1);
  }

  #spillAgeMs(): number {
    return this.isLinkDown ? SPILL_AGE_DOWN_MS : SPILL_AGE_MS;
  }

  /** Since when the oldest event waits that is in memory only. */
  #since(): number | undefined {
    const { urgent, normal } = this.own.stores;
    const first = urgent.memory.since(urgent.durable);
    const second = normal.memory.since(normal.durable);
    return first === undefined || second === undefined ? (first ?? second) : Math.min(first, second);
  }

  #hasUnspilled(): boolean {
    return this.#since() !== undefined;
  }

  #shouldSpill(): boolean {
    const since = this.#since();
    if (since === undefined || this.#parts.base === undefined) {
      this.#isSpillWanted = false;
      return false;
    }
    if (this.#isSpoolFull && this.spoolBytes + this.memoryBytes > this.#parts.bytesMax) return false;
    return (
      this.#isSpillWanted ||
      this.#parts.isDurable ||
      this.memoryBytes >= MEMORY_BYTES_MAX / 2 ||
      this.#parts.clock.monotonic() - since >= this.#spillAgeMs()
    );
  }

  async #spill(): Promise<void> {
    const { own } = this;
    if (this.#parts.base === undefined) return;
    if (!(await this.#makeRoom())) return;
    const journal = (own.journal ??= await this.#parts.openJournal(own.directory));
    const spools = perLane((lane) => own.stores[lane].spool ?? new SpoolLane(journal, lane, 0));
    const spills: Partial<PerLane<Spill>> = {};
    this.#isSpillWanted = false;
    const before = own.bytes;
    const { node, component } = this.#parts;
    try {
      await journal.commit((draft) => {
        draft.put('life', () => ({ version: 1, node, component }));
        for (const lane of LANES) {
          const store = own.stores[lane];
          const spill = (spills[lane] = store.spill(draft, spools[lane]));
          const row = store.row(spill.last);
          draft.put(seriesKey(lane), () => row);
          for (const run of spill.runs) own.bytes += run.bytes;
        }
      });
    } catch (error) {
      own.bytes = before;
      for (const lane of LANES) own.stores[lane].pinned = 0;
      throw error;
    }
    for (const lane of LANES) own.stores[lane].spilled(spills[lane]!, spools[lane]);
    this.#spilledAt = this.#parts.clock.monotonic();
    this.#parts.onSendable();
  }

  /** Keeps the spool within its limit, by the policy; false if nothing more may be spilled. */
  async #makeRoom(): Promise<boolean> {
    const { bytesMax, whenFull } = this.#parts;
    while (this.spoolBytes + this.memoryBytes > bytesMax && this.spoolBytes > 0) {
      if (whenFull === 'drop-newest' || !(await this.#dropOldest())) {
        if (!this.#isSpoolFull) {
          this.#parts.onProblem(
            new FondacoError('FULL', `the spool must take at most ${bytesMax} bytes, got more: new events are dropped`),
          );
        }
        this.#isSpoolFull = true;
        return false;
      }
    }
    this.#isSpoolFull = false;
    return true;
  }

  /** Normal before urgent, older lives before the new one. */
  async #dropOldest(): Promise<boolean> {
    for (const lane of ['normal', 'urgent'] satisfies Lane[]) {
      for (const life of [...this.#older, this.own]) if (await dropOldest(life, lane)) return true;
    }
    return false;
  }

  /** An older life costs a database, and the memory of its exit file. */
  #mayAdopt(): boolean {
    if (this.#waiting.length === 0 || this.#older.length >= OLDER_OPEN_MAX) return false;
    let bytes = 0;
    for (const { stores } of this.#older) bytes += stores.urgent.memory.bytes + stores.normal.memory.bytes;
    return bytes < MEMORY_BYTES_MAX;
  }

  async #adopt(): Promise<boolean> {
    const name = this.#waiting[0]!;
    const directory = `${this.#parts.base}/${name}`;
    try {
      const life = await adoptLife(directory, this.#parts);
      if (life) this.#older.push(life);
    } catch (error) {
      // Tried again after a pause, for the order's sake. Then it stays on the disk, for a later life: it must not hold up the others for ever.
      if (++this.#adoptAttempts < ADOPT_ATTEMPTS_MAX) throw error;
      this.#parts.onProblem(asFondacoError(error));
    }
    this.#adoptAttempts = 0;
    this.#waiting.shift();
    this.#parts.onSendable();
    return true;
  }

  async #finish(life: Life): Promise<boolean> {
    await removeLife(life);
    this.#older = this.#older.filter((other) => other !== life);
    for (const lane of LANES) {
      const store = life.stores[lane];
      store.isClosing = true;
      if (store.window.settledBy !== '') this.#closing.push(store);
    }
    this.#parts.onSendable();
    return true;
  }

  async #writeBack(life: Life): Promise<boolean> {
    for (const lane of LANES) {
      const store = life.stores[lane];
      this.#written.set(store, { settled: store.window.settled, lost: store.lost.version });
    }
    this.#wroteBackAt = this.#parts.clock.monotonic();
    await writeBack(life);
    return true;
  }

  /** A life whose rows are behind. */
  #findStale(): Life | undefined {
    return [...this.#older, this.own].find((life) => life.journal && LANES.some((lane) => this.#isStale(life.stores[lane])));
  }

  #isStale(store: SeriesStore): boolean {
    const written = this.#written.get(store) ?? { settled: 0, lost: 0 };
    return store.lost.version > written.lost || (store.window.settled > written.settled && written.settled < (store.spool?.last ?? 0));
  }

  #isEmpty(life: Life): boolean {
    return life.journal !== undefined && LANES.every((lane) => life.stores[lane].isSettled && life.stores[lane].window.inFlight === 0);
  }
}

function asFondacoError(error: unknown): FondacoError {
  return isFondacoError(error) ? error : new FondacoError('UNAVAILABLE', `the spool failed, ${asError(error).message}`, { cause: error });
}
