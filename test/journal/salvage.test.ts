import { existsSync, statSync } from 'node:fs';
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import type { Journal } from '../../core/journal.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { CheckedTables } from '../../journal/checked-tables.ts';
import { soundEntries, tableBlocks, unsafeTables, type BlockHandle } from '../../journal/level-tables.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { readLane, record, textsOf } from '../support/journal-entries.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const TEXTS = Array.from({ length: 40 }, (_, n) => `${n} `.padEnd(3000, 'x'));

describe('what is salvaged of damaged files', function () {
  this.timeout(20_000);
  let directory: string;
  let remove: () => Promise<void>;

  const open = (): Promise<Journal> => LevelJournal.open(directory, { clock: new FakeClock(), stamp: { site: 's' }, recentBytes: 0 });
  const fileOf = async (end: string): Promise<string> =>
    join(
      directory,
      'db',
      (await readdir(join(directory, 'db'))).find((name) => name.endsWith(end))!,
    );

  beforeEach(async () => {
    const temp = await tempDirectory();
    directory = join(temp.path, 'journal');
    remove = temp.remove;
    const journal = await open();
    for (const text of TEXTS) await record(journal, 'normal', text);
    await journal.close();
  });
  afterEach(() => remove());

  it('every whole block of a table that is cut, or has lost its index', async () => {
    await (await open()).close(); // makes a table of the log
    const path = await fileOf('.ldb');
    const blocks = tableBlocks(path).slice(0, -2);
    const all = [...soundEntries(path)].length;
    const half = blocks[Math.floor(blocks.length / 2)]!;
    const bytes = await readFile(path);
    const index = tableBlocks(path).at(-1)!;
    for (let at = index.offset; at < index.offset + index.size; at += 5) {
      await writeFile(path, Buffer.from(bytes).fill(bytes[at]! ^ 1, at, at + 1));
      assert.equal([...soundEntries(path)].length, all, `byte ${at} of the index`);
    }
    await writeFile(path, bytes);
    await truncate(path, half.offset + half.size);
    const found = [...soundEntries(path)].length;
    assert.isAbove(found, all / 5);
    assert.isBelow(found, all);
    const damaged = Buffer.from(bytes).fill(0, blocks.at(-1)!.offset + blocks.at(-1)!.size + 5);
    damaged[100]! ^= 1; // and its first block is wrong, too: the next one is looked for
    await writeFile(path, damaged);
    assert.isAtLeast([...soundEntries(path)].length, all - 2);
    const journal = await open();
    const kept = textsOf((await readLane(journal, 'normal')).entries);
    assert.isAtLeast(kept.length, TEXTS.length - 2);
    assert.includeMembers(TEXTS, kept);
    await journal.close();
    assert.isTrue(existsSync(join(directory, 'db.corrupt-1')));
  });

  for (const [what, harm] of [
    ['a flipped bit', (log: Buffer): void => void (log[50_000]! ^= 1)],
    ['zeros', (log: Buffer): void => void log.fill(0, 65_536, 66_048)], // the head of a block: LevelDB says nothing
  ] as const) {
    it(`a log with ${what} is kept as evidence, and it is said what is gone`, async () => {
      const path = await fileOf('.log');
      const bytes = await readFile(path);
      harm(bytes);
      await writeFile(path, bytes);
      const journal = await open();
      assert.match(
        journal.salvaged[0]!,
        /^\d+ bytes of the log could not be read .*: what they held is lost; .*; it is in .*db\.corrupt-1$/,
      );
      assert.isBelow((await readLane(journal, 'normal')).entries.length, TEXTS.length);
      await journal.close();
      const [kept] = await readdir(join(directory, 'db.corrupt-1'));
      assert.deepEqual(await readFile(join(directory, 'db.corrupt-1', kept!)), bytes);
      const again = await open();
      assert.deepEqual(again.salvaged, []);
      await again.close();
      assert.deepEqual((await readdir(directory)).filter((name) => name.startsWith('db')).sort(), ['db', 'db.corrupt-1']);
    });
  }

  it('tables that a manifest which was cut short does not name, wherever the cut is', async () => {
    const before = await LevelJournal.open(directory, { clock: new FakeClock(), stamp: { site: 's' }, writeBufferBytes: 65_536 });
    for (const text of TEXTS) await record(before, 'normal', text);
    await before.close();
    const manifest = await fileOf((await readFile(join(directory, 'db', 'CURRENT'), 'utf8')).trim());
    const { size } = await stat(manifest);
    for (let at = 10; at < size; at += 67) {
      const copy = `${directory}-${at}`;
      await cp(directory, copy, { recursive: true });
      await truncate(manifest.replace(directory, copy), at);
      const journal = await LevelJournal.open(copy, { clock: new FakeClock(), stamp: { site: 's' }, recentBytes: 0 });
      assert.lengthOf((await readLane(journal, 'normal')).entries, 2 * TEXTS.length, `cut at ${at}`);
      assert.isAbove(journal.salvaged.length, 0, `cut at ${at}`);
      await journal.close();
    }
  });

  it('a damaged log beside a lost CURRENT: a repair would take commits under the number of others, which ends the process', async () => {
    const path = await fileOf('.log');
    const bytes = await readFile(path);
    for (let at = 0; at < bytes.length - 20; at += 7 + bytes.readUInt16LE(at + 4)) {
      if (at >= 32_768 - 7) break;
      if (bytes[at + 6] === 1) bytes.writeUInt32LE(1, at + 7); // a whole commit: its number
    }
    await writeFile(path, bytes);
    await rm(join(directory, 'db', 'CURRENT'));
    const journal = await open();
    const { entries } = await readLane(journal, 'normal');
    assert.isAbove(entries.length, TEXTS.length / 2);
    await journal.close();
    assert.include((await readdir(join(directory, 'db.corrupt-1'))).join(), 'damaged-');
  });

  it('a table whose keys are out of order is not opened: a compaction that meets one ends the process', async () => {
    await (await open()).close();
    const path = await fileOf('.ldb');
    const bytes = await readFile(path);
    for (const { offset } of tableBlocks(path).slice(0, 3)) {
      for (let at = offset; at < offset + 24; at++) {
        for (const bit of [1, 64]) {
          const damaged = Buffer.from(bytes);
          damaged[at]! ^= bit;
          await writeFile(path, damaged);
          if ((await unsafeTables(join(directory, 'db'))).length > 0) continue;
          const keys = [...soundEntries(path)].map(({ key }) => key);
          for (const [n, key] of keys.entries()) assert.isTrue(n === 0 || Buffer.compare(keys[n - 1]!, key) <= 0, `bit ${bit} of ${at}`);
        }
      }
    }
    await writeFile(path, bytes);
    assert.deepEqual(await unsafeTables(join(directory, 'db')), []);
  });

  it('a table with a restart that LevelDB would stumble over, or of another length than the manifest says, is not opened', async () => {
    const journal = await open();
    for (let n = 0; n < 300; n++) await record(journal, 'normal', `short ${n}`);
    await journal.compact();
    await journal.close();
    const db = join(directory, 'db');
    const tables = (await readdir(db)).filter((each) => each.endsWith('.ldb'));
    const name = tables.sort((x, y) => statSync(join(db, y)).size - statSync(join(db, x)).size)[0]!;
    const bytes = await readFile(join(db, name));
    const restartsOf = ({ offset, size }: BlockHandle): number => bytes.readUInt32LE(offset + size - 4);
    const small = tableBlocks(join(db, name)).find((block) => restartsOf(block) > 1)!; // the first is one of blobs
    const { offset, size } = small;
    const count = restartsOf(small);
    const restarts = offset + size - 4 - 4 * count;
    const bent = Buffer.from(bytes);
    bent.writeUInt32LE(bytes.readUInt32LE(restarts + 4) + 1, restarts + 4); // still in order, and at no entry
    for (const damaged of [bent, bytes.subarray(0, -1000)]) {
      await writeFile(join(db, name), damaged);
      assert.isTrue(await (await CheckedTables.take(db)).hasUnsafe());
    }
    await writeFile(join(db, name), bytes);
    assert.isFalse(await (await CheckedTables.take(db)).hasUnsafe());
  });

  it('nothing is kept of a log that is whole, or that a crash cut short', async () => {
    const path = await fileOf('.log');
    await truncate(path, (await stat(path)).size - 100);
    const journal = await open();
    assert.deepEqual(journal.salvaged, []);
    await journal.close();
    assert.deepEqual(
      (await readdir(directory)).filter((name) => name.startsWith('db')),
      ['db'],
    );
  });
});
