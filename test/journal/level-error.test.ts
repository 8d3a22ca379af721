import { cp, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { isFondacoError } from '../../core/errors.ts';
import { isPassing, levelError } from '../../journal/level-error.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { readLane, record, textsOf } from '../support/journal-entries.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const PATH = '/srv/Corruption: no space left on device/No such file or directory: invalid argument';
const MEANT: readonly (readonly [string, string])[] = [
  ['Corruption: bad block type', 'CORRUPT'],
  ['Corruption: not an sstable (bad magic number)', 'CORRUPT'],
  [`Invalid argument: ${PATH}: error`, 'CORRUPT'],
  [`IO error: ${PATH}/000005.ldb: No such file or directory`, 'CORRUPT'],
  [`IO error: ${PATH}/000005.log: No space left on device`, 'FULL'],
  [`IO error: ${PATH}/000005.log: Disk quota exceeded`, 'FULL'],
  [`IO error: ${PATH}/000005.log: File too large`, 'FULL'],
  [`ENOSPC: no space left on device, mkdir '${PATH}'`, 'FULL'],
  [`EDQUOT: disk quota exceeded, write`, 'FULL'],
  [`IO error: ${PATH}/000005.log: Input/output error`, 'UNAVAILABLE'],
  [`IO error: ${PATH}/000005.ldb: Too many open files`, 'UNAVAILABLE'],
  [`IO error: ${PATH}/LOCK: Is a directory`, 'UNAVAILABLE'],
  [`EACCES: permission denied, open '${PATH}'`, 'UNAVAILABLE'],
];

describe('what LevelDB says', () => {
  for (const [text, code] of MEANT) {
    it(`means ${code}: ${text}`, () => {
      const error = new Error('Database failed to open', { cause: new Error(text) });
      assert.equal(levelError(error, 'the store must open').message, `[${code}] the store must open, got ${text}`);
    });
  }

  it('tells what may pass from what is damaged', () => {
    assert.isTrue(isPassing(`IO error: ${PATH}/000005.ldb: Too many open files`));
    assert.isTrue(isPassing(`IO error: ${PATH}/000005.ldb: Permission denied`));
    assert.isFalse(isPassing('Corruption: /x: too many open files: bad block'));
  });
});

describe('a store in a folder with an odd name', () => {
  let directory: string;
  let remove: () => Promise<void>;
  const open = (): ReturnType<typeof LevelJournal.open> =>
    LevelJournal.open(directory, { clock: new FakeClock(), stamp: { site: 's' }, recentBytes: 0 });

  beforeEach(async () => {
    const temp = await tempDirectory();
    directory = join(temp.path, 'Corruption: no such file or directory');
    remove = temp.remove;
    const journal = await open();
    await record(journal, 'normal', 'a', 'b');
    await journal.close();
  });
  afterEach(async () => remove());

  it('is not repaired for an error that is none of its bytes', async () => {
    await rm(join(directory, 'db', 'LOCK'));
    await mkdir(join(directory, 'db', 'LOCK'));
    const error: unknown = await open().catch((thrown: unknown) => thrown);
    assert.isTrue(isFondacoError(error, 'UNAVAILABLE'), String(error));
    await rm(join(directory, 'db', 'LOCK'), { recursive: true });
    const journal = await open();
    assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), ['a', 'b']);
    assert.isEmpty(journal.salvaged);
    await journal.close();
  });

  it('opens with all that it had when any byte of CURRENT is zero, or its end', async function () {
    this.timeout(60_000);
    const original = `${directory}, original`;
    await cp(directory, original, { recursive: true });
    const current = join(directory, 'db', 'CURRENT');
    const bytes = await readFile(current);
    for (let at = 0; at < bytes.length; at++) {
      for (const kind of ['zero', 'cut']) {
        await rm(directory, { recursive: true });
        await cp(original, directory, { recursive: true });
        if (kind === 'cut') await truncate(current, at);
        else await writeFile(current, Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1), bytes.subarray(at + 1)]));
        const journal = await open();
        assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), ['a', 'b'], `${kind} at ${at}`);
        assert.isNotEmpty(journal.salvaged, `${kind} at ${at}`);
        await journal.close();
      }
    }
  });
});
