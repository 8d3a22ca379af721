import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { asError } from '../core/errors.ts';
import { EXIT, ExitError } from './exit.ts';

/** Bytes that a verb reads. */
export interface Input {
  /** For messages: `events.ndjson`, or `stdin`. */
  readonly name: string;
  readonly bytes: AsyncIterable<Buffer>;
  /** Undefined where it cannot be known. */
  readonly size: number | undefined;
  close(): Promise<void>;
}

/** A file, or stdin for none and for `-`. Rejects with exit code 66 where it cannot be read. */
export async function openInput(file: string | undefined): Promise<Input> {
  if (file === undefined || file === '-') return { name: 'stdin', bytes: process.stdin, size: undefined, close: async () => undefined };
  let handle: FileHandle;
  try {
    handle = await open(file);
  } catch (error) {
    throw new ExitError(EXIT.noInput, `${file} must be readable: ${asError(error).message}`);
  }
  const info = await handle.stat();
  if (info.isDirectory()) {
    await handle.close();
    throw new ExitError(EXIT.noInput, `${file} must be a file, got a directory`);
  }
  const bytes = createReadStream(file, { fd: handle, autoClose: false, highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  return { name: file, bytes, size: info.isFile() ? info.size : undefined, close: async () => handle.close() };
}
