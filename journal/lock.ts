/**
 * One opener per directory. LevelDB's own lock is lost when the same process (a worker thread, too) opens the directory again, or merely
 * reads or copies its file LOCK; so this one is taken first. On Linux it is an abstract unix socket named by the device and inode of the
 * directory: it excludes processes, worker threads, bind mounts and a stopped holder, and is free the moment its holder is gone, SIGKILL
 * included. It does not reach across network namespaces; there LevelDB's lock has to do.
 *
 * The file `holder` in the directory only informs: process ids prove nothing (in a container it is always 1).
 */
import { constants } from 'node:fs';
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { FondacoError } from '../core/errors.ts';

export interface Lock {
  release(): Promise<void>;
}

/** Takes the lock of a directory, made if absent. Rejects UNAVAILABLE, naming the holder, if it is held; CONFIG if the directory is unusable. */
export async function lockDirectory(directory: string, holder: string): Promise<Lock> {
  let identity: string;
  try {
    await mkdir(directory, { recursive: true });
    const { dev, ino } = await stat(directory, { bigint: true });
    identity = `${dev}-${ino}`;
  } catch (error) {
    throw unusable(error, `directory ${directory} must be usable`);
  }
  const release = process.platform === 'linux' ? await lockSocket(identity) : await lockFile(directory);
  if (!release) throw new FondacoError('UNAVAILABLE', `directory ${directory} must be free, it is held by ${await readHolder(directory)}`);
  try {
    await writeFile(join(directory, 'holder'), `${holder}\n`);
  } catch (error) {
    await release();
    throw unusable(error, `directory ${directory} must be writable`);
  }
  return { release };
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
  const { code, message } = error as NodeJS.ErrnoException;
  return new FondacoError(code === 'ENOSPC' || code === 'EDQUOT' ? 'FULL' : 'CONFIG', `${expected}, got ${message}`, { cause: error });
}

async function readHolder(directory: string): Promise<string> {
  try {
    return (await readFile(join(directory, 'holder'), 'utf8')).trim();
  } catch {
    return 'another opener that left no name';
  }
}
