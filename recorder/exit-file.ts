/**
 * The exit file: what memory holds when the process ends, written synchronously, because nothing else runs any more.
 *
 *     "FONDEXIT"  version u8  crc32 u32le of all that follows  header length u32le  header (JSON)  frames
 *
 * The header says for each lane what its series row would say, and its runs [first seq, count, bytes] of framed events; the frames are those
 * runs, urgent first. It is written aside, synced, renamed, and its directory synced, so that it is there whole or not at all.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writevSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { FondacoError } from '../core/errors.ts';
import { LANES, type PerLane } from '../core/lane.ts';
import type { SeriesRow } from './spool.ts';

const MAGIC = Buffer.from('FONDEXIT');
const VERSION = 1;
const PREFIX_BYTES = MAGIC.length + 1 + 4 + 4;
/** Its name in a life's directory. */
export const EXIT_FILE = 'exit';

/** Framed events of dense seqs, from `first` on. */
export interface ExitRun {
  readonly first: number;
  readonly count: number;
  readonly frames: Buffer;
}

export interface ExitLane {
  readonly row: SeriesRow;
  readonly runs: readonly ExitRun[];
}

interface Header {
  readonly lanes: PerLane<{ readonly row: SeriesRow; readonly runs: readonly [first: number, count: number, bytes: number][] }>;
}

/** Writes the exit file of the life at `directory`, which need not exist. Synchronous; throws what the file system throws. */
export function writeExitFile(directory: string, lanes: PerLane<ExitLane>): void {
  const parts = encode(lanes);
  if (!tryWriteWithin(directory, parts)) writeBeside(directory, parts);
}

/** Into a life's directory that exists: its lock is ours. */
function tryWriteWithin(directory: string, parts: readonly Buffer[]): boolean {
  const aside = join(directory, `${EXIT_FILE}.tmp`);
  try {
    writeSynced(aside, parts);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  renameSync(aside, join(directory, EXIT_FILE));
  syncDirectory(directory);
  return true;
}

/** The directory appears with the file in it, in one step: nobody can adopt it before. */
function writeBeside(directory: string, parts: readonly Buffer[]): void {
  const aside = join(dirname(directory), `.${basename(directory)}.tmp`);
  const made = mkdirSync(aside, { recursive: true });
  writeSynced(join(aside, EXIT_FILE), parts);
  syncDirectory(aside);
  // The component's directory may be new, too: its name, and of those above it that were made.
  for (let above = dirname(dirname(aside)); made !== undefined && above.length >= dirname(made).length; above = dirname(above))
    syncDirectory(above);
  renameSync(aside, directory);
  syncDirectory(dirname(directory));
}

function encode(lanes: PerLane<ExitLane>): Buffer[] {
  const header: Header = {
    lanes: {
      urgent: { row: lanes.urgent.row, runs: lanes.urgent.runs.map(({ first, count, frames }) => [first, count, frames.length]) },
      normal: { row: lanes.normal.row, runs: lanes.normal.runs.map(({ first, count, frames }) => [first, count, frames.length]) },
    },
  };
  const json = Buffer.from(JSON.stringify(header));
  const body = [json, ...LANES.flatMap((lane) => lanes[lane].runs.map((run) => run.frames))];
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix[MAGIC.length] = VERSION;
  prefix.writeUInt32LE(json.length, MAGIC.length + 5);
  let sum = crc32(prefix.subarray(MAGIC.length + 5));
  for (const part of body) sum = crc32(part, sum);
  prefix.writeUInt32LE(sum, MAGIC.length + 1);
  return [prefix, ...body];
}

/** Reads the exit file of a life's directory; `undefined` if there is none. Throws CORRUPT if it does not check. */
export function readExitFile(directory: string): PerLane<ExitLane> | undefined {
  const path = join(directory, EXIT_FILE);
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (bytes.length < PREFIX_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw corrupt(path, 'no exit file');
  const version = bytes[MAGIC.length]!;
  if (version !== VERSION) throw new FondacoError('CORRUPT', `${path} must be of version ${VERSION}, got ${version}`);
  const sum = bytes.readUInt32LE(MAGIC.length + 1);
  if (crc32(bytes.subarray(MAGIC.length + 5)) !== sum) throw corrupt(path, 'a wrong checksum');
  return decode(bytes);
}

function decode(bytes: Buffer): PerLane<ExitLane> {
  const jsonBytes = bytes.readUInt32LE(MAGIC.length + 5);
  let at = PREFIX_BYTES + jsonBytes;
  const { lanes } = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, at)) as Header;
  const take = ([first, count, length]: readonly [number, number, number]): ExitRun => {
    const frames = bytes.subarray(at, at + length);
    at += length;
    return { first, count, frames };
  };
  const urgent = lanes.urgent.runs.map(take);
  const normal = lanes.normal.runs.map(take);
  return { urgent: { row: lanes.urgent.row, runs: urgent }, normal: { row: lanes.normal.row, runs: normal } };
}

/** A damaged exit file is kept under another name, as evidence. */
export function setAsideExitFile(directory: string, now: number): string {
  const kept = join(dirname(directory), `${basename(directory)}.exit.${now}.corrupt`);
  renameSync(join(directory, EXIT_FILE), kept);
  return kept;
}

function writeSynced(path: string, parts: readonly Buffer[]): void {
  const file = openSync(path, 'w', 0o600);
  try {
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    // writev takes 1,024 buffers at most, and may write less than it was given.
    let written = 0;
    for (let rest = [...parts]; written < total; rest = skip(parts, written)) written += writevSync(file, rest.slice(0, 512));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function skip(parts: readonly Buffer[], bytes: number): Buffer[] {
  const rest: Buffer[] = [];
  for (const part of parts) {
    if (bytes >= part.length) bytes -= part.length;
    else {
      rest.push(part.subarray(bytes));
      bytes = 0;
    }
  }
  return rest;
}

/** Makes names in a directory durable. Synchronous. */
export function syncDirectory(directory: string): void {
  const file = openSync(directory, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function corrupt(path: string, got: string): FondacoError {
  return new FondacoError('CORRUPT', `${path} must be an exit file that checks, got ${got}`);
}
