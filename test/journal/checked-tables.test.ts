import { existsSync, readdirSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import type { Clock } from '../../core/clock.ts';
import type { Journal } from '../../core/journal.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { tableBlocks } from '../../journal/level-tables.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { fastClock } from '../support/fast-clock.ts';
import { readLane, record } from '../support/journal-entries.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

describe('the tables that were found safe', () => {
  let temp: { path: string; remove: () => Promise<void> };
  let db: string;
  let list: string;
  let journal: Journal;

  const open = async (clock: Clock): Promise<void> => {
    journal = await LevelJournal.open(temp.path, { clock, stamp: { site: 's' }, writeBufferBytes: 64 * 1024, recentBytes: 0 });
  };
  const tables = (): string[] => readdirSync(db).filter((name) => name.endsWith('.ldb'));
  const listed = async (): Promise<string[]> => (await readFile(list, 'utf8').catch(() => '')).split('\n');
  const isListed = async (): Promise<boolean> => {
    const marks = await listed();
    return tables().every((name) => marks.some((mark) => mark.startsWith(`${name} `)));
  };
  /** In place: a block of entries that is none any more, which no opening reads by itself. */
  const damage = async (name: string): Promise<void> => {
    const path = join(db, name);
    const { offset, size } = tableBlocks(path)[1]!;
    await writeFile(path, (await readFile(path)).fill(0, offset, offset + size));
  };
  /** As if a medium had lost it: the list has the file as it is now. */
  const hide = async (name: string): Promise<void> => {
    const { size, ino, mtimeNs } = statSync(join(db, name), { bigint: true });
    const marks = (await listed()).filter((mark) => !mark.startsWith(`${name} `));
    await writeFile(list, [...marks, `${name} ${size} ${ino} ${mtimeNs}`].join('\n'));
  };

  beforeEach(async () => {
    temp = await tempDirectory();
    db = join(temp.path, 'db');
    list = join(temp.path, 'db.checked');
    await open(fastClock(1000));
    for (let i = 0; i < 60; i++) await record(journal, 'normal', ...Array.from({ length: 20 }, (_, n) => `${i}.${n} ${'x'.repeat(150)}`));
    await until('all of them are listed', isListed);
    await journal.close();
  });
  afterEach(async () => {
    await journal.close();
    await temp.remove();
  });

  it('are read at an opening only if they were touched since', async () => {
    const [name = ''] = tables();
    await damage(name);
    await open(new FakeClock());
    assert.match(journal.salvaged.join(), /repaired/);
  });

  it('are read while the database is open: what a medium lost is put right then, and named', async () => {
    const name = tables()[2]!; // in the middle
    await damage(name);
    await hide(name);
    const clock = new FakeClock();
    await open(clock);
    assert.deepEqual(journal.salvaged, [], 'it was believed');
    await until('it is seen', async () => {
      await clock.advance(100);
      await record(journal, 'normal', 'another').catch(() => undefined);
      return journal.salvaged.length > 0;
    });
    await until('it is open', () => journal.isOpen);
    const { entries, holes } = await readLane(journal, 'normal');
    assert.isAbove(holes.length, 0);
    const missing = holes.reduce((sum, { from, to }) => sum + to - from, 0);
    assert.equal(entries.length + missing, journal.head('normal') - 1);
  });

  it('are listed by a life that has read all of them, and by no other', async () => {
    await open(new FakeClock());
    assert.isFalse(existsSync(list), 'a table that ends this life is looked for at the next opening');
    await journal.close();
    assert.isFalse(existsSync(list));
  });

  it('are read where the list cannot be', async () => {
    await writeFile(list, Buffer.alloc(5000, 0xff));
    const [name = ''] = tables();
    await damage(name);
    await open(new FakeClock());
    assert.match(journal.salvaged.join(), /repaired/);
  });
});
