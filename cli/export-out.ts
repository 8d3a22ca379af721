import { createWriteStream, type WriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { once } from 'node:events';
import { asError } from '../core/errors.ts';
import { EXIT, ExitError } from './exit.ts';

/** Bytes that wait to be written, before reading waits for them. */
const OUT_BYTES = 1024 * 1024;

/** Where an export goes: a new file, or stdout. */
export interface Out {
  readonly isTerminal: boolean;
  /** False when nobody reads any more. */
  write(text: string): Promise<boolean>;
  end(): Promise<void>;
  /** Takes away what was begun. */
  discard(): Promise<void>;
}

/** Rejects with exit code 64 where the file is there already, 74 where it cannot be written. */
export async function openOut(file: string | undefined): Promise<Out> {
  if (file === undefined || file === '-') {
    const stream = process.stdout;
    const write = async (text: string): Promise<boolean> => {
      if (!stream.destroyed && !stream.write(text))
        await Promise.race([once(stream, 'drain'), once(stream, 'close')]).catch(() => undefined);
      return !stream.destroyed;
    };
    return { isTerminal: stream.isTTY, write, end: () => Promise.resolve(), discard: () => Promise.resolve() };
  }
  const stream: WriteStream = createWriteStream(file, { flags: 'wx', mode: 0o600, highWaterMark: OUT_BYTES });
  await once(stream, 'open').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new ExitError(EXIT.usage, `${file} must be a new file, it is there already`);
    throw new ExitError(EXIT.disk, `${file} must be writable: ${asError(error).message}`, error);
  });
  let failure: Error | undefined;
  stream.on('error', (error) => (failure = error));
  const check = (): void => {
    if (failure) throw new ExitError(EXIT.disk, `${file} must take what is exported: ${failure.message}`, failure);
  };
  return {
    isTerminal: false,
    write: async (text) => {
      check();
      if (!stream.write(text)) await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
      check();
      return true;
    },
    end: async () => {
      stream.end();
      if (!stream.closed) await once(stream, 'close');
      check();
    },
    discard: async () => {
      stream.destroy();
      await rm(file, { force: true });
    },
  };
}
