/**
 * LevelDB deletes a log once it has read it, also where it could not read all of it; and it deletes the tables that its manifest does not
 * name, also where that was cut short. So these are linked aside while a database is opened: where something was passed over, they are the
 * evidence, and what only they hold is put back. Best effort: a file system without links, or without room, opens all the same.
 *
 * A log (LevelDB's doc/log_format.md) is blocks of 32 KiB of records, each with a header of 7 bytes { u32 checksum, u16 length, u8 type },
 * little-endian; less than that at the end of a block is padding.
 */
import { link, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { contentOf, tablesInUse } from './level-manifest.ts';
import { readRecords } from './log-records.ts';

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
/** Added to the number of a table whose name is taken. */
const FREE_NUMBER = 1_000_000;

/** The logs and tables of a database that is about to be opened. */
export class KeptFiles {
  readonly #database: string;
  readonly #directory: string;
  /** Moved, not linked: what the database has under such a name now is another file. */
  readonly #moved = new Set<string>();

  private constructor(database: string) {
    this.#database = database;
    this.#directory = `${database}.opening`;
  }

  /** Never rejects. */
  static async link(database: string): Promise<KeptFiles> {
    const kept = new KeptFiles(database);
    await kept.giveBack(); // what a crash left
    try {
      const names = await readdir(database);
      const inUse = await tablesInUse(database);
      const isNamed = (name: string): boolean => isTable(name) && inUse?.has(Number.parseInt(name)) === true;
      const files = names.filter((name) => /^MANIFEST-|\.(log|ldb|sst)$/.test(name) && !isNamed(name));
      if (files.length > 0) await mkdir(kept.#directory, { mode: 0o700 });
      const next = await nextNumber(database, names);
      for (const name of files) {
        // A name that is to be given out again would be written over, in this very file.
        const isMoved = isTable(name) && Number.parseInt(name) >= next;
        await (isMoved ? rename : link)(join(database, name), join(kept.#directory, name));
        if (isMoved) kept.#moved.add(name);
      }
    } catch {
      await kept.giveBack();
    }
    return kept;
  }

  /** The bytes behind zeros in the place of a header: LevelDB passes over the rest of such a block, and says nothing. */
  async zeroed(): Promise<number> {
    let bytes = 0;
    for (const name of await this.#names())
      if (name.endsWith('.log')) bytes += await readFile(join(this.#directory, name)).then(unreadBehindZeros, () => 0);
    return bytes;
  }

  /** Tables that are not there any more: what they held is in others, or should be. */
  async deletedTables(): Promise<string[]> {
    const left = new Set(await readdir(this.#database).catch(() => []));
    const isDeleted = (name: string): boolean => isTable(name) && (this.#moved.has(name) || !left.has(name));
    return (await this.#names()).filter(isDeleted).map((name) => join(this.#directory, name));
  }

  /** What is not in the database any more becomes evidence, under that name. False if there is nothing. */
  async setAside(evidence: string): Promise<boolean> {
    for (const name of await readdir(this.#database).catch(() => []))
      if (!this.#moved.has(name)) await rm(join(this.#directory, name), { force: true });
    return rename(this.#directory, evidence).then(
      () => true,
      () => false,
    );
  }

  async #names(): Promise<string[]> {
    return readdir(this.#directory).catch(() => []);
  }

  /** The database gets back what it does not have. What it cannot be given stays for the next opening. Never rejects. */
  async giveBack(): Promise<void> {
    let isBack = true;
    for (const name of (await this.#names()).filter(isTable)) {
      const [kept, there] = await Promise.all([this.#directory, this.#database].map((folder) => inodeOf(join(folder, name))));
      if (kept === there) continue; // linked; under the name of one that was moved there may be another by now
      const free = there === undefined ? name : `${Number.parseInt(name) + FREE_NUMBER}.ldb`;
      await rename(join(this.#directory, name), join(this.#database, free)).catch(() => (isBack = false));
    }
    this.#moved.clear();
    if (isBack) await this.drop();
  }

  /** They are not needed. */
  async drop(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Undefined where there is nothing. */
async function inodeOf(path: string): Promise<bigint | undefined> {
  return stat(path, { bigint: true }).then(
    ({ ino }) => ino,
    () => undefined,
  );
}

function isTable(name: string): boolean {
  return /\.(ldb|sst)$/.test(name);
}

/** Infinity where the manifest does not say: then LevelDB does not open it. */
async function nextNumber(database: string, names: readonly string[]): Promise<number> {
  const current = await readFile(join(database, 'CURRENT'), 'utf8').catch(() => '');
  const manifest = names.find((name) => name === current.trim());
  if (manifest === undefined) return Infinity;
  return contentOf(readRecords(await readFile(join(database, manifest))).records).nextFile || Infinity;
}

/** Zeros up to the end of the file are what a crash leaves of a commit that was told to nobody. */
function unreadBehindZeros(log: Buffer): number {
  let end = log.length;
  while (end > 0 && log[end - 1] === 0) end--;
  let bytes = 0;
  for (let at = 0; at + HEADER_BYTES <= end;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    const length = left < HEADER_BYTES ? 0 : log.readUInt16LE(at + 4);
    const isZero = left >= HEADER_BYTES && length === 0 && log[at + 6] === 0;
    if (isZero) bytes += Math.min(left, end - at);
    at += isZero || left < HEADER_BYTES ? left : HEADER_BYTES + length;
  }
  return bytes;
}
