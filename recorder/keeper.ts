/**
 * What keeps events when the proxy does not take them: spills memory, adopts the lives that others left behind, writes back what was
 * settled, deletes what is empty. One loop, one thing at a time, so that no two of these meet on the disk.
 * When memory is spilled, and how, is spiller.ts. A life whose disk fails is left alone for a while, and nothing else with it.
 */
import type { Bell } from '../core/bell.ts';
import type { Clock } from '../core/clock.ts';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import { LANES } from '../core/lane.ts';
import type { OutgoingSeries } from '../proto/session.ts';
import type { AdoptionParts } from './adoption.ts';
import { openLife } from './life-opening.ts';
import { asProblem, isGone, isLifeEmpty, newLife, removeLife, writeBack, writeRows, type Life, type LifeParts } from './life.ts';
import { OlderLives } from './older-lives.ts';
import type { SeriesStore, StoreEvents } from './series-store.ts';
import { Spiller } from './spiller.ts';
import { SpoolRoom } from './spool-room.ts';

const WRITE_BACK_MS = 1_000;
const REMOVE_IDLE_MS = 5_000;
const PAUSE_MS = 5_000;
/** How often is looked whether somebody removed a directory, beside at every spill. */
const CHECK_MS = 5_000;
/** So many failed reads of an open journal in a row, and it is opened again. */
const UNREADABLE_MAX = 3;

export interface KeeperParts extends Omit<LifeParts, 'events' | 'onCommit'> {
  /** The component's directory; `undefined` for memory only. */
  readonly base: string | undefined;
  /** Of the own life, wall clock, ms. */
  readonly bornAt: number;
  readonly bytesMax: number;
  readonly whenFull: 'drop-oldest' | 'drop-newest';
  readonly isDurable: boolean;
  /** Rung when there may be something to do. */
  readonly bell: Bell;
  readonly clock: Clock;
  readonly events: Pick<StoreEvents, 'changed' | 'rejected'>;
  /** Told of an older life whose spool was damaged. */
  readonly onDamage: AdoptionParts['onDamage'];
  /** Called when the session may have more to send. */
  readonly onSendable: () => void;
}

/** The own life and the older ones. `run` never rejects. */
export class Keeper {
  readonly own: Life;
  readonly #parts: KeeperParts;
  readonly #lifeParts: LifeParts;
  readonly #older: OlderLives;
  readonly #room: SpoolRoom;
  readonly #spiller: Spiller;
  #wroteBackAt = 0;
  #checkedAt = 0;
  /** What concerns the older lives as such. */
  readonly #others = { pausedUntil: 0, isFailing: false };
  readonly #written = new WeakMap<SeriesStore, { settled: number; lost: number }>();
  readonly #unreadable = new WeakMap<SeriesStore, number>();
  readonly #damaged = new WeakSet<SeriesStore>();
  #untold = 0;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    const events: StoreEvents = {
      ...parts.events,
      unreadable: (store, error) => this.#noteUnreadable(store, error),
      damaged: (store, range) => this.#noteDamaged(store, range.first, range.last),
    };
    this.#lifeParts = { ...parts, events, onCommit: () => this.#ring() };
    this.own = newLife(parts.base ?? '', parts.bornAt, this.#lifeParts);
    this.#older = new OlderLives({ ...this.#lifeParts, base: parts.base, ownId: this.own.id, onDamage: parts.onDamage });
    const giveUpQueued = (): void => {
      while (this.own.stores.normal.giveUp('oldest', 'spool-full'));
    };
    this.#room = new SpoolRoom({ ...parts, lives: () => this.#lives, hasQueued: () => this.own.stores.normal.queued > 0, giveUpQueued });
    this.#spiller = new Spiller({ ...parts, own: this.own, life: this.#lifeParts, room: this.#room });
  }

  get #lives(): readonly Life[] {
    return [...this.#older.open, this.own];
  }

  /** The series that may be sent now: urgent first, and in each lane the older lives before the new one. */
  readonly series = (): OutgoingSeries[] => {
    const now = this.#parts.clock.monotonic();
    const all: OutgoingSeries[] = [];
    for (const lane of LANES) {
      const { series, holdsOwn } = this.#older.series(lane, now);
      all.push(...series);
      if (!holdsOwn) all.push(this.own.stores[lane]);
    }
    all.push(...this.#older.closing);
    return all;
  };

  /** The component's directory; `undefined` for memory only. */
  get base(): string | undefined {
    return this.#parts.base;
  }

  /** The proxy does not take what is held: it spills soon. */
  get isLinkDown(): boolean {
    return this.#spiller.isLinkDown;
  }

  set isLinkDown(isDown: boolean) {
    this.#spiller.isLinkDown = isDown;
  }

  get memoryBytes(): number {
    return this.#spiller.memoryBytes;
  }

  /** What the spools take on disk. */
  get spoolBytes(): number {
    return this.#room.bytes;
  }

  get older(): OlderLives['counts'] {
    return this.#older.counts;
  }

  /** Spill at the next opportunity, whatever the age. */
  wantSpill(): void {
    this.#spiller.want();
    this.#parts.bell.ring();
  }

  /** Finds the lives that others left behind. They are adopted by `run`. */
  async findOlder(): Promise<void> {
    await this.#older.look();
  }

  /** Works until `signal` is aborted. Never rejects: a disk that fails is tried again. */
  async run(signal: AbortSignal): Promise<void> {
    const { bell, clock } = this.#parts;
    signal.addEventListener('abort', () => bell.ring(), { once: true });
    while (!signal.aborted) {
      if (!(await this.#step())) await bell.wait(clock, this.#waitMs());
    }
  }

  /** The end: spills what memory holds, writes back, and closes; a life that is settled is deleted. True if nothing is left in memory. */
  async close(): Promise<boolean> {
    this.own.pausedUntil = 0;
    if ((await this.#isGone(this.own)) && !(await this.#reopen(this.own)))
      this.#untold = LANES.reduce((sum, lane) => sum + this.own.stores[lane].spooled, 0);
    // The room that is kept for bad days is there for this, too.
    const room = this.#room.isLow ? this.memoryBytes : undefined;
    for (let before = -1; this.#spiller.isNeeded && this.own.stores.urgent.durable + this.own.stores.normal.durable > before;) {
      before = this.own.stores.urgent.durable + this.own.stores.normal.durable;
      await this.#guard(this.own, () => this.#spill(room));
    }
    if (isLifeEmpty(this.own)) await this.#guard(this.own, () => removeLife(this.own));
    for (const life of this.#lives) {
      await this.#guard(life, () => writeBack(life));
      await this.#guard(life, async () => life.journal?.close());
      life.journal = undefined;
    }
    return !this.#spiller.isNeeded;
  }

  /** After the close: events in a spool that is gone, of which no later life will know. */
  get untold(): number {
    return this.#untold;
  }

  /** Deletes the own life's directory if everything is settled; true if so. Only then may its series be closed. */
  async removeOwn(): Promise<boolean> {
    return isLifeEmpty(this.own) && this.#guard(this.own, () => removeLife(this.own));
  }

  /** Does one thing; false if there is nothing to do now. */
  async #step(): Promise<boolean> {
    const now = this.#parts.clock.monotonic();
    const broken = this.#lives.find((life) => life.isBroken && life.pausedUntil <= now);
    if (broken) return this.#reopen(broken);
    if (this.#parts.base !== undefined && this.#spiller.isDue(now)) return this.#guard(this.own, () => this.#spill());
    if (now >= this.#checkedAt + CHECK_MS && (await this.#check(now))) return true;
    const stale = now - this.#wroteBackAt >= WRITE_BACK_MS ? this.#findStale(now) : undefined;
    if (stale) return this.#guard(stale, () => this.#writeBack(stale));
    if (this.#isRemovable() && now - this.#spiller.spilledAt >= REMOVE_IDLE_MS && this.own.pausedUntil <= now) {
      return this.#guard(this.own, () => removeLife(this.own));
    }
    if (this.#others.pausedUntil > now) return false;
    let acted = false;
    await this.#guard(this.#others, async () => {
      acted = (await this.#older.step()) || (await this.#older.finish()) || (await this.#room.tidy());
    });
    return acted;
  }

  /** Opens a broken life's journal again. What is not there any more is found missing when it is read. */
  async #reopen(life: Life): Promise<boolean> {
    return this.#guard(life, async () => {
      await openLife(life, this.#lifeParts);
      await writeRows(life, this.#parts); // a later life is to know what is missing
      for (const lane of LANES) this.#unreadable.delete(life.stores[lane]);
      this.#ring();
    });
  }

  /** Looks whether somebody removed the directory of a life; true if so. */
  async #isGone(life: Life): Promise<boolean> {
    if (life.isBroken || !(await isGone(life))) return life.isBroken;
    life.isBroken = true;
    const text = `the spool ${life.directory} must stay while it is in use, got it removed: what is lost with it is declared`;
    this.#parts.onProblem(new FondacoError('CORRUPT', text));
    return true;
  }

  async #check(now: number): Promise<boolean> {
    this.#checkedAt = now;
    let isAny = false;
    for (const life of this.#lives) if (await this.#isGone(life)) isAny = true;
    return isAny;
  }

  /** Runs what touches a life's disk. A failure is reported once, and the life left alone for a while. False if it failed. */
  async #guard(life: Pick<Life, 'pausedUntil' | 'isFailing'>, action: () => Promise<unknown>): Promise<boolean> {
    try {
      await action();
      life.isFailing = false;
      return true;
    } catch (error) {
      life.pausedUntil = this.#parts.clock.monotonic() + PAUSE_MS;
      if (!life.isFailing) this.#parts.onProblem(asProblem(error));
      life.isFailing = true;
      return false;
    }
  }

  #waitMs(): number {
    const { clock, base } = this.#parts;
    const now = clock.monotonic();
    if (base === undefined) return Number.POSITIVE_INFINITY;
    let until = Math.min(this.#spiller.dueAt(now), Math.max(this.#others.pausedUntil, this.#older.nextAt));
    for (const life of this.#lives) {
      if (life.isBroken) until = Math.min(until, life.pausedUntil);
      if (!life.journal) continue;
      until = Math.min(until, this.#checkedAt + CHECK_MS);
      if (life.journal.isOpen && this.#isLifeStale(life))
        until = Math.min(until, Math.max(this.#wroteBackAt + WRITE_BACK_MS, life.pausedUntil));
    }
    if (this.#isRemovable()) until = Math.min(until, Math.max(this.#spiller.spilledAt + REMOVE_IDLE_MS, this.own.pausedUntil));
    return Math.max(until - now, 1);
  }

  /** `room`: see Spiller. */
  async #spill(room?: number): Promise<void> {
    if (this.#parts.base === undefined || (await this.#isGone(this.own))) return;
    await this.#spiller.spill(room);
  }

  async #writeBack(life: Life): Promise<void> {
    for (const lane of LANES) {
      const store = life.stores[lane];
      this.#written.set(store, { settled: store.window.settled, lost: store.lost.version });
    }
    this.#wroteBackAt = this.#parts.clock.monotonic();
    await writeBack(life);
  }

  /** A life whose rows are behind. */
  #findStale(now: number): Life | undefined {
    return this.#lives.find((life) => life.journal?.isOpen && !life.isBroken && life.pausedUntil <= now && this.#isLifeStale(life));
  }

  #isLifeStale({ stores }: Life): boolean {
    return LANES.some((lane) => this.#isStale(stores[lane]));
  }

  #isStale(store: SeriesStore): boolean {
    const written = this.#written.get(store) ?? { settled: 0, lost: 0 };
    return store.lost.version > written.lost || (store.window.settled > written.settled && written.settled < (store.spool?.last ?? 0));
  }

  #isRemovable(): boolean {
    return this.own.journal?.isOpen === true && !this.own.isBroken && isLifeEmpty(this.own);
  }

  #lifeOf(store: SeriesStore): Life | undefined {
    return this.#lives.find(({ stores }) => stores[store.lane] === store);
  }

  /** A damaged store, or one that fails again and again although it is open, is opened again: that mends what can be mended. */
  #noteUnreadable(store: SeriesStore, error: Error): void {
    const life = this.#lifeOf(store);
    if (!life?.journal?.isOpen) return; // it is being opened again
    const failures = (this.#unreadable.get(store) ?? 0) + 1;
    this.#unreadable.set(store, failures);
    if (failures === 1) this.#parts.onProblem(asProblem(error));
    if (isFondacoError(error, 'CORRUPT') || failures >= UNREADABLE_MAX) life.isBroken = true;
    this.#parts.bell.ring();
  }

  #noteDamaged(store: SeriesStore, first: number, last: number): void {
    if (this.#damaged.has(store)) return;
    this.#damaged.add(store);
    const events = first === last ? `event ${store.id}-${first}` : `events ${store.id}-${first} to -${last}`;
    const text = `the spool ${this.#lifeOf(store)?.directory ?? ''} must hold ${events}, got none: they are declared lost, as all that is missing`;
    this.#parts.onProblem(new FondacoError('CORRUPT', text));
  }

  #ring(): void {
    this.#parts.bell.ring();
    this.#parts.onSendable();
  }
}
