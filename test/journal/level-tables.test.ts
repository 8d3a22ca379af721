import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import type { ClassicLevel } from 'classic-level';
import { Level } from 'level';
import type { Journal } from '../../core/journal.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { tablesInUse } from '../../journal/level-manifest.ts';
import { isSafeTable, soundEntries, tableBlocks, unsafeTables } from '../../journal/level-tables.ts';
import { unsnappy } from '../../journal/snappy.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { readLane, record, textsOf } from '../support/journal-entries.ts';
import { seeded } from '../support/seeded.ts';
import { tempDirectory } from '../support/temp-directory.ts';

function openLevel(directory: string, options: object = {}): ClassicLevel<Buffer, Buffer> {
  return new Level<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer', ...options }) as unknown as ClassicLevel<
    Buffer,
    Buffer
  >;
}

/** Short and long, repetitive and not: literals and copies of all widths. */
function variedText(random: () => number, at: number): string {
  const length = 1 + Math.floor(random() * (at % 50 === 0 ? 100_000 : 3000));
  const noise = Array.from({ length: Math.min(length, 64 << (at % 9)) }, () => String.fromCharCode(32 + random() * 90)).join('');
  return noise.repeat(Math.ceil(length / noise.length)).slice(0, length);
}

/** A directory of its own for each test, and a journal in it. */
function inDirectory(): { readonly directory: string; readonly open: () => Promise<Journal> } {
  let directory: string;
  let remove: () => Promise<void>;
  beforeEach(async () => {
    const temp = await tempDirectory();
    directory = join(temp.path, 'journal');
    remove = temp.remove;
  });
  afterEach(() => remove());
  return {
    get directory() {
      return directory;
    },
    open: () => LevelJournal.open(directory, { clock: new FakeClock(), stamp: { site: 's' }, recentBytes: 0 }),
  };
}

describe('tables that LevelDB compressed', () => {
  const scene = inDirectory();

  it('are read to the last entry, and found unsafe at any flipped byte', async function () {
    this.timeout(30_000);
    const { directory } = scene;
    const random = seeded(7);
    const db = openLevel(directory);
    const put = new Map<string, string>();
    for (let at = 0; at < 400; at++) {
      const key = `e${String(at).padStart(6, '0')}`;
      put.set(key, variedText(random, at));
      await db.put(Buffer.from(key), Buffer.from(put.get(key)!));
    }
    await db.compactRange(Buffer.from('a'), Buffer.from('z'));
    await db.close();
    const tables = (await readdir(directory)).filter((name) => name.endsWith('.ldb'));
    const found = tables.flatMap((name) => [...soundEntries(join(directory, name))]);
    assert.deepEqual(new Map(found.map(({ key, value }) => [key.toString(), value.toString()])), put);
    assert.deepEqual(await unsafeTables(directory), []);
    const path = join(directory, tables[0]!);
    const bytes = await readFile(path);
    const { offset, size } = tableBlocks(path).at(-1)!; // the index: to follow it blindly would be the worst
    for (let at = offset; at < offset + size; at += 7) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 0x10;
      await writeFile(path, damaged);
      assert.deepEqual(await unsafeTables(directory), [tables[0]], `byte ${at}`);
    }
  });

  it('are no blocks where their bytes are any others', () => {
    assert.equal(unsnappy(Buffer.from([10, 0, 0x61, (5 << 2) | 1, 1]), 100).toString(), 'aaaaaaaaaa', 'overlapping');
    for (const [what, bytes] of [
      ['empty', []],
      ['cut in a literal', [3, 2 << 2, 1, 2]],
      ['longer than it says', [1, 2 << 2, 1, 2, 3]],
      ['shorter than it says', [9, 2 << 2, 1, 2, 3]],
      ['a copy from before its beginning', [9, 0, 1, 1, 2]],
      ['a copy of nothing', [9, 0, 1, 1, 0]],
      ['larger than it may be', [0x80, 0x80, 0x80, 0x80, 0x01]],
      ['endless in its length', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ] as const)
      assert.throws(() => unsnappy(Buffer.from(bytes), 100), RangeError, undefined, what);
  });

  it('stay in the database after a repair, however often it is opened', async function () {
    this.timeout(30_000);
    const random = seeded(8);
    const { directory, open } = scene;
    let journal = await open();
    const texts = Array.from({ length: 300 }, (_, at) => `${at} ${variedText(random, at + 1)}`);
    for (let at = 0; at < texts.length; at += 10) await record(journal, 'normal', ...texts.slice(at, at + 10));
    await journal.commit((draft) => draft.put('f:ops', () => ({ cursor: 17 })));
    await journal.close();
    await truncate(join(directory, 'db', 'CURRENT'));
    for (let opening = 1; opening <= 3; opening++) {
      journal = await open();
      assert.deepEqual(journal.salvaged.length, opening === 1 ? 1 : 0, `opening ${opening}: ${journal.salvaged.join()}`);
      const { entries, holes } = await readLane(journal, 'normal');
      assert.deepEqual([textsOf(entries), holes, await journal.row('f:ops')], [texts, [], { cursor: 17 }], `opening ${opening}`);
      await journal.close();
    }
  });
});

describe('tables with deleted entries', () => {
  it('are read in all their blocks, also in those that end with a deleted one', async () => {
    const temp = await tempDirectory();
    try {
      const directory = join(temp.path, 'db');
      const keys = Array.from({ length: 2000 }, (_, at) => Buffer.from(`e${String(at).padStart(6, '0')}`));
      for (const isLeft of [() => true, (at: number) => at % 3 === 1]) {
        const db = openLevel(directory, { compression: false });
        for (const [at, key] of keys.entries()) await (isLeft(at) ? db.put(key, Buffer.alloc(40, at % 256)) : db.del(key));
        await db.close();
      }
      const db = openLevel(directory, { compression: false });
      await db.open(); // the log becomes a table
      await db.close();
      const tables = (await readdir(directory)).filter((name) => name.endsWith('.ldb'));
      const inUse = await tablesInUse(directory);
      for (const name of tables) {
        const path = join(directory, name);
        const blocks = tableBlocks(path).slice(0, -2); // without those that are none of entries
        const ends = blocks.map(({ offset, size }) => offset + size + 5);
        const begins = blocks.map(({ offset }) => offset);
        assert.deepEqual(begins, [0, ...ends.slice(0, -1)], `the blocks of ${name} follow each other`);
        assert.isTrue(isSafeTable(path, inUse?.get(Number.parseInt(name, 10))), name);
      }
      assert.isAbove(tables.length, 1);
      const left = tables.flatMap((name) => [...soundEntries(join(directory, name))]);
      assert.isAbove(left.length, keys.length, 'what was put in the first life, and what was left in the second');
    } finally {
      await temp.remove();
    }
  });
});

describe('tables with a damaged filter', () => {
  const scene = inDirectory();

  it('hide no row', async () => {
    const { directory, open } = scene;
    const journal = await open();
    await journal.commit((draft) => draft.put('f:ops', () => ({ cursor: 7 })));
    await journal.close();
    await (await open()).close(); // the log becomes a table
    const database = join(directory, 'db');
    const tables = (await readdir(database)).filter((name) => name.endsWith('.ldb'));
    for (const name of tables) {
      const bytes = await readFile(join(database, name));
      const [last, meta] = tableBlocks(join(database, name)).slice(-3);
      await writeFile(join(database, name), bytes.fill(0, last!.offset + last!.size + 5, meta!.offset - 5));
    }
    assert.isNotEmpty(tables);
    const again = await open();
    assert.deepEqual(await again.row('f:ops'), { cursor: 7 });
    assert.isNotEmpty(again.salvaged);
    await again.close();
  });
});
