/**
 * LevelDB's repair, guarded: what it had to give up (logs, manifests, tables with bad blocks) lies in `db/lost`, and is set aside as
 * `db.corrupt-<n>` beside the database, as evidence. Where even the repair fails, all of it is set aside, and the store begins empty.
 */
import { mkdir, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ClassicLevel } from 'classic-level';
import { Level } from 'level';
import { FondacoError } from '../core/errors.ts';
import { readHeader } from './blob.ts';
import type { KeptFiles } from './kept-files.ts';
import { deepestText, isNoSpace, isPassing } from './level-error.ts';
import { BLOB_KEY, soundEntries, type TableEntry } from './level-tables.ts';
import { readRecords, writeRecords } from './log-records.ts';
import { decodeRecord } from './row-record.ts';

/** Sets of evidence kept; the oldest is given up beyond it. */
const EVIDENCE_MAX = 5;
/** For a new manifest, and what a table has beside its content. */
const ROOM_BYTES = 1024 * 1024;

/**
 * True for a database whose CURRENT is gone, or names no manifest that is there. Of one that is gone LevelDB would begin an empty one and delete
 * its tables. One that was being made when the power went has a manifest at most, and never held anything.
 */
export async function isHeadless(directory: string): Promise<boolean> {
  const names = await list(directory);
  const current = names.includes('CURRENT') ? await readFile(join(directory, 'CURRENT'), 'latin1') : '';
  return !names.includes(current.slice(0, -1)) && names.some((name) => /\.(ldb|sst|log)$/.test(name));
}

/**
 * Takes away a database that was only being made when the power went: its first opening ends with MANIFEST-000002, and before that LevelDB
 * takes nothing. It has not synced MANIFEST-000001 then, so this may look like damage.
 */
export async function clearUnborn(directory: string): Promise<void> {
  const current = await readFile(join(directory, 'CURRENT'), 'latin1').catch(() => '');
  if (current !== 'MANIFEST-000001\n') return;
  const names = (await list(directory)).filter((name) => /\.(ldb|sst|log)$/.test(name));
  for (const name of names) if ((await stat(join(directory, name))).size > 0) return;
  for (const name of [...names, 'CURRENT', 'MANIFEST-000001']) await rm(join(directory, name), { force: true });
}

/** True where there is anything of a database. */
export async function holdsDatabase(directory: string): Promise<boolean> {
  return (await list(directory)).some((name) => /^(CURRENT|MANIFEST-.*|.*\.(ldb|sst|log))$/.test(name));
}

/**
 * Repairs the closed database of a directory. `unsafe`: tables that must not even be looked at. Resolves with what was done, in words,
 * and where the evidence is. Rejects FULL without the room to do it, UNAVAILABLE where its files cannot be opened now: then nothing is given up.
 */
export async function repairLevel(directory: string, unsafe: readonly string[]): Promise<{ what: string; evidence?: string }> {
  await needRoom(directory);
  const evidence = await nameEvidence(directory);
  const lost = join(directory, 'lost');
  if (unsafe.length > 0) await mkdir(lost, { recursive: true });
  for (const name of unsafe) await rename(join(directory, name), join(lost, name));
  await cleanLogs(directory, lost);
  const problem = await tryRepair(directory);
  if (problem !== undefined && isNoSpace(problem))
    throw new FondacoError('FULL', `the store ${directory} must be repairable, got ${problem}`);
  if (problem !== undefined && isPassing(problem))
    throw new FondacoError('UNAVAILABLE', `the store ${directory} must be repairable, got ${problem}`);
  if (problem === undefined && !(await list(directory)).includes('lost')) return { what: 'the database was repaired' };
  await rename(problem === undefined ? lost : directory, evidence);
  if (problem === undefined) return { what: `the database was repaired; what was given up for that is in ${evidence}`, evidence };
  return { what: `the database could not be repaired (${problem}); it is in ${evidence}, and an empty one was begun`, evidence };
}

/**
 * A repair does not look at the checksums of logs, and a commit under the number of another ends the process, with a failed assertion. So it
 * gets logs of the records that are whole; what they were lies in `lost`.
 */
async function cleanLogs(directory: string, lost: string): Promise<void> {
  for (const name of (await list(directory)).filter((each) => each.endsWith('.log'))) {
    const path = join(directory, name);
    const { records, isWhole } = readRecords(await readFile(path));
    if (isWhole) continue;
    await mkdir(lost, { recursive: true });
    await writeFile(`${path}.clean`, writeRecords(records));
    await rename(path, join(lost, `damaged-${name}`));
    await rename(`${path}.clean`, path);
  }
}

/** A repair rewrites the logs as tables, and gives a log up that it has no room to rewrite. */
async function needRoom(directory: string): Promise<void> {
  let bytes = ROOM_BYTES;
  for (const name of await list(directory)) if (name.endsWith('.log')) bytes += 2 * (await stat(join(directory, name))).size;
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize < bytes)
    throw new FondacoError('FULL', `the store ${directory} must have ${bytes} bytes of room to be repaired, got ${bavail * bsize}`);
}

/** Why it could not be repaired, by the deepest cause. */
async function tryRepair(directory: string): Promise<string | undefined> {
  try {
    await (Level as unknown as typeof ClassicLevel).repair(directory);
    return undefined;
  } catch (error) {
    return deepestText(error);
  }
}

/** The tables that were set aside. */
export function tablesIn(evidence: string): string[] {
  return readdirSync(evidence)
    .filter((name) => name.endsWith('.ldb'))
    .map((name) => join(evidence, name));
}

/** What can still be read in tables, by the checksums of blobs and rows. */
export function* checkedEntries(tables: readonly string[]): Generator<TableEntry> {
  for (const table of tables)
    for (const { key, value } of soundEntries(table))
      if (key[0] === BLOB_KEY ? readHeader(key, value) : commitOf(key, value) > 0) yield { key: Buffer.from(key), value };
}

/** The number of the commit that wrote a row; 0 for what is none. */
export function commitOf(key: Buffer, record: Buffer): number {
  try {
    return decodeRecord(key, record).commit;
  } catch (error) {
    if (error instanceof FondacoError || error instanceof SyntaxError) return 0;
    throw error;
  }
}

/** What LevelDB passed over when it read its log at the last opening: it says so in its own log file, or not at all. */
export async function droppedAtOpen(directory: string, files: KeptFiles): Promise<string[]> {
  const text = await readFile(join(directory, 'LOG'), 'utf8').catch(() => '');
  const dropped = [...text.matchAll(/(\d+\.log): dropping (\d+) bytes; (.*)/g)];
  const zeroed = await files.zeroed();
  if (dropped.length === 0 && zeroed === 0) return [];
  const bytes = dropped.reduce((sum, [, , count]) => sum + Number(count), zeroed);
  return [
    `${bytes} bytes of the log could not be read (${dropped[0]?.[3] ?? 'zeros'}): what they held is lost; after a power cut that is a commit that nobody was told of`,
  ];
}

export async function nameEvidence(directory: string): Promise<string> {
  const prefix = `${basename(directory)}.corrupt-`;
  const above = dirname(directory);
  const number = (name: string): number => Number(name.slice(prefix.length));
  const earlier = (await list(above)).filter((name) => name.startsWith(prefix)).sort((a, b) => number(a) - number(b));
  for (const name of earlier.slice(0, Math.max(0, earlier.length - EVIDENCE_MAX + 1)))
    await rm(join(above, name), { recursive: true, force: true });
  const last = earlier.at(-1);
  return join(above, `${prefix}${last === undefined ? 1 : number(last) + 1}`);
}

async function list(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}
