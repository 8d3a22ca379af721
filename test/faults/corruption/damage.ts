/** Damage to the files of a stopped store: what is done, where, and to which bytes. */
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** flip: one bit of the byte. zero: that byte. sector: 512 bytes from there on, as a disk loses them. cut: the file ends there. */
export const KINDS = ['flip', 'zero', 'sector', 'cut'] as const;
const SECTOR_BYTES = 512;

export interface Damage {
  /** Below the store's directory: `db/000005.log`. */
  readonly file: string;
  readonly at: number;
  readonly kind: (typeof KINDS)[number];
}

/** The files of a store, as they were when it was closed. */
export interface StoreFiles {
  readonly directory: string;
  readonly files: readonly { readonly path: string; readonly bytes: Buffer }[];
}

/** Of log, tables, manifest and CURRENT; what LevelDB writes for people, the lock and the reserve hold nothing. */
export function readStore(directory: string): StoreFiles {
  const files = readdirSync(directory, { recursive: true })
    .map(String)
    .filter((path) => statSync(join(directory, path)).isFile() && !/(^|\/)(LOG(\.old)?|LOCK|holder|lock|reserve)$/.test(path))
    .sort()
    .map((path) => ({ path, bytes: readFileSync(join(directory, path)) }));
  return { directory, files };
}

/** What a file is to LevelDB: `log`, `table`, `manifest`, `CURRENT`. */
export function roleOf(path: string): string {
  if (path.endsWith('.log')) return 'log';
  if (path.endsWith('.ldb')) return 'table';
  return path.includes('MANIFEST') ? 'manifest' : path.slice(path.lastIndexOf('/') + 1);
}

/** The bytes that are not what they were, from the first to behind the last. */
export function reachOf({ at, kind }: Damage, size: number): [number, number] {
  if (kind === 'cut') return [at, size];
  return [at, Math.min(size, at + (kind === 'sector' ? SECTOR_BYTES : 1))];
}

/** What is written in place, unlike LevelDB's files. */
const SMALL_BYTES = 1024;

/** A copy of the store with these damages: what is whole is linked, for LevelDB never writes into a file that was there. */
export function damagedCopy({ directory, files }: StoreFiles, to: string, damages: readonly Damage[]): void {
  rmSync(to, { recursive: true, force: true });
  for (const folder of new Set(['.', ...files.map(({ path }) => dirname(path))])) mkdirSync(join(to, folder), { recursive: true });
  for (const { path, bytes } of files) {
    const own = damages.filter(({ file }) => file === path);
    if (own.length === 0 && bytes.length > SMALL_BYTES) linkSync(join(directory, path), join(to, path));
    else writeFileSync(join(to, path), own.reduce(damaged, bytes));
  }
}

export function damaged(bytes: Buffer, damage: Damage): Buffer {
  if (damage.kind === 'cut') return bytes.subarray(0, damage.at);
  const copy = Buffer.from(bytes);
  const [from, to] = reachOf(damage, bytes.length);
  if (damage.kind === 'flip' && from < to) copy[from]! ^= 1 << ((damage.at * 7) % 8);
  else copy.fill(0, from, to);
  return copy;
}

export function nameOf(damages: readonly Damage[]): string {
  return damages.map(({ file, at, kind }) => `${kind} at ${at} of ${file}`).join(', ');
}
