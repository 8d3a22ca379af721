import { appendFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { systemClock } from '../../core/clock.ts';
import type { Journal } from '../../core/journal.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { tablesInUse } from '../../journal/level-manifest.ts';
import { readLane, record, textsOf } from '../support/journal-entries.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('the tables that a manifest names', () => {
  let temp: { path: string; remove: () => Promise<void> };
  let db: string;

  const open = (): Promise<Journal> =>
    LevelJournal.open(temp.path, { clock: systemClock(), stamp: { site: 's' }, writeBufferBytes: 64 * 1024 });

  const tables = async (): Promise<string[]> => (await readdir(db)).filter((name) => name.endsWith('.ldb'));

  /** Several lives, each with more than fits into LevelDB's memory, and with deletes. */
  beforeEach(async () => {
    temp = await tempDirectory();
    db = join(temp.path, 'db');
    for (let life = 1; life <= 3; life++) {
      const journal = await open();
      for (let i = 0; i < 60; i++)
        await record(journal, 'normal', ...Array.from({ length: 20 }, (_, n) => `${life}.${i}.${n} ${'x'.repeat(150)}`));
      await journal.trim('normal', journal.head('normal') - 300);
      await journal.compact();
      await journal.close();
    }
  });

  afterEach(() => temp.remove());

  it('are those that LevelDB has', async () => {
    const journal = await open(); // deletes what is not in use
    await journal.close();
    const inUse = await tablesInUse(db);
    assert.isAbove(inUse!.size, 0);
    assert.sameMembers([...inUse!.keys()], (await tables()).map((name) => Number.parseInt(name, 10))); // prettier-ignore
  });

  it('are not known where the manifest is damaged, or not there', async () => {
    const manifest = join(db, (await readFile(join(db, 'CURRENT'), 'latin1')).trim());
    const whole = await readFile(manifest);
    const bent = Buffer.from(whole);
    bent[20]! ^= 1;
    await writeFile(manifest, bent);
    assert.isUndefined(await tablesInUse(db));
    await writeFile(manifest, whole);
    await appendFile(manifest, Buffer.alloc(40)); // room that was never written
    assert.isDefined(await tablesInUse(db));
    await writeFile(join(db, 'CURRENT'), 'MANIFEST-999999\n');
    assert.isUndefined(await tablesInUse(db));
  });

  it('are all that is looked at: one that was being written when the power went is no damage, and nothing is repaired for it', async () => {
    const [name = ''] = await tables();
    const torn = await readFile(join(db, name));
    torn.fill(0, 0, torn.length - 512);
    await writeFile(join(db, '999999.ldb'), torn);
    const before = await open();
    const texts = textsOf((await readLane(before, 'normal')).entries);
    assert.deepEqual(before.salvaged, []);
    assert.lengthOf(texts, 300);
    await before.close();
    assert.notInclude(await readdir(db), '999999.ldb');
  });

  it('that is damaged and in use is still put right before LevelDB sees it', async () => {
    const [name = ''] = await tables();
    const torn = await readFile(join(db, name));
    torn.fill(0, 0, torn.length - 512);
    await writeFile(join(db, name), torn);
    const journal = await open();
    assert.match(journal.salvaged.join(), /repaired/);
    await journal.close();
  });

  for (const hasCurrent of [false, true])
    it(`of a database that was only being made are none: nothing is repaired for it, CURRENT ${hasCurrent ? '' : 'not '}there`, async () => {
      for (const name of await readdir(db)) await rm(join(db, name));
      await writeFile(join(db, 'MANIFEST-000001'), 'the beginning of on');
      if (hasCurrent) await writeFile(join(db, 'CURRENT'), 'MANIFEST-000001\n');
      const journal = await open();
      assert.deepEqual(journal.salvaged, []);
      assert.deepEqual(await record(journal, 'normal', 'first'), [1]);
      await journal.close();
    });
});
