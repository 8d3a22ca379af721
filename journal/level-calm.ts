/**
 * Keeps LevelDB from compacting a database that has no room for it. A compaction needs as much free room as its tables have, up to 50 MiB and
 * more; where it fails, LevelDB takes no write until it is reopened, and then begins with the same one. It begins one for four tables in
 * level 0, or for a level that is beyond its size. So where the disk is full, what lies in the upper levels is noted in deeper ones, which
 * have room for it: older content deeper, as ever, and no table is touched. When there is room again, LevelDB goes on from there. What the
 * deeper levels cannot take (LevelDB lets up to twelve tables come together in level 0, on a disk that is faster than its compactions) stays:
 * then the journal is opened again and again, and takes a few commits each time.
 *
 * Layout of a manifest: level-manifest.ts.
 */
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asError, FondacoError } from '../core/errors.ts';
import { contentOf, keyOf, tablesInUse, type Table } from './level-manifest.ts';
import { isNoSpace } from './level-error.ts';
import { readRecords, writeRecords } from './log-records.ts';
import { syncDirectory } from './make-directory.ts';

/** LevelDB's (db/dbformat.h, db/version_set.cc). */
const LEVELS = 7;
const LEVEL_0_TABLES_MAX = 4;
const LEVEL_1_BYTES = 10 * 1024 * 1024;
/** The topmost that takes what is sunk: level 1 is full with a single large table. */
const TOP = 2;
/** What opening adds to level 0, out of the log. */
const FROM_LOG = 2;

/**
 * Before a database without room is opened again. `isOwn`: it was open in this process, so that tables which its manifest does not name are
 * of compactions that failed, and go. One whose manifest cannot be read is left as it is. Rejects FULL or UNAVAILABLE.
 */
export async function calmLevels(directory: string, { isOwn }: { isOwn: boolean }): Promise<void> {
  try {
    if (isOwn) await clearLeftovers(directory);
    await sinkTables(directory);
  } catch (error) {
    if (error instanceof RangeError || (error as NodeJS.ErrnoException).code === 'ENOENT') return;
    const { message } = asError(error);
    throw new FondacoError(isNoSpace(message) ? 'FULL' : 'UNAVAILABLE', `the store ${directory} must open, got ${message}`, {
      cause: error,
    });
  }
}

async function clearLeftovers(directory: string): Promise<void> {
  const inUse = await tablesInUse(directory);
  for (const name of await readdir(directory)) {
    const isLeft = /\.(ldb|sst)$/.test(name) ? inUse?.has(Number.parseInt(name, 10)) === false : name.endsWith('.dbtmp');
    if (isLeft) await rm(join(directory, name), { force: true });
  }
}

/** One record more in the manifest, which is written aside and renamed: all of it is done, or nothing. */
async function sinkTables(directory: string): Promise<void> {
  const current = (await readFile(join(directory, 'CURRENT'), 'latin1')).trim();
  const { records, isWhole } = readRecords(await readFile(join(directory, current)));
  const edit = isWhole ? sinkingEdit(records) : undefined;
  if (!edit) return;
  const making = join(directory, 'LEVELS.tmp');
  const handle = await open(making, 'w');
  try {
    await handle.writeFile(writeRecords([...records, edit]));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(making, join(directory, current));
  await syncDirectory(directory);
}

/** What a manifest's records lack for a database that is at rest; nothing if it is, or cannot be. */
export function sinkingEdit(records: readonly Buffer[]): Buffer | undefined {
  const { tables } = contentOf(records);
  const levels = Array.from({ length: LEVELS }, (_, level) => tables.filter((table) => table.level === level));
  if (!isDue(levels)) return undefined;
  const moves = deepest(levels).filter(({ table, to }) => table.level !== to);
  return moves.length === 0 ? undefined : Buffer.concat(moves.map(({ table, to }) => move(table, to)));
}

/** How deep each table can lie: above all that are older and have keys between its own, for what is higher is newer. */
function deepest([fresh = [], ...deeper]: readonly (readonly Table[])[]): { table: Table; to: number }[] {
  const placed: { table: Table; to: number }[] = [];
  for (const table of [...deeper.reverse().flat(), ...[...fresh].sort((a, b) => a.number - b.number)]) {
    const below = placed.filter((other) => isOverlapping(other.table, table)).map(({ to }) => to);
    const to = Math.min(LEVELS, ...below) - 1;
    placed.push({ table, to: to < TOP ? table.level : to });
  }
  return placed;
}

function isOverlapping(a: Table, b: Table): boolean {
  return Buffer.compare(keyOf(a.smallest), keyOf(b.largest)) <= 0 && Buffer.compare(keyOf(b.smallest), keyOf(a.largest)) <= 0;
}

/** Whether LevelDB would compact it when it is opened. */
function isDue([fresh = [], ...deeper]: readonly (readonly Table[])[]): boolean {
  const isOver = (level: readonly Table[], i: number): boolean => level.reduce((sum, { size }) => sum + size, 0) >= LEVEL_1_BYTES * 10 ** i;
  return fresh.length + FROM_LOG >= LEVEL_0_TABLES_MAX || deeper.slice(0, -1).some(isOver);
}

function move({ level, number, bytes }: Table, to: number): Buffer {
  return Buffer.concat([Buffer.from([6, level]), varintBytes(number), Buffer.from([7, to]), varintBytes(number), bytes]);
}

function varintBytes(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return Buffer.from([...bytes, value]);
}
