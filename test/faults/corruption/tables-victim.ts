/**
 * The tables of a proxy's store: not opened, but looked at as an opening does, which takes a hundredth of the time, so that every byte has its
 * turn. A damage is seen, unless it lies where LevelDB may read it; all that is whole is read as it was written, and nothing else is.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tablesInUse, type Table } from '../../../journal/level-manifest.ts';
import { checkedEntries } from '../../../journal/level-repair.ts';
import { BLOB_KEY, isSafeTable, tableBlocks, type TableEntry } from '../../../journal/level-tables.ts';
import { damaged, readStore, reachOf, roleOf, type Damage } from './damage.ts';
import { JournalVictim } from './journal-victim.ts';
import { newVerdict, type Verdict, type Victim } from './verdict.ts';

const TRAILER_BYTES = 5;
const FOOTER_BYTES = 48;
const MAGIC_BYTES = 8;

interface Block {
  /** Its bytes in the file, the trailer included. */
  readonly from: number;
  readonly to: number;
  readonly entries: readonly TableEntry[];
  readonly isOfBlobs: boolean;
}

interface TableOfStore {
  readonly bytes: Buffer;
  readonly bounds: Table | undefined;
  readonly blocks: readonly Block[];
}

export class TablesVictim implements Victim {
  readonly sizes: ReadonlyMap<string, number>;
  readonly #tables: ReadonlyMap<string, TableOfStore>;

  private constructor(tables: ReadonlyMap<string, TableOfStore>) {
    this.#tables = tables;
    this.sizes = new Map([...tables].map(([name, { bytes }]) => [name, bytes.length]));
  }

  /** Makes the store, in `directory`. */
  static async make(directory: string, bytesMin: number): Promise<TablesVictim> {
    await JournalVictim.make(directory, bytesMin);
    const store = readStore(join(directory, 'original'));
    const inUse = await tablesInUse(join(store.directory, 'db'));
    const tables = store.files.filter(({ path }) => roleOf(path) === 'table');
    return new TablesVictim(
      new Map(
        tables.map(({ path, bytes }) => {
          const bounds = inUse?.get(Number.parseInt(path.slice(path.lastIndexOf('/') + 1), 10));
          return [path, { bytes, bounds, blocks: blocksOf(join(store.directory, path), bytes) }];
        }),
      ),
    );
  }

  judge(damages: readonly Damage[], scratch: string): Promise<Verdict> {
    const damage = damages[0]!;
    const table = this.#tables.get(damage.file)!;
    const verdict = newVerdict(table.blocks.reduce((sum, { entries }) => sum + entries.length, 0));
    const path = join(scratch, 'table.ldb');
    const bytes = damaged(table.bytes, damage);
    if (bytes.equals(table.bytes)) return Promise.resolve(verdict); // a zero that was one
    writeFileSync(path, bytes);
    if (isSafeTable(path, table.bounds) && !mayStay(table, damage)) verdict.wrong.push('LevelDB would open it');
    judgeRead(table, path, damage, verdict);
    rmSync(path);
    return Promise.resolve(verdict);
  }
}

/** What is read of the table is what was written, and no whole block is missing. */
function judgeRead({ blocks, bytes }: TableOfStore, path: string, damage: Damage, verdict: Verdict): void {
  const [from, to] = reachOf(damage, bytes.length);
  const read = [...checkedEntries([path])];
  let at = 0;
  for (const block of blocks) {
    const isWhole = block.to <= from || block.from >= to;
    for (const entry of block.entries) {
      if (isSame(entry, read[at])) at++;
      else if (isWhole) verdict.lost++;
      else verdict.named++;
    }
  }
  if (at < read.length) verdict.wrong.push(`${read.length - at} entries were read that nobody wrote`);
}

/** Where LevelDB may open it: in a block of blobs, which have checksums of their own, or in the padding of the footer, which nobody reads. */
function mayStay({ blocks, bytes }: TableOfStore, damage: Damage): boolean {
  const [from, to] = reachOf(damage, bytes.length);
  const isPadding = from >= bytes.length - FOOTER_BYTES && to <= bytes.length - MAGIC_BYTES;
  return isPadding || blocks.some((block) => block.isOfBlobs && block.from <= from && to <= block.to);
}

function isSame(written: TableEntry, read: TableEntry | undefined): boolean {
  return read !== undefined && written.key.equals(read.key) && written.value.equals(read.value);
}

function blocksOf(path: string, bytes: Buffer): Block[] {
  const placed: { entry: TableEntry; at: number }[] = [];
  for (const entry of checkedEntries([path])) {
    const at = bytes.indexOf(entry.value, placed.at(-1)?.at ?? 0); // in the order of the file
    placed.push({ entry, at });
  }
  const handles = tableBlocks(path).slice(0, -2);
  return handles.map(({ offset, size }) => {
    const entries = placed.filter(({ at }) => at >= offset && at < offset + size).map(({ entry }) => entry);
    return { from: offset, to: offset + size + TRAILER_BYTES, entries, isOfBlobs: entries.every(({ key }) => key[0] === BLOB_KEY) };
  });
}
