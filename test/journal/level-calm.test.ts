import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { isFondacoError, type FondacoError } from '../../core/errors.ts';
import type { Journal } from '../../core/journal.ts';
import { calmLevels } from '../../journal/level-calm.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { fastClock } from '../support/fast-clock.ts';
import { newEntry, readLane } from '../support/journal-entries.ts';
import { pause } from '../support/pause.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const TEXT = 'x'.repeat(8000);
const ROUNDS = 3;

describe('LevelJournal, on a disk that it fills itself', function () {
  this.timeout(60_000);
  let temp: { path: string; remove: () => Promise<void> };
  let disk: SmallDisk;
  let journal: Journal | undefined;
  const problems: FondacoError[] = [];

  beforeEach(async function () {
    temp = await tempDirectory();
    const mounted = SmallDisk.mount(join(temp.path, 'disk'), 24 * MIB);
    if (!mounted) return this.skip();
    disk = mounted;
    problems.length = 0;
  });
  afterEach(async () => {
    await journal?.close();
    journal = undefined;
    disk.unmount();
    await temp.remove();
  });

  const open = (): Promise<Journal> =>
    LevelJournal.open(join(disk.directory, 'journal'), {
      clock: fastClock(20),
      stamp: { site: 's' },
      writeBufferBytes: MIB,
      reserveBytes: 3 * MIB,
      recentBytes: 0,
      onProblem: (problem) => problems.push(problem),
    });
  const put = (into: Journal): Promise<unknown> =>
    into.commit((draft) => {
      for (let n = 0; n < 60; n++) draft.append('normal', newEntry(n + 1, TEXT));
      draft.put('row', () => TEXT);
    });
  /** A table that LevelDB just writes may still fill the disk once more. */
  const taken = (commit: () => Promise<unknown>): Promise<void> =>
    until('it is taken', () => commit().then(() => true, unlessFull), 10_000);
  const unlessFull = (error: unknown): boolean => {
    if (isFondacoError(error)) return false;
    throw error;
  };
  /** As much as it takes. */
  const fill = async (into: Journal): Promise<void> => {
    for (;;) {
      try {
        await put(into);
        await pause(2); // as a disk does, on which a commit takes longer: compactions keep up
      } catch (error) {
        if (!isFondacoError(error, 'FULL')) throw error;
        return;
      }
    }
  };

  it('opens again and takes what frees room, each time it is full: no compaction that has no room is begun over and over', async () => {
    for (let round = 1; round <= ROUNDS; round++) {
      journal = await open();
      await fill(journal);
      const head = journal.head('normal');
      const own = journal;
      await until(`round ${round}: it is open again`, () => own.isOpen, 10_000);
      for (let n = 1; n <= 20; n++) await taken(() => own.commit((draft) => draft.put('row', () => n)));
      assert.isAtMost(problems.length, 4, problems.map(String).join('\n'));
      const { entries, holes } = await readLane(own, 'normal');
      assert.deepEqual([holes, entries.length >= head - own.tail('normal')], [[], true], 'all of it can be read');
      await taken(() => own.trim('normal', own.head('normal') - 60));
      await own.compact();
      await until(`round ${round}: it has room`, () => !own.isLow, 10_000);
      await taken(() => put(own));
      await own.close();
      problems.length = 0;
    }
  });

  it('leaves alone a database whose manifest cannot be read, and tables that were there before', async () => {
    disk.fill(23 * MIB);
    journal = await open();
    for (let n = 0; n < 10; n++) await put(journal);
    await journal.close();
    const db = join(disk.directory, 'journal', 'db');
    await writeFile(join(db, '999999.ldb'), 'x');
    await calmLevels(db, { isOwn: false });
    assert.include(await readdir(db), '999999.ldb');
    const manifest = join(db, (await readFile(join(db, 'CURRENT'), 'latin1')).trim());
    const bent = await readFile(manifest);
    bent[20]! ^= 1;
    await writeFile(manifest, bent);
    await calmLevels(db, { isOwn: true });
    assert.include(await readdir(db), '999999.ldb');
    assert.deepEqual(await readFile(manifest), bent);
    await writeFile(join(db, 'CURRENT'), 'MANIFEST-999999\n');
    await calmLevels(db, { isOwn: true });
    assert.include(await readdir(db), '999999.ldb');
  });
});
