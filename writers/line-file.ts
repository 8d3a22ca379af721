/**
 * A file of whole lines that only grows: what is appended is there wholly and durably, or, as far as the disk lets us, not at all.
 *
 * A crash may leave the beginning of a line at the end. It was never reported as written, so it comes again: where it looks like ours it is
 * cut off at the next opening, and where somebody cut the file while it is open, before the next line. Bytes that are not ours are left alone, and get a line feed of their own.
 */
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FondacoError, isFondacoError } from '../core/errors.ts';

/** Longer than any line of ours: an event has at most 64 KiB, and an escaped byte six. */
const LINE_BYTES_MAX = 1024 * 1024;
/** How every line of ours begins. */
const LINE_START = '{"id":"';
const LINE_FEED = 0x0a;

export class LineFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Where the last append, or the opening, ended. */
  #end: number;

  /** Opens the file, or makes it with permissions `mode`. Rejects as `node:fs` does, or REFUSED where it is no regular file. */
  static async open(path: string, mode: number): Promise<LineFile> {
    const { handle, isNew } = await openOrMake(path, mode);
    try {
      if (!(await handle.stat()).isFile()) throw new FondacoError('REFUSED', `${path} must be a regular file`);
      if (isNew) await syncDirectory(dirname(path));
      else await mendEnd(handle);
      return new LineFile(path, handle, (await handle.stat()).size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private constructor(path: string, handle: FileHandle, end: number) {
    this.path = path;
    this.#handle = handle;
    this.#end = end;
  }

  /** In bytes, and when it was last written, in ms of the wall clock. */
  async state(): Promise<{ readonly bytes: number; readonly writtenAt: number }> {
    const { size, mtimeMs } = await this.#handle.stat();
    return { bytes: size, writtenAt: mtimeMs };
  }

  /** False where the path names another file by now, or none. */
  async isInPlace(): Promise<boolean> {
    const [ours, there] = await Promise.all([this.#handle.stat(), statIfThere(this.path)]);
    return there?.ino === ours.ino && there.dev === ours.dev;
  }

  /**
   * Resolves when the lines are on disk. Rejects as `node:fs` does after it has taken back what was written of them (the file must be opened
   * anew then), or UNAVAILABLE where somebody deleted or cut the file meanwhile. One that was cut before it, in the middle of a line, is mended as by
   * an opening.
   */
  async append(lines: Buffer): Promise<void> {
    if ((await this.#handle.stat()).size < this.#end) await mendEnd(this.#handle);
    const before = (await this.#handle.stat()).size;
    try {
      for (let at = 0; at < lines.length;) at += (await this.#handle.write(lines, at)).bytesWritten;
      // A failed sync may have dropped pages that a second one would not write again: the lines are taken back and written anew.
      await this.#handle.datasync();
    } catch (error) {
      await this.#takeBack(before);
      throw error;
    }
    const { size, nlink } = await this.#handle.stat();
    if (nlink === 0) throw new FondacoError('UNAVAILABLE', `${this.path} must stay while it is written, it was deleted`);
    if (size < before + lines.length)
      throw new FondacoError('UNAVAILABLE', `${this.path} must stay as it is while it is written, it was cut`);
    this.#end = size;
  }

  /** Never rejects: everything that was reported is on disk. */
  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
  }

  async #takeBack(before: number): Promise<void> {
    try {
      if ((await this.#handle.stat()).size > before) await this.#handle.truncate(before);
    } catch {
      // What is left ends with a whole line or with the beginning of one, which the next opening cuts off.
    }
  }
}

/** Makes names that were given, taken or changed in a directory durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** No link is followed, and no pipe waited for. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK;

async function openOrMake(path: string, mode: number): Promise<{ handle: FileHandle; isNew: boolean }> {
  try {
    const handle = await open(path, FLAGS | constants.O_CREAT | constants.O_EXCL, mode);
    await handle.chmod(mode).catch(() => undefined); // a file system without permissions has none to set
    return { handle, isNew: true };
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return { handle: await open(path, FLAGS), isNew: false };
  }
}

async function mendEnd(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat();
  const end = Buffer.alloc(Math.min(size, LINE_BYTES_MAX));
  let bytes = 0;
  while (bytes < end.length) {
    const { bytesRead } = await handle.read(end, bytes, end.length - bytes, size - end.length + bytes);
    if (bytesRead === 0) return; // it was cut meanwhile
    bytes += bytesRead;
  }
  if (size === 0 || end.at(-1) === LINE_FEED) return;
  const start = end.lastIndexOf(LINE_FEED) + 1;
  const isWhole = start > 0 || end.length === size;
  if (isWhole && isOurs(end.subarray(start))) await handle.truncate(size - (end.length - start));
  else await handle.write('\n');
  await handle.datasync();
}

function isOurs(start: Buffer): boolean {
  const text = start.toString('latin1', 0, LINE_START.length);
  return LINE_START.startsWith(text);
}

async function statIfThere(path: string): Promise<{ ino: number; dev: number } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The code of an error of `node:fs`. */
export function codeOf(error: unknown): string {
  return error instanceof Error && !isFondacoError(error) && 'code' in error ? String(error.code) : '';
}
