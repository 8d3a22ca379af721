/**
 * A disk that may lose its power: files and directories as operations make them, and what a cut could leave of them.
 *
 * - What a file held when a sync of it began that has returned is there. Of what was written since, any part: nothing, all, a beginning cut
 *   anywhere, or single sectors of 512 bytes, with zeros where the file has grown over what is missing.
 * - A name that was made, moved or removed is as it is now if its directory was synced since, or if it is that of a new file which was synced
 *   itself. Otherwise it may be as before.
 * - Of such changes in one directory those that are kept are the earliest ones (`isOrdered`); without it any of them.
 *
 * POSIX promises neither the second half of the second rule nor the third. ext4, XFS and Btrfs keep both, and more: a sync of any file keeps
 * every earlier change of a name. LevelDB needs both: it syncs its directory with a manifest alone, so neither a log that it has switched to
 * has a durable name by POSIX, nor CURRENT, whose predecessor's manifest it removes at once.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FileOperation } from './file-trace.ts';

/** What is there after a cut: contents by path, and directories by path, parents first. */
export interface CutState {
  readonly directories: readonly string[];
  readonly files: ReadonlyMap<string, Buffer>;
}

export interface CutOptions {
  readonly random: () => number;
  readonly isOrdered: boolean;
}

const SECTOR_BYTES = 512;

type Change = { readonly at: number; readonly bytes: Buffer } | { readonly size: number };

interface File {
  readonly kind: 'file';
  synced: Buffer;
  /** Since the last sync. */
  changes: Change[];
  /** Syncs that have begun, with the number of changes that they cover. */
  readonly syncs: Map<number, number>;
}

interface Directory {
  readonly kind: 'directory';
  readonly durable: Map<string, Node>;
  readonly entries: Map<string, Node>;
  readonly syncs: Map<number, number>;
}

type Node = File | Directory;

/** A change of names, done as a whole: what entries become. `undefined`: none. */
interface NameChange {
  readonly number: number;
  readonly entries: readonly { readonly directory: Directory; readonly name: string; readonly node: Node | undefined }[];
  isDurable: boolean;
}

export class CutDisk {
  readonly #root: Directory = newDirectory();
  /** Not durable yet, in order. */
  #pending: NameChange[] = [];
  #number = 0;

  /** All of it durable. */
  static of({ directories, files }: CutState): CutDisk {
    const disk = new CutDisk();
    for (const path of directories) disk.apply({ kind: 'makeDirectory', path });
    for (const [path, bytes] of files) {
      disk.apply({ kind: 'create', path });
      disk.#file(path)!.synced = bytes;
    }
    for (const change of disk.#pending) change.isDurable = true;
    disk.#fold();
    return disk;
  }

  apply(operation: FileOperation): void {
    switch (operation.kind) {
      case 'mark':
        return;
      case 'create':
        if (!this.#find(operation.path))
          this.#put([[operation.path, { kind: 'file', synced: Buffer.alloc(0), changes: [], syncs: new Map() }]]);
        return;
      case 'makeDirectory':
        return void this.#put([[operation.path, newDirectory()]]);
      case 'remove':
        return void this.#put([[operation.path, undefined]]);
      case 'rename':
        return void this.#put([[operation.to, this.#find(operation.path)], [operation.path, undefined]]); // prettier-ignore
      case 'link':
        return void this.#put([[operation.to, this.#find(operation.path)]]);
      case 'truncate':
        this.#file(operation.path)?.changes.push({ size: operation.size });
        return;
      case 'write':
        return void this.#write(operation.path, operation.at, operation.bytes);
      case 'syncBegins':
        return void this.#begin(operation.path, operation.call);
      case 'synced':
        return void this.#synced(operation.path, operation.call);
    }
  }

  /** What a cut could leave now; everything random comes from `random`. */
  cut(options: CutOptions): CutState {
    const kept = this.#keptNames(options);
    const files = new Map<string, Buffer>();
    const directories: string[] = [];
    const contents = new Map<File, Buffer>();
    const walk = (directory: Directory, path: string): void => {
      const entries = new Map(directory.durable);
      for (const change of kept)
        for (const entry of change.entries) if (entry.directory === directory) setEntry(entries, entry.name, entry.node);
      for (const [name, node] of entries) {
        const child = path === '' ? name : `${path}/${name}`;
        if (node.kind === 'directory') {
          directories.push(child);
          walk(node, child);
        } else {
          const content = contents.get(node) ?? torn(node, options.random);
          contents.set(node, content);
          files.set(child, content);
        }
      }
    };
    walk(this.#root, '');
    return { directories, files };
  }

  #keptNames({ random, isOrdered }: CutOptions): NameChange[] {
    const share = random(); // some cuts keep nearly all, others nearly nothing
    const needed = new Map<Directory, number>();
    for (const { number, entries, isDurable } of this.#pending)
      if (isDurable) for (const { directory } of entries) needed.set(directory, number);
    const stopped = new Set<Directory>();
    return this.#pending.filter(({ number, entries, isDurable }) => {
      const must = isDurable || (isOrdered && entries.some(({ directory }) => (needed.get(directory) ?? 0) >= number));
      const may = !isOrdered || !entries.some(({ directory }) => stopped.has(directory));
      if (must || (may && random() < share)) return true;
      for (const { directory } of entries) stopped.add(directory);
      return false;
    });
  }

  #write(path: string, at: number, bytes: Buffer): void {
    const file = this.#file(path);
    file?.changes.push({ at: at >= 0 ? at : applied(file.synced, file.changes).length, bytes });
  }

  #begin(path: string, call: number): void {
    const node = this.#find(path);
    if (node?.kind === 'file') node.syncs.set(call, node.changes.length);
    else node?.syncs.set(call, this.#number);
  }

  #synced(path: string, call: number): void {
    const node = this.#find(path);
    const covered = node?.syncs.get(call);
    if (!node || covered === undefined) return; // moved or removed meanwhile
    node.syncs.delete(call);
    if (node.kind === 'directory') {
      for (const change of this.#pending)
        if (change.number <= covered && change.entries.some(({ directory }) => directory === node)) change.isDurable = true;
    } else {
      node.synced = applied(node.synced, node.changes.slice(0, covered));
      node.changes = node.changes.slice(covered);
      for (const [other, count] of node.syncs) node.syncs.set(other, Math.max(0, count - covered));
      const birth = this.#pending.find((change) => change.entries.length === 1 && change.entries[0]!.node === node);
      if (birth) birth.isDurable = true;
    }
    this.#fold();
  }

  /** Takes over what is durable whatever comes, where nothing earlier of its directories is open. */
  #fold(): void {
    const blocked = new Set<Directory>();
    this.#pending = this.#pending.filter((change) => {
      const isNext = change.isDurable && !change.entries.some(({ directory }) => blocked.has(directory));
      for (const { directory, name, node } of change.entries) {
        if (isNext) setEntry(directory.durable, name, node);
        else blocked.add(directory);
      }
      return !isNext;
    });
  }

  #put(changes: readonly (readonly [path: string, node: Node | undefined])[]): void {
    const entries = changes.map(([path, node]) => {
      const directory = this.#find(parentOf(path));
      if (directory?.kind !== 'directory') throw new Error(`${path} must be in a directory that is known`);
      const name = path.slice(path.lastIndexOf('/') + 1);
      setEntry(directory.entries, name, node);
      return { directory, name, node };
    });
    this.#pending.push({ number: ++this.#number, entries, isDurable: false });
  }

  #file(path: string): File | undefined {
    const node = this.#find(path);
    return node?.kind === 'file' ? node : undefined;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    if (path !== '') for (const name of path.split('/')) node = node?.kind === 'directory' ? node.entries.get(name) : undefined;
    return node;
  }
}

/** Writes a state into an empty directory. */
export async function restore({ directories, files }: CutState, to: string): Promise<void> {
  for (const path of directories) await mkdir(join(to, path), { recursive: true });
  for (const [path, bytes] of files) await writeFile(join(to, path), bytes);
}

function newDirectory(): Directory {
  return { kind: 'directory', durable: new Map(), entries: new Map(), syncs: new Map() };
}

function setEntry(entries: Map<string, Node>, name: string, node: Node | undefined): void {
  if (node) entries.set(name, node);
  else entries.delete(name);
}

function parentOf(path: string): string {
  const parent = dirname(path);
  return parent === '.' ? '' : parent;
}

function applied(content: Buffer, changes: readonly Change[]): Buffer {
  let size = content.length;
  let room = size;
  for (const change of changes) {
    size = 'size' in change ? change.size : Math.max(size, change.at + change.bytes.length);
    room = Math.max(room, size);
  }
  const result = Buffer.alloc(room);
  content.copy(result);
  let end = content.length;
  for (const change of changes) {
    if ('size' in change) {
      if (change.size < end) result.fill(0, change.size, end);
      end = change.size;
    } else {
      change.bytes.copy(result, change.at);
      end = Math.max(end, change.at + change.bytes.length);
    }
  }
  return result.subarray(0, size);
}

/** A content that a cut could leave of a file. */
function torn({ synced, changes }: File, random: () => number): Buffer {
  if (changes.length === 0) return synced;
  const dice = random();
  if (dice < 0.2) return synced;
  if (dice < 0.35) return applied(synced, changes);
  const count = Math.floor(random() * changes.length);
  if (dice < 0.65) return applied(synced, [...changes.slice(0, count), ...cutShort(changes[count]!, random)]);
  return inSectors(synced, applied(synced, changes), random);
}

function cutShort(change: Change, random: () => number): Change[] {
  if ('size' in change) return [change];
  const length = Math.floor(random() * (change.bytes.length + 1));
  const whole = random() < 0.5 ? length : length - ((change.at + length) % SECTOR_BYTES);
  return [{ at: change.at, bytes: change.bytes.subarray(0, Math.max(0, whole)) }];
}

/** Each sector as before or as after; the size anything between. */
function inSectors(before: Buffer, after: Buffer, random: () => number): Buffer {
  const [least, most] = [Math.min(before.length, after.length), Math.max(before.length, after.length)];
  const size = random() < 0.5 ? after.length : least + Math.floor(random() * (most - least + 1));
  const share = random();
  const result = Buffer.alloc(size);
  for (let at = 0; at < size; at += SECTOR_BYTES) {
    const from = random() < share ? after : before;
    from.copy(result, at, Math.min(at, from.length), Math.min(at + SECTOR_BYTES, from.length, size));
  }
  return result;
}
