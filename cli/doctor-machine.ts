/** What `doctor` looks at on this machine: the data directory and its disk, the clock, the ports. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readdir, stat, statfs, unlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { asError } from '../core/errors.ts';
import { formatAddress, type ListenAddress } from '../proxy/address.ts';
import type { ProxyConfig } from '../proxy/config.ts';
import { visible } from '../writers/console-line.ts';
import { bytes } from './text.ts';

export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to do. */
  readonly hint?: string;
}

const WRITES = 20;
const WRITE_BYTES = 4096;
/** A reply to an agent waits for one of these. Disks of the last decade take less. */
const SYNC_MS_MAX = 50;
/** Below this much room LevelDB cannot even compact. */
const ROOM_BYTES_MIN = 256 * 1024 ** 2;
/** LevelDB holds more than what is in it until it has compacted. */
const ROOM_FACTOR = 1.5;
const DRIFT_MS_MAX = 100;
const YEARS = { min: 2025, max: 2100 } as const;

/** The data directory, or what will become its parent: written to and synced, in a file of its own; and the room on its disk. */
export async function checkData(config: ProxyConfig): Promise<Finding[]> {
  const { data } = config;
  const exists = existsSync(data);
  const place = exists ? data : nearest(data);
  try {
    const medianMs = await measureSync(place);
    const where = exists ? visible(data) : `${visible(data)} is not there yet and will be made`;
    const isFast = medianMs <= SYNC_MS_MAX;
    const written: Finding = {
      check: 'data',
      level: isFast ? 'ok' : 'warn',
      message: `${where}; a synced write takes ${medianMs.toFixed(1)} ms (median of ${WRITES})`,
      ...(!isFast && { hint: 'every reply to an agent waits for one: put data on a faster disk' }),
    };
    return [written, await checkRoom(config, place)];
  } catch (error) {
    const who = process.getuid === undefined ? '' : ` by user ${process.getuid()}`;
    const hint = 'run this as the user of the proxy; where that is the one, give it the directory, or name another one in data:';
    return [{ check: 'data', level: 'fail', message: `${visible(place)} must be writable${who}, ${asError(error).message}`, hint }];
  }
}

function nearest(path: string): string {
  const parent = dirname(path);
  return existsSync(parent) || parent === path ? parent : nearest(parent);
}

/** Median of synced writes, ms. The file is removed whatever happens. */
async function measureSync(directory: string): Promise<number> {
  const path = join(directory, `.fondaco-doctor-${randomUUID()}`);
  const file = await open(path, 'wx', 0o600);
  try {
    const times: number[] = [];
    const block = Buffer.alloc(WRITE_BYTES, 'x');
    for (let i = 0; i < WRITES; i++) {
      const start = performance.now();
      await file.write(block);
      await file.datasync();
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b)[WRITES / 2]!;
  } finally {
    await file.close();
    await unlink(path);
  }
}

async function checkRoom(config: ProxyConfig, place: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(place);
  const free = bavail * bsize;
  const used = await sizeOf(join(config.data, 'journal', 'db')); // the room reserved beside it is not its content
  const limit = config.journal.bytesMax;
  const wanted = Math.max(ROOM_BYTES_MIN, limit * ROOM_FACTOR - used);
  const journal = `the journal has ${bytes(used)} of ${bytes(limit)}`;
  const level = free < ROOM_BYTES_MIN ? 'fail' : free < wanted ? 'warn' : 'ok';
  const hint = `make room (${bytes(wanted)} for a journal at its limit), or lower journal.bytesMax`;
  return { check: 'room', level, message: `${bytes(free)} free, ${journal}`, ...(level !== 'ok' && { hint }) };
}

/** Bytes of the files below; files that come and go meanwhile do not matter. */
async function sizeOf(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Begins to watch the clocks; what it returns says what it saw since. */
export function watchClock(): () => Finding {
  const started = { wall: Date.now(), monotonic: performance.now() };
  return () => {
    const driftMs = Date.now() - started.wall - (performance.now() - started.monotonic);
    return clockFinding(new Date(started.wall), driftMs);
  };
}

/** `driftMs`: how far the wall clock moved against the monotonic one meanwhile. */
export function clockFinding(now: Date, driftMs: number): Finding {
  const check = 'clock';
  const year = now.getUTCFullYear();
  if (year < YEARS.min || year > YEARS.max) {
    return {
      check,
      level: 'fail',
      message: `it is ${now.toISOString()}`,
      hint: 'set the clock: times of events are wrong, and TLS will fail',
    };
  }
  if (Math.abs(driftMs) > DRIFT_MS_MAX) {
    const message = `the wall clock moved by ${Math.round(driftMs)} ms against the monotonic one while this ran`;
    return { check, level: 'warn', message, hint: 'something sets the clock (chrony, ntpd, a hypervisor): fine once, not all the time' };
  }
  return { check, level: 'ok', message: `${now.toISOString()}, steady` };
}

/** Who answers as a proxy: that of the config, another one, one that does not say which it is, or none. */
export type Holder = 'ours' | 'other' | 'unknown' | 'none';

/** Whether the proxy can listen there, or does. */
export async function checkPort(check: string, address: ListenAddress, holder: Holder): Promise<Finding> {
  const shown = formatAddress(address);
  if ('port' in address && address.port === 0) return { check, level: 'ok', message: `${shown}: any that is free` };
  const answer = await knock(address);
  if (answer === 'listening') {
    if (holder === 'ours') return { check, level: 'ok', message: `${shown} is in use, and the proxy runs` };
    if (holder === 'unknown')
      return {
        check,
        level: 'warn',
        message: `${shown} is in use, perhaps by the proxy`,
        hint: 'what is said of the proxy below tells why that is not known',
      };
    const hint = `stop what listens there (ss -ltnp), or name another address; is it a proxy with another --api?`;
    const whom = holder === 'other' ? 'the proxy that answers is another' : 'not by a proxy that answers';
    return { check, level: 'fail', message: `${shown} is in use, and ${whom}`, hint };
  }
  const problem = 'path' in address ? undefined : await tryListen(address);
  if (problem !== undefined)
    return { check, level: 'fail', message: `cannot listen on ${shown}: ${problem}`, hint: 'name another address' };
  if (holder === 'ours') {
    const hint = 'does the proxy run with this config? fondaco config show says which one is used here';
    return { check, level: 'warn', message: `${shown} is free, though a proxy runs`, hint };
  }
  return { check, level: 'ok', message: `${shown} is free` };
}

function knock(address: ListenAddress): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ ...address, timeout: 2000 });
    const end = (answer: string): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end('listening')).once('timeout', () => end('timeout'));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

/** Listens for a moment where nobody does; undefined if it went well. */
function tryListen(address: { host: string; port: number }): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(error.message));
    server.listen({ ...address, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
