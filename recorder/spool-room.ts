import type { Clock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import type { Lane, PerLane } from '../core/lane.ts';
import { dropOldest, liveBytes, measure, reclaim, type Life } from './life.ts';

/** Less than that is no room: a spill would be a commit for a handful of events. */
const ROOM_MIN = 128 * 1024;
/** What is given up at a time, as a share of the limit: the disk gets it back by a compaction, which is not for every spill. */
const DROP_SHARE = 1 / 16;
/** A full spool is looked at again after that. */
const RETRY_MS = 1_000;
/** What the directory takes is looked up again after that, at the next spill. */
const MEASURE_MS = 5_000;
/** A compaction that was in vain is not repeated before. */
const TIDY_MS = 2_000;
/** Given up room is worth a compaction when it is that much, and that share of what the life takes. */
const RECLAIM_MIN = 4 * 1024 * 1024;
const RECLAIM_SHARE = 1 / 4;

/** Beyond `bytesMax` the disk may hold: the reserve, and for a moment what LevelDB writes anew (two write buffers, a compaction). */
export const LIMITS_ON_DISK = { slackBytes: 8 * 1024 * 1024 } as const;

/** What the room of the spools is measured by. */
export interface RoomParts {
  readonly bytesMax: number;
  readonly whenFull: 'drop-oldest' | 'drop-newest';
  readonly clock: Clock;
  /** All that are open, older ones first. */
  readonly lives: () => readonly Life[];
  /** Whether normal events wait in memory. */
  readonly hasQueued: () => boolean;
  /** Gives them up. */
  readonly giveUpQueued: () => void;
  readonly onProblem: (problem: FondacoError) => void;
}

/**
 * The room that spools may take: `bytesMax` on disk, over all lives, and what the disk itself has. When there is none, the policy decides:
 * drop-oldest gives up the oldest, normal before urgent, older lives before the new one; drop-newest leaves new events in memory, until
 * that is full, too. Under either, urgent events take the room of normal ones, and are given up themselves only for urgent ones, when no
 * normal event is left on disk or in memory that is not on its way. Beyond the limit the disk may hold for a moment what LevelDB writes anew: its write buffer, and a compaction.
 */
export class SpoolRoom {
  readonly #parts: RoomParts;
  #closedUntil = Number.NEGATIVE_INFINITY;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #tidiedAt = Number.NEGATIVE_INFINITY;
  #isTold = false;

  constructor(parts: RoomParts) {
    this.#parts = parts;
  }

  /** What all lives take on disk. */
  get bytes(): number {
    return this.#parts.lives().reduce((sum, life) => sum + life.bytes, 0);
  }

  /** The disk is short of room. */
  get isLow(): boolean {
    return this.#parts.lives().some(({ journal }) => journal?.isLow);
  }

  /** Monotonic: nothing is to be spilled before. */
  get closedUntil(): number {
    return this.#closedUntil;
  }

  /** Makes room for that many bytes of each lane, by the policy; returns how many may be spilled, 0 for none now. */
  async make({ urgent, normal }: PerLane<number>): Promise<number> {
    const { clock } = this.#parts;
    const bytes = urgent + normal;
    if (clock.monotonic() - this.#measuredAt >= MEASURE_MS || !this.#fits(bytes)) await this.#measure();
    if (!this.#fits(bytes)) await this.#reclaim(1);
    if (!this.#fits(bytes)) {
      this.#tell();
      await this.#giveUp(urgent, bytes);
    } else if (this.#free >= this.#parts.bytesMax / 4) this.#isTold = false;
    const room = this.#fits(bytes) ? bytes : this.isLow || this.#free < ROOM_MIN ? 0 : this.#free;
    this.#closedUntil = room === 0 ? clock.monotonic() + RETRY_MS : Number.NEGATIVE_INFINITY;
    return room;
  }

  async #giveUp(urgent: number, bytes: number): Promise<void> {
    let isGiven = false;
    if (this.#parts.whenFull === 'drop-oldest') isGiven = await this.#dropOldest('normal', bytes);
    else if (urgent > 0 && !this.#fits(urgent)) await this.#dropOldest('normal', urgent);
    if (this.#parts.whenFull !== 'drop-oldest' || urgent === 0 || this.#fits(urgent)) return;
    // What a full disk gets back is seen late: the next time tells whether more has to go. Perhaps it is not ours to give: memory is filled first.
    if (isGiven || (this.isLow && this.#parts.hasQueued())) return;
    this.#parts.giveUpQueued();
    await this.#dropOldest('urgent', urgent);
  }

  /** After a trim: compacts what is worth it. True if something was. */
  async tidy(): Promise<boolean> {
    const now = this.#parts.clock.monotonic();
    if (now < this.#tidiedAt + TIDY_MS) return false;
    const life = this.#parts.lives().find(({ journal, garbage, bytes }) => {
      return journal?.isOpen && garbage >= Math.max(RECLAIM_MIN, bytes * RECLAIM_SHARE);
    });
    if (!life) return false;
    this.#tidiedAt = now;
    await reclaim(life);
    return true;
  }

  get #free(): number {
    return this.#parts.bytesMax - this.bytes;
  }

  get #live(): number {
    return this.#parts.lives().reduce((sum, life) => sum + liveBytes(life), 0);
  }

  #fits(bytes: number): boolean {
    return bytes <= this.#free && !this.isLow;
  }

  /**
   * One share: what is on its way keeps its room until it is settled, and a disk that others fill does not get it all at once. False if there
   * was nothing.
   */
  async #dropOldest(lane: Lane, bytes: number): Promise<boolean> {
    // By what is kept, not by what the disk takes: that has, for a moment, the same twice while LevelDB compacts.
    const { bytesMax } = this.#parts;
    const share = this.isLow ? bytes : Math.max(this.#live + bytes - bytesMax, bytesMax * DROP_SHARE);
    let isDropped = false;
    for (let isMore = true; isMore && this.#garbage < share; isDropped ||= isMore) isMore = await this.#dropOne(lane);
    await this.#reclaim(1);
    return isDropped;
  }

  async #dropOne(lane: Lane): Promise<boolean> {
    for (const life of this.#parts.lives()) if (await dropOldest(life, lane)) return true;
    return false;
  }

  get #garbage(): number {
    return this.#parts.lives().reduce((sum, life) => sum + life.garbage, 0);
  }

  async #reclaim(min: number): Promise<void> {
    for (const life of this.#parts.lives()) if (life.garbage >= min) await reclaim(life);
  }

  async #measure(): Promise<void> {
    this.#measuredAt = this.#parts.clock.monotonic();
    for (const life of this.#parts.lives()) await measure(life);
  }

  /** Once, until a quarter of the limit is free again. */
  #tell(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const { bytesMax, whenFull, onProblem } = this.#parts;
    const what = this.isLow
      ? 'the disk under the spool must have room, got none'
      : `the spool must take at most ${bytesMax} bytes, got more`;
    const then =
      whenFull === 'drop-oldest'
        ? 'its oldest events are dropped, and declared lost'
        : 'new events stay in memory, and are dropped and declared lost when that is full';
    onProblem(new FondacoError('FULL', `${what}: ${then}`));
  }
}
