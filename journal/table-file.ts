/** A table of LevelDB, open to be read in parts. A little more is read than asked for: the end of a block and the beginning of the next lie side by side. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const WINDOW_BYTES = 512;

export class TableFile {
  readonly size: number;
  readonly #fd: number;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;

  /** Throws what opening it throws. */
  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    this.size = fstatSync(this.#fd).size;
  }

  static use<T>(path: string, use: (file: TableFile) => T): T {
    const file = new TableFile(path);
    try {
      return use(file);
    } finally {
      file.close();
    }
  }

  /** Throws a RangeError where the file does not have so many bytes. */
  read(at: number, length: number): Buffer {
    if (at < 0 || at + length > this.size) throw new RangeError('a table must be as long as it says');
    const from = at - this.#windowAt;
    if (from >= 0 && from + length <= this.#window.length) return this.#window.subarray(from, from + length);
    const bytes = Buffer.allocUnsafe(Math.min(Math.max(length, WINDOW_BYTES), this.size - at));
    if (readSync(this.#fd, bytes, 0, bytes.length, at) !== bytes.length) throw new RangeError('a table must not shrink while it is read');
    if (bytes.length <= WINDOW_BYTES) [this.#window, this.#windowAt] = [bytes, at];
    return bytes.subarray(0, length);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
