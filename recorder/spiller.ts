import type { Clock } from '../core/clock.ts';
import type { Journal } from '../core/journal.ts';
import { LANES, perLane, type PerLane } from '../core/lane.ts';
import { openLife } from './life-opening.ts';
import { putLife, type Life, type LifeParts } from './life.ts';
import type { Spill } from './series-store.ts';
import type { SpoolRoom } from './spool-room.ts';
import { seriesKey } from './spool.ts';

/** What memory may take, both lanes together. */
export const MEMORY_BYTES_MAX = 16 * 1024 * 1024;
const SPILL_AGE_MS = 250;
/** With the link down waiting is of no use, but a disk at the edge should not sync for each event. */
const SPILL_AGE_DOWN_MS = 20;
/** What one commit may take: LevelDB needs room to write anew what it has not in tables yet when it opens, and the reserve is made for that. */
export const COMMIT_BYTES_MAX = 512 * 1024;
/** How often a disk that is short of room is looked at, as long as memory has events for it. */
const LOW_MS = 1_000;

/** What spilling needs. */
export interface SpillParts {
  readonly own: Life;
  readonly life: LifeParts;
  readonly room: SpoolRoom;
  readonly clock: Clock;
  /** Spill at once, whatever the age: `durability` is `spool`. */
  readonly isDurable: boolean;
  /** Called when the session may have more to send. */
  readonly onSendable: () => void;
}

/**
 * From memory to the disk of the own life. Everything in memory spills, in synced commits of both lanes, when the link is down, the oldest
 * unsettled event is 250 ms old, memory is half full, or `durability` is `spool`. While the disk is short of room it stays in memory, until
 * that is half full: then the policy decides (spool-room.ts).
 */
export class Spiller {
  isLinkDown = false;
  readonly #parts: SpillParts;
  /** When the last one ended, monotonic. */
  #spilledAt = 0;
  #isWanted = false;

  constructor(parts: SpillParts) {
    this.#parts = parts;
  }

  get #bytesOfLanes(): PerLane<number> {
    return perLane((lane) => this.#parts.own.stores[lane].memory.bytes);
  }

  get memoryBytes(): number {
    const { stores } = this.#parts.own;
    return stores.urgent.memory.bytes + stores.normal.memory.bytes;
  }

  get spilledAt(): number {
    return this.#spilledAt;
  }

  /** Something is in memory only. */
  get isNeeded(): boolean {
    return this.#since() !== undefined;
  }

  /** Spill at the next opportunity, whatever the age. */
  want(): void {
    this.#isWanted = true;
  }

  /** When memory is to be spilled; Infinity if there is no need, or if a ring will say. */
  dueAt(now: number): number {
    const { own, room } = this.#parts;
    const since = this.#since();
    if (since === undefined || own.isBroken || own.journal?.isOpen === false) return Number.POSITIVE_INFINITY;
    const at = room.isLow ? now + LOW_MS : since + this.#spillAgeMs();
    return Math.max(at, own.pausedUntil, room.closedUntil);
  }

  /** True if memory is to be spilled now. */
  isDue(now: number): boolean {
    const { own, room, isDurable } = this.#parts;
    const since = this.#since();
    if (since === undefined) {
      this.#isWanted = false;
      return false;
    }
    if (own.isBroken || own.journal?.isOpen === false || Math.max(own.pausedUntil, room.closedUntil) > now) return false;
    if (this.memoryBytes >= MEMORY_BYTES_MAX / 2) return true;
    return !room.isLow && (this.#isWanted || isDurable || now - since >= this.#spillAgeMs());
  }

  /** `room`: in bytes; without it as much as the policy makes. Rejects as the life's opening and a commit do. */
  async spill(room?: number): Promise<void> {
    const { own, life } = this.#parts;
    room = Math.min(room ?? (await this.#parts.room.make(this.#bytesOfLanes)), COMMIT_BYTES_MAX);
    if (room === 0) return;
    const isWanted = this.#isWanted;
    this.#isWanted = false;
    if (!own.journal) await openLife(own, life);
    const spills = await this.#commitSpill(own.journal!, room);
    for (const lane of LANES) {
      own.stores[lane].spilled(spills[lane]);
      own.bytes += spills[lane].bytes;
    }
    if (isWanted && this.isNeeded) this.#isWanted = true; // the rest
    this.#spilledAt = this.#parts.clock.monotonic();
    this.#parts.onSendable();
  }

  #spillAgeMs(): number {
    return this.isLinkDown ? SPILL_AGE_DOWN_MS : SPILL_AGE_MS;
  }

  /** Since when the oldest event waits that is in memory only. */
  #since(): number | undefined {
    const { urgent, normal } = this.#parts.own.stores;
    const first = urgent.memory.since(urgent.durable);
    const second = normal.memory.since(normal.durable);
    return first === undefined || second === undefined ? (first ?? second) : Math.min(first, second);
  }

  async #commitSpill(journal: Journal, room: number): Promise<PerLane<Spill>> {
    const { own, life } = this.#parts;
    const { stores } = own;
    const spills: Partial<PerLane<Spill>> = {};
    try {
      await journal.commit((draft) => {
        putLife(draft, life);
        for (const lane of LANES) {
          const spill = (spills[lane] = stores[lane].spill(draft, room));
          const row = stores[lane].row(spill.last);
          draft.put(seriesKey(lane), () => row);
          room -= spill.bytes;
        }
      });
    } catch (error) {
      for (const lane of LANES) stores[lane].pinned = 0;
      throw error;
    }
    return spills as PerLane<Spill>;
  }
}
