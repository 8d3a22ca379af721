/**
 * What a journal needs of a disk: an ordered map of bytes with atomic, synced batches. Two are here: LevelDB (level-disk.ts) and one in
 * memory that can be made to fail (memory-disk.ts). The journal's own rules are above it, and so the same for both.
 */
export interface Disk {
  /** Applies all operations or none, and resolves when they are on stable storage. After a rejection the disk must be closed and reopened. */
  write(operations: readonly DiskOperation[]): Promise<void>;
  get(key: Buffer): Promise<Buffer | undefined>;
  /**
   * Pairs with from <= key < to, in order, as of one moment; backwards with `reverse`. `bytes`: about so many will be looked at; what is read
   * beyond them is read in vain.
   */
  scan(from: Buffer, to: Buffer, options?: { reverse?: boolean; limit?: number; bytes?: number }): AsyncIterable<readonly [Buffer, Buffer]>;
  /** The keys of the same, where values need not be looked at: they may be long. */
  keys(from: Buffer, to: Buffer, options?: { reverse?: boolean; limit?: number }): AsyncIterable<Buffer>;
  /** All pairs of several ranges as of one and the same moment. */
  scanAll(ranges: readonly (readonly [Buffer, Buffer])[]): Promise<(readonly [Buffer, Buffer])[]>;
  /** Removes keys with from <= key < to. Neither atomic nor synced: only for what is given up already. */
  clear(from: Buffer, to: Buffer): Promise<void>;
  /** Gives the room of cleared keys with from <= key < to back to the file system. */
  compact(from: Buffer, to: Buffer): Promise<void>;
  /** What opening it found damaged, in words; empty if nothing. */
  readonly salvaged: readonly string[];
  close(): Promise<void>;
}

export interface DiskOperation {
  readonly key: Buffer;
  /** `undefined` deletes. */
  readonly value: Buffer | undefined;
}

/**
 * Opens the same stored content again each time it is called. What is damaged is repaired as far as it can be, and what had to be given up
 * for that is set aside; `isDamaged` asks for that even where opening alone shows nothing. `isShort`: for want of room it had to be closed, or
 * did not open. Rejects FULL or UNAVAILABLE.
 */
export type OpenDisk = (isDamaged: boolean, isShort: boolean) => Promise<Disk>;
