import type { Lane, PerLane } from './lane.ts';

/**
 * The durable ordered log of a process. Implemented by journal/disk-journal.ts over a disk; spool and proxy use the same one.
 *
 * Two lanes, each with dense positions 1, 2, 3 …; rows beside them (key → JSON), written in the same commits.
 */
export interface Journal {
  /** UUID, made once with the store: `settledBy` on the wire. */
  readonly id: string;
  /** Oldest first; the last is this opening. */
  readonly epochs: readonly Epoch[];

  /**
   * Group commit. Runs `operation` at once, against the commit being built, and resolves with its result when that commit is durable
   * (fsynced). At most one commit is being written; what arrives meanwhile joins the next.
   *
   * What the operation changes in its owner's memory is pending until then. If the write fails, every pending commit rejects
   * (FULL for a full disk, else UNAVAILABLE), the disk is reopened under a new epoch, the owners' `reload` hooks run, and only then
   * are operations taken again; until then `commit` rejects UNAVAILABLE without running its operation.
   */
  commit<T>(operation: (draft: Draft) => T): Promise<T>;

  /** The position that the next entry of the lane will get, as far as commits are durable. */
  head(lane: Lane): number;
  /** The first position that is kept. */
  tail(lane: Lane): number;

  /** Bytes that the lane's entries take, from tail to head. */
  bytes(lane: Lane): number;
  /** Bytes from the tail to `position`, to the blob. */
  bytesBefore(lane: Lane, position: number): Promise<number>;
  /** The first position, to the blob, with at least so many bytes between the tail and it; the head if there are less. */
  positionAfter(lane: Lane, bytes: number): Promise<number>;

  /**
   * Entries from position `from` on, in order, all of one epoch: whole blobs until `bytesMax` is passed, at least one entry if there is any.
   * What is missing or damaged there is not skipped silently: it is a `hole`, and nothing behind it is in the same stretch.
   */
  read(lane: Lane, from: number, bytesMax: number): Promise<Stretch>;

  /** One row; `undefined` if there is none. Throws CORRUPT for a bad checksum. */
  row(key: string): Promise<unknown>;
  /**
   * The rows whose key begins with `prefix`, in the order of their keys, as of one commit: those behind the key `after`, `limit` at most.
   * A corrupt one has `value` undefined.
   */
  rows(prefix: string, page?: { readonly after?: string; readonly limit?: number }): AsyncIterable<Row>;
  /** The rows of several prefixes as of one and the same commit, for books that must balance. */
  snapshot(prefixes: readonly string[]): Promise<Row[]>;

  /** Gives up everything below `position`: the new tail is committed first, what it held is cleared after. */
  trim(lane: Lane, position: number): Promise<void>;
  /** Gives the room of what was trimmed back to the file system. Takes its time; commits go on meanwhile. */
  compact(): Promise<void>;

  /** Calls `listener` after every durable commit. Returns what ends it. */
  onCommit(listener: () => void): () => void;
  /** Calls `hook` after the disk was reopened, before operations are taken again. Returns what ends it. */
  onReopen(hook: (epoch: Epoch) => Promise<void>): () => void;
  /** True while operations are taken. */
  readonly isOpen: boolean;
  /** True while the disk is short of room: only what frees room, or must be said, should be committed. It ends by itself; listeners are called. */
  readonly isLow: boolean;
  /** What the last opening found damaged and put right as far as it could, in words. Empty after a good one. */
  readonly salvaged: readonly string[];
  /** What was durable and was not there at the last opening: a log that was cut short, or a store that is gone. */
  readonly cut?: CutShort | undefined;

  close(): Promise<void>;
}

/** What is known of entries that were lost with the end of a log, or with the whole store. */
export interface CutShort {
  /** Positions below were in use; what came after `at` (wall clock, ms) may have used more. */
  readonly heads: PerLane<number>;
  readonly at: number;
  /** The store that held them is gone, and another was begun. */
  readonly isGone: boolean;
}

/** One opening of a journal. */
export interface Epoch {
  readonly number: number;
  /** Wall clock, ms, but later than every earlier birth of this journal. With a position it names an entry for ever. */
  readonly birth: number;
  /** Its first position in each lane. */
  readonly first: PerLane<number>;
  /** What the owner stamps on what is accepted in this epoch. */
  readonly stamp: Stamp;
}

/** Where a proxy stands: on every event that it accepts. */
export interface Stamp {
  readonly site: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** The commit being built. */
export interface Draft {
  /** Adds an entry; returns its position. The entry object and its bytes are copied and may be used again. */
  append(lane: Lane, entry: NewEntry): number;
  /** Writes a row. `value` is called once, when the commit is sealed, so that a row that many operations touch is encoded once. */
  put(key: string, value: () => unknown): void;
  delete(key: string): void;
  /** Gives up the positions from the head to before `position`: readers find a hole there. For an owner who knows that they were in use. */
  skip(lane: Lane, position: number): void;
}

/** What is to become an entry: the event lies in `bytes` from `start` to before `end`. */
export interface NewEntry {
  /** 16 bytes. */
  series: Uint8Array;
  seq: number;
  kind: EntryKind;
  /** `folded`: the position (same lane) of the first occurrence. 0 otherwise. */
  first: number;
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** accepted: recorded by an agent. folded: accepted, and counted instead of delivered. made: the proxy's own, or a summary. */
export type EntryKind = 'accepted' | 'folded' | 'made';

/** An event in a journal. */
export interface Entry {
  readonly lane: Lane;
  readonly position: number;
  readonly epoch: Epoch;
  /** Wall clock of the commit, ms. */
  readonly receivedAt: number;
  /** UUID text. */
  readonly series: string;
  readonly seq: number;
  readonly kind: EntryKind;
  readonly first: number;
  /** `fondaco.v1.Event`; for a folded entry the fields that its first occurrence does not share. */
  readonly bytes: Buffer;
  /** For its readers, who share it: the decoded event. */
  decoded?: unknown;
}

/** What a read gives: entries in order, dense. */
export interface Stretch {
  readonly entries: readonly Entry[];
  /** Positions [from, to) that are lost, right after the entries. */
  readonly hole?: { readonly from: number; readonly to: number };
}

/** A row beside the entries: `value` is what JSON gives, undefined where the row is damaged. */
export interface Row {
  readonly key: string;
  readonly value: unknown;
}
