/**
 * Which tables of a database were found safe. A table never changes once it is written, and to read a part of each block of all of them takes
 * seconds where there are gigabytes and none is in memory: at an opening those that are known, and were not touched since, are not read.
 *
 * A medium may still lose what it held. So while the database is open all its tables are read again, one after the other, and new ones as they
 * come. The list is `<database>.checked`, a line for each table, `name size inode mtime` (ns). It is taken away at an opening and written when
 * all have been read: a life that a damaged table ends before that leaves none, and the next opening reads everything.
 */
import { statSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { tablesInUse, type Table } from './level-manifest.ts';
import { isSafeTable, tableNames } from './level-tables.ts';

/** Between two tables, and between two looks for new ones. */
const TABLE_MS = 10;
const LOOK_MS = 3_000;

export class CheckedTables {
  readonly #database: string;
  /** What the files were when they were found safe, in the last life, by name. */
  readonly #known: ReadonlyMap<string, string>;
  /** The same of those that were read in this one. */
  readonly #read = new Map<string, string>();

  private constructor(database: string, known: ReadonlyMap<string, string>) {
    this.#database = database;
    this.#known = known;
  }

  /** Takes away the list that the last life of the closed database left, if any. */
  static async take(database: string): Promise<CheckedTables> {
    const list = listOf(database);
    const text = await readFile(list, 'utf8').catch(() => '');
    await rm(list, { force: true });
    return new CheckedTables(database, new Map(text.split('\n').map((mark) => [mark.split(' ', 1)[0]!, mark])));
  }

  /** Whether LevelDB must not open the closed database: it has a table in use that is not safe. */
  async hasUnsafe(): Promise<boolean> {
    const inUse = await tablesInUse(this.#database);
    for (const name of await tableNames(this.#database, inUse)) {
      const mark = this.#markOf(name);
      if (mark === this.#known.get(name)) continue;
      if (!this.#isSafe(name, inUse)) return true;
      this.#read.set(name, mark);
      await new Promise((resolve) => setImmediate(resolve)); // a table takes some hundred reads
    }
    return false;
  }

  /** Reads the tables of the open database until `signal` is aborted; resolves early, with its name, at one that is not safe any more. */
  async watch(clock: Clock, signal: AbortSignal): Promise<string | undefined> {
    while (!signal.aborted) {
      const inUse = await tablesInUse(this.#database).catch(() => undefined);
      const names = inUse && (await tableNames(this.#database, inUse)); // unless a new manifest is just being written
      const fresh = names?.filter((name) => !this.#read.has(name)) ?? [];
      for (const name of fresh) {
        await clock.sleep(TABLE_MS, signal);
        if (signal.aborted) return undefined;
        try {
          const mark = this.#markOf(name);
          if (!this.#isSafe(name, inUse)) return name;
          this.#read.set(name, mark);
        } catch {
          // It is gone, or cannot be read just now.
        }
      }
      if (names && (fresh.length > 0 || this.#read.size > names.length)) await this.#save(names);
      await clock.sleep(LOOK_MS, signal);
    }
    return undefined;
  }

  /** Once all of these have been read; forgets the others. Best effort: without a list all are read at the next opening. */
  async #save(names: readonly string[]): Promise<void> {
    const isNamed = new Set(names);
    for (const name of this.#read.keys()) if (!isNamed.has(name)) this.#read.delete(name);
    const making = `${listOf(this.#database)}.tmp`;
    const text = [...this.#read.values()].join('\n');
    await writeFile(making, text, { mode: 0o600 })
      .then(() => rename(making, listOf(this.#database)))
      .catch(() => rm(making, { force: true }));
  }

  #isSafe(name: string, inUse: ReadonlyMap<number, Table> | undefined): boolean {
    return isSafeTable(join(this.#database, name), inUse?.get(Number.parseInt(name, 10)));
  }

  #markOf(name: string): string {
    const { size, ino, mtimeNs } = statSync(join(this.#database, name), { bigint: true });
    return `${name} ${size} ${ino} ${mtimeNs}`;
  }
}

function listOf(database: string): string {
  return `${database}.checked`;
}
