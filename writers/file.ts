/// <reference types="node" preserve="true" />
/**
 * Events in a file, native JSON, one a line. A batch is appended with one write and synced before it counts as delivered. Both lanes share the
 * file, one batch after the other.
 *
 * | what happens | becomes |
 * |---|---|
 * | no room, an I/O error, too many open files | UNAVAILABLE; what was written of the batch is taken back |
 * | the file is deleted or cut during a write | UNAVAILABLE: the batch is written again |
 * | no directory, no permission, read-only, no regular file | REFUSED |
 * | somebody renames or deletes the file between two writes | the next write makes it anew |
 * | somebody empties it (copytruncate), or cuts it | what follows goes to its new end; a line that was cut in its middle is taken out |
 */
import { resolve } from 'node:path';
import { systemClock, type Clock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Delivery, Writer } from '../core/writer.ts';
import { rotate } from './file-rotation.ts';
import type { FileSettings } from './file-settings.ts';
import { codeOf, LineFile } from './line-file.ts';
import { nativeLines } from './native-json.ts';

/** A setting is wrong, here or over there; anything else passes. */
const REFUSALS = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'EROFS', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ENXIO']);

/** What a file writer works with. */
export interface FileParts {
  readonly clock: Clock;
  /** What a relative path is relative to. */
  readonly directory: string;
}

/** One file. `write` resolves when the whole batch is synced; rejects UNAVAILABLE or REFUSED, by the table above. */
export class FileWriter implements Writer {
  readonly #clock: Clock;
  readonly #path: string;
  readonly #mode: number;
  readonly #rotate: FileSettings['rotate'];
  #file: LineFile | undefined;
  /** Ends when what was begun last has ended. */
  #tail: Promise<unknown> = Promise.resolve();
  /** Writes that were given up and have not ended. */
  #abandoned = 0;
  #isClosed = false;

  /** Opens no file: the first write does. `settings` are what `fileSettings.parse` gives; for `parts` see HttpWriter.open. */
  static async open(settings: FileSettings, parts: Partial<FileParts> = {}): Promise<FileWriter> {
    return new FileWriter(settings, { clock: systemClock(), directory: process.cwd(), ...parts });
  }

  private constructor({ path, mode, rotate: rotation }: FileSettings, { clock, directory }: FileParts) {
    this.#clock = clock;
    this.#path = resolve(directory, path);
    this.#mode = mode;
    this.#rotate = rotation;
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (batch.length === 0) return;
    this.#mustGoOn(signal);
    const lines = Buffer.from(nativeLines(batch));
    const writing = this.#inTurn(async () => {
      this.#mustGoOn(signal);
      await this.#append(lines);
    });
    await this.#unlessAborted(writing, signal);
  }

  /** Lets go of the file, when a write that is under way has ended; whoever renamed it may take it then. */
  reopen(): void {
    void this.#inTurn(async () => this.#giveUpFile());
  }

  /** Waits for a write that is under way, unless it was aborted: a disk that hangs must not hang the proxy. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const closing = this.#inTurn(async () => this.#giveUpFile());
    if (this.#abandoned === 0) await closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #append(lines: Buffer): Promise<void> {
    try {
      const file = await this.#current(lines.length);
      await file.append(lines);
    } catch (error) {
      await this.#giveUpFile(); // the next write opens, and mends, whatever is there by then
      throw this.#asOurs(error);
    }
  }

  /** The file that so many bytes go to: the one at the path, or a new one when its turn has come. */
  async #current(bytes: number): Promise<LineFile> {
    if (this.#file && !(await this.#file.isInPlace())) await this.#giveUpFile();
    this.#file ??= await LineFile.open(this.#path, this.#mode);
    if (this.#rotate && (await this.#isDue(this.#file, this.#rotate, bytes))) {
      await this.#giveUpFile();
      await rotate(this.#path, this.#rotate.keep);
      this.#file = await LineFile.open(this.#path, this.#mode);
    }
    return this.#file;
  }

  /** A clock that goes back rotates nothing. */
  async #isDue(
    file: LineFile,
    { bytesMax = Infinity, interval = Infinity }: NonNullable<FileSettings['rotate']>,
    bytes: number,
  ): Promise<boolean> {
    const state = await file.state();
    if (state.bytes === 0) return false;
    return state.bytes + bytes > bytesMax || Math.floor(this.#clock.now() / interval) > Math.floor(state.writtenAt / interval);
  }

  async #giveUpFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined);
    return done;
  }

  /** The work itself cannot be stopped: where it is done after all, its batch comes again. */
  async #unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const aborted = new Promise<never>((_, reject) => {
      const stop = (): void => {
        this.#abandoned++;
        void work.catch(() => undefined).finally(() => this.#abandoned--);
        reject(this.#stopped());
      };
      signal.addEventListener('abort', stop, { once: true, signal: over.signal });
    });
    try {
      await Promise.race([work, aborted]);
    } finally {
      over.abort();
    }
  }

  #mustGoOn(signal: AbortSignal): void {
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', `writing ${this.#path}: this writer is closed`);
    if (signal.aborted) throw this.#stopped();
  }

  #stopped(): FondacoError {
    return new FondacoError('UNAVAILABLE', `writing ${this.#path} was stopped`);
  }

  #asOurs(error: unknown): FondacoError {
    if (isFondacoError(error)) return error;
    // Opened so that no link is followed: who may make links must not choose what we write to.
    if (codeOf(error) === 'ELOOP')
      return new FondacoError('REFUSED', `${this.#path} must be a file itself, got a symbolic link`, { cause: error });
    const code = REFUSALS.has(codeOf(error)) ? 'REFUSED' : 'UNAVAILABLE';
    return new FondacoError(code, `${this.#path} must be writable, got ${asError(error).message}`, { cause: error });
  }
}
