/**
 * What a store knows of itself when it is opened, put together again where a row of it is damaged: the id is in two rows, heads and epochs
 * are in the blobs too. What had to be put together is told in `salvaged`.
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import type { Epoch, Stamp } from '../core/journal.ts';
import { LANES, perLane, type PerLane } from '../core/lane.ts';
import { uuidV7 } from '../core/uuid.ts';
import type { Disk, DiskOperation } from './disk.ts';
import { rowKey } from './keys.ts';
import { LaneBlobs, type Measured } from './lane-blobs.ts';
import { decodeRecord, encodeRecord } from './row-record.ts';

export const FORMAT = 2;

/** Of a lane, as of a commit. */
export interface LaneBounds {
  /** The next position, and the first that is kept. */
  head: number;
  tail: number;
  /** Bytes of all blobs ever, and of those that are given up. */
  offset: number;
  tailOffset: number;
}

export interface StoreState {
  readonly id: string;
  /** With the one that was begun now. */
  readonly epochs: Epoch[];
  readonly bounds: PerLane<LaneBounds>;
  /** Of the commit that began the epoch. */
  readonly number: number;
  readonly salvaged: readonly string[];
}

const EPOCH_OF_NONE = (): never => {
  throw new FondacoError('CORRUPT', 'no entry is read while a store is opened');
};

/** Reads the store's own rows and commits a new epoch. Rejects CONFIG for a format of another version, CORRUPT where the disk says so. */
export async function beginEpoch(disk: Disk, { clock, stamp }: { clock: Clock; stamp: Stamp }): Promise<StoreState> {
  const rows = new OwnRows(disk);
  const own = await rows.read<{ format: number; id: string }>('m:journal');
  if (own && own.format !== FORMAT)
    throw new FondacoError('CONFIG', `the store must have format ${FORMAT}, got ${own.format}: another version of Fondaco wrote it`);
  const past = await rows.read<{ id: string; epochs: Epoch[] }>('m:epochs');
  const found = await rows.read<PerLane<LaneBounds>>('m:lanes');
  const isNew = !own && !past && !found && (await isEmpty(disk));
  if (isNew) rows.missing = [];
  const last = await perLaneAsync(disk, (blobs) => lastBlob(blobs));
  const bounds = found ?? (await perLaneAsync(disk, (blobs) => boundsOf(blobs)));
  for (const lane of LANES) reach(bounds[lane], last[lane]);
  const epochs = past?.epochs ?? [];
  const id = own?.id ?? past?.id ?? uuidV7(clock.now());
  const before = {
    number: Math.max(epochs.at(-1)?.number ?? 0, ...LANES.map((lane) => last[lane]?.epoch ?? 0)),
    birth: Math.max(epochs.at(-1)?.birth ?? 0, ...LANES.map((lane) => last[lane]?.birth ?? 0)),
  };
  const epoch: Epoch = {
    // Above that of every blob, also where the row of the epochs is older: no blob may pass for one of this opening.
    number: before.number + 1,
    // Where the wall clock is behind, a random step keeps two copies of one store from giving the same birth to different epochs.
    birth: Math.max(clock.now(), before.birth + randomInt(1, 1000)),
    first: perLane((lane) => bounds[lane].head),
    stamp,
  };
  const kept = [...heldEpochs(epochs, bounds), epoch];
  const number = rows.number + 1;
  const put = (name: string, value: unknown): DiskOperation => {
    const key = rowKey(name);
    return { key, value: encodeRecord(key, value, number) };
  };
  await disk.write([put('m:journal', { format: FORMAT, id }), put('m:epochs', { id, epochs: kept }), put('m:lanes', bounds)]);
  return { id, epochs: kept, bounds, number, salvaged: rows.missing.map((name) => `row ${name}`) };
}

/** An epoch without a position at or above the tails has no entry left to name; the last one keeps births growing. */
function heldEpochs(epochs: readonly Epoch[], bounds: PerLane<LaneBounds>): Epoch[] {
  const isHeld = (at: number): boolean =>
    LANES.some((lane) => {
      const end = epochs[at + 1]?.first[lane] ?? bounds[lane].head;
      return end > Math.max(epochs[at]!.first[lane], bounds[lane].tail);
    });
  return epochs.filter((_, at) => at === epochs.length - 1 || isHeld(at));
}

/** The rows of the journal itself. */
class OwnRows {
  readonly #disk: Disk;
  /** The highest commit number seen. */
  number = 0;
  /** Rows that are not there, or damaged. */
  missing: string[] = [];

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  async read<T>(key: string): Promise<T | undefined> {
    const bytes = rowKey(key);
    const record = await this.#disk.get(bytes);
    try {
      if (record) {
        const { value, commit } = decodeRecord(bytes, record);
        this.number = Math.max(this.number, commit);
        return value as T;
      }
    } catch (error) {
      if (!isFondacoError(error, 'CORRUPT')) throw error;
    }
    this.missing.push(key);
    return undefined;
  }
}

async function isEmpty(disk: Disk): Promise<boolean> {
  for await (const _ of disk.scan(Buffer.alloc(0), Buffer.from([0xff]), { limit: 1 })) return false;
  return true;
}

async function perLaneAsync<T>(disk: Disk, of: (blobs: LaneBlobs) => Promise<T>): Promise<PerLane<T>> {
  const [urgent, normal] = [new LaneBlobs(disk, 'urgent', EPOCH_OF_NONE), new LaneBlobs(disk, 'normal', EPOCH_OF_NONE)];
  return { urgent: await of(urgent), normal: await of(normal) };
}

/** The last blob: its head, or where it is damaged itself, the last one whose head can be trusted, reaching over what follows it. */
async function lastBlob(blobs: LaneBlobs): Promise<Measured | undefined> {
  const last = await blobs.last();
  if (last === undefined) return undefined;
  const header = await blobs.before(last + 1);
  if (!header) return { first: last, count: 1, epoch: 0, birth: 0, receivedAt: 0, offset: 0, bytes: 0 };
  return { ...header, count: Math.max(header.count, last + 1 - header.first) };
}

/** Rows of a commit may be lost and its blobs not, or a later commit's: the head is above whatever is there. */
function reach(bounds: LaneBounds, last: Measured | undefined): void {
  if (!last) return;
  bounds.head = Math.max(bounds.head, last.first + last.count);
  bounds.offset = Math.max(bounds.offset, last.offset + last.bytes);
}

async function boundsOf(blobs: LaneBlobs): Promise<LaneBounds> {
  const tail = await blobs.firstFrom(0);
  const first = tail === undefined ? undefined : await blobs.before(tail + 1);
  const offset = first?.offset ?? 0;
  return { head: tail ?? 1, tail: tail ?? 1, offset, tailOffset: offset };
}
