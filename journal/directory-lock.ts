/**
 * One opener per directory. LevelDB's own lock is lost when the same process (a worker thread, too) opens the directory again, or merely
 * reads or copies its file LOCK; so this one is taken first. On Linux it is an abstract unix socket named by the device and inode of the
 * directory: it excludes processes, worker threads, bind mounts and a stopped holder, and is free the moment its holder is gone, SIGKILL
 * included. It does not reach across network namespaces; there LevelDB's lock has to do.
 *
 * The file `holder` in the directory only informs: process ids prove nothing (in a container it is always 1).
 */
import { constants } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import { makeDirectory } from './make-directory.ts';

export interface Lock {
  /** Puts the holder's name into its file. Only once the store is open: across network namespaces this lock does not say that it is ours. */
  putName(): Promise<void>;
  release(): Promise<void>;
}

/** How often a directory is looked at again that somebody removed or replaced while its lock was taken. */
const ATTEMPTS_MAX = 5;

/**
 * Takes the lock of a directory, made if absent. Rejects UNAVAILABLE, naming the holder, if it is held; CONFIG if the directory is unusable,
 * FULL if there is no room to make it.
 */
export async function lockDirectory(directory: string, holder: string): Promise<Lock> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const lock = await tryLock(directory, holder);
    if (lock) return lock;
  }
  throw new FondacoError('UNAVAILABLE', `directory ${directory} must stay where it is, got another one each time it was locked`);
}

/** `undefined` if the directory went away meanwhile: its holder may have removed it in good order before we had the lock. */
async function tryLock(directory: string, holder: string): Promise<Lock | undefined> {
  let release: (() => Promise<void>) | undefined;
  let expected = 'usable';
  try {
    await makeDirectory(directory);
    const identity = await identityOf(directory);
    release = process.platform === 'linux' ? await lockSocket(identity) : await lockFile(directory);
    if (!release)
      throw new FondacoError('UNAVAILABLE', `directory ${directory} must be free, it is held by ${await readHolder(directory)}`, {
        isHeld: true,
      });
    expected = 'writable';
    const name = join(directory, `holder.${randomUUID()}`);
    await writeFile(name, `${holder}\n`).catch((error: unknown) => {
      if (!isNoRoom(error)) throw error; // a full disk is no reason not to open: the store has room reserved
    });
    if ((await identityOf(directory)) === identity) return asLock(directory, name, release);
  } catch (error) {
    await release?.();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw isFondacoError(error) ? error : unusable(error, `directory ${directory} must be ${expected}`);
  }
  await release();
  return undefined;
}

function asLock(directory: string, name: string, release: () => Promise<void>): Lock {
  return {
    putName: () => rename(name, join(directory, 'holder')).catch(() => undefined), // it only informs
    release: async () => {
      await rm(name, { force: true }).catch(() => undefined); // there if the store did not open
      await release();
    },
  };
}

async function identityOf(directory: string): Promise<string> {
  const { dev, ino } = await stat(directory, { bigint: true });
  return `${dev}-${ino}`;
}

function lockSocket(identity: string): Promise<(() => Promise<void>) | undefined> {
  const server: Server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(new FondacoError('UNAVAILABLE', `the lock must be takeable, got ${error.message}`, { cause: error }));
    });
    server.listen({ path: `\0fondaco-${identity}`, exclusive: true }, () => {
      resolve(() => new Promise((done) => server.close(() => done())));
    });
  });
}

/** macOS's O_EXLOCK (untested there); elsewhere LevelDB's own lock has to do. */
async function lockFile(directory: string): Promise<(() => Promise<void>) | undefined> {
  const exclusive = process.platform === 'darwin' ? 0x20 : 0;
  try {
    const file = await open(join(directory, 'lock'), constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | exclusive);
    return () => file.close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw new FondacoError('UNAVAILABLE', `the lock must be takeable, got ${(error as Error).message}`, { cause: error });
  }
}

function unusable(error: unknown, expected: string): FondacoError {
  const { message } = error as Error;
  return new FondacoError(isNoRoom(error) ? 'FULL' : 'CONFIG', `${expected}, got ${message}`, { cause: error });
}

function isNoRoom(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

async function readHolder(directory: string): Promise<string> {
  try {
    return (await readFile(join(directory, 'holder'), 'utf8')).trim();
  } catch {
    return 'another opener that left no name';
  }
}
