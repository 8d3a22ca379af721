/**
 * Reserved room: a file of random bytes beside the store. After ENOSPC LevelDB takes nothing, not even a delete, until it is reopened, and
 * reopening needs room; so the file is given up for that, and made again when there is room.
 */
import { randomFillSync } from 'node:crypto';
import { open, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

export interface Reserve {
  /** False while it is given up. */
  readonly isHeld: boolean;
  /** Gives the room up. Never rejects. */
  give(): Promise<void>;
  /** Takes the room, durably. False where there is none yet. Never rejects. */
  take(): Promise<boolean>;
}

const BLOCK_BYTES = 1024 * 1024;

/** The reserve of a directory; it is held if a former life has left it. */
export async function openReserve(directory: string, bytes: number): Promise<Reserve> {
  const reserve = new FileReserve(directory, bytes);
  await reserve.look();
  return reserve;
}

class FileReserve implements Reserve {
  isHeld = false;
  readonly #directory: string;
  readonly #file: string;
  readonly #bytes: number;

  constructor(directory: string, bytes: number) {
    this.#directory = directory;
    this.#file = join(directory, 'reserve');
    this.#bytes = bytes;
  }

  async look(): Promise<void> {
    await rm(`${this.#file}.tmp`, { force: true }).catch(() => undefined); // of a life that was killed at it
    this.isHeld = await stat(this.#file).then(
      ({ size }) => size === this.#bytes,
      () => false,
    );
  }

  async give(): Promise<void> {
    this.isHeld = false;
    await rm(this.#file, { force: true }).catch(() => undefined);
  }

  async take(): Promise<boolean> {
    const making = `${this.#file}.tmp`;
    try {
      // As much again must be left to the store, or the next write would give it up at once.
      const { bavail, bsize } = await statfs(this.#directory);
      if (bavail * bsize < 2 * this.#bytes) return false;
      await fill(making, this.#bytes);
      await rename(making, this.#file);
      this.isHeld = true;
    } catch {
      await rm(making, { force: true }).catch(() => undefined);
    }
    return this.isHeld;
  }
}

/** Random, because some file systems keep no room for zeros; synced, because others find room only then. */
async function fill(file: string, bytes: number): Promise<void> {
  const handle = await open(file, 'w');
  try {
    const block = randomFillSync(Buffer.allocUnsafe(Math.min(BLOCK_BYTES, bytes)));
    for (let written = 0; written < bytes; written += block.length) await handle.write(block, 0, Math.min(block.length, bytes - written));
    await handle.datasync();
  } finally {
    await handle.close();
  }
}
