/**
 * Where the entries of a store lie in its files, and which of them a damage must leave alone. What has to survive:
 *
 * - in a log (LevelDB's doc/log_format.md: blocks of 32 KiB): every commit that ends before the damage, and every one that begins in a later
 *   block: LevelDB gives up the rest of a block of which a part is wrong;
 * - in a table: every entry of a block that is whole;
 * - beside a damaged manifest or CURRENT: everything.
 */
import { join } from 'node:path';
import type { Lane } from '../../../core/lane.ts';
import { LANES } from '../../../core/lane.ts';
import { blobKey, blobsEnd, positionOf } from '../../../journal/keys.ts';
import { systemClock } from '../../../core/clock.ts';
import { openLevelDisk } from '../../../journal/level-disk.ts';
import { tableBlocks } from '../../../journal/level-tables.ts';
import { damagedCopy, reachOf, roleOf, type Damage, type StoreFiles } from './damage.ts';

const LOG_BLOCK_BYTES = 32 * 1024;
const TRAILER_BYTES = 5;

/** The entries of one commit and lane. */
export interface BlobPlace {
  readonly lane: Lane;
  /** The first position, and the one behind the last. */
  readonly from: number;
  readonly to: number;
  readonly file: string;
  /** The bytes of the file that it hangs on. */
  readonly bytes: readonly [number, number];
}

/** Of a store that is whole. `scratch`: a directory to read it in. */
export async function layoutOf(store: StoreFiles, scratch: string): Promise<BlobPlace[]> {
  damagedCopy(store, scratch, []);
  const disk = await openLevelDisk(join(scratch, 'db'), {
    writeBufferBytes: 1 << 22,
    isDamaged: false,
    clock: systemClock({ unref: true }),
  });
  const chunks = store.files.flatMap((file) => chunksOf(store, file));
  const places: BlobPlace[] = [];
  try {
    for (const lane of LANES) {
      for await (const [key, value] of disk.scan(blobKey(lane, 0), blobsEnd(lane))) {
        const chunk = chunks.find(({ content }) => content.includes(value));
        if (!chunk) throw new Error(`blob ${lane}/${positionOf(key)} must be in a file`);
        const from = positionOf(key);
        places.push({ lane, from, to: from + value.readUInt16BE(5), file: chunk.file, bytes: chunk.bytes });
      }
    }
  } finally {
    await disk.close();
  }
  return places;
}

/** True where none of the damages may have taken the blob. */
export function mustSurvive(
  { file, bytes: [from, to] }: BlobPlace,
  damages: readonly Damage[],
  sizes: ReadonlyMap<string, number>,
): boolean {
  return damages.every((damage) => {
    if (damage.file !== file) return true;
    const [first, reach] = reachOf(damage, sizes.get(file)!);
    let end = reach;
    if (roleOf(file) === 'log') end = damage.kind === 'cut' ? Infinity : Math.ceil(end / LOG_BLOCK_BYTES) * LOG_BLOCK_BYTES;
    else if (roleOf(file) !== 'table') return true;
    return to <= first || from >= end;
  });
}

interface Chunk {
  readonly file: string;
  readonly bytes: readonly [number, number];
  readonly content: Buffer;
}

function chunksOf({ directory }: StoreFiles, { path, bytes }: { path: string; bytes: Buffer }): Chunk[] {
  if (roleOf(path) === 'log') return [...logRecords(path, bytes)];
  if (roleOf(path) !== 'table') return [];
  return tableBlocks(join(directory, path))
    .slice(0, -2)
    .map(({ offset, size }) => {
      const range = [offset, offset + size + TRAILER_BYTES] as const;
      return { file: path, bytes: range, content: bytes.subarray(...range) };
    });
}

/** Records, put together from their fragments: header of 7 bytes { u32 crc, u16 length, u8 type: 1 full, 2 first, 3 middle, 4 last }. */
function* logRecords(file: string, bytes: Buffer): Generator<Chunk> {
  let start = 0;
  let parts: Buffer[] = [];
  for (let at = 0; at + 7 <= bytes.length;) {
    if (LOG_BLOCK_BYTES - (at % LOG_BLOCK_BYTES) < 7) {
      at = Math.ceil(at / LOG_BLOCK_BYTES) * LOG_BLOCK_BYTES;
      continue;
    }
    const type = bytes.readUInt8(at + 6);
    const end = at + 7 + bytes.readUInt16LE(at + 4);
    if (type === 1 || type === 2) [start, parts] = [at, []];
    parts.push(bytes.subarray(at + 7, end));
    at = end;
    if (type === 1 || type === 4) yield { file, bytes: [start, end], content: Buffer.concat(parts) };
  }
}
