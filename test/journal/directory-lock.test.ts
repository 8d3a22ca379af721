import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { isFondacoError } from '../../core/errors.ts';
import { lockDirectory } from '../../journal/directory-lock.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('journal/lock', () => {
  let directory: string;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    const temp = await tempDirectory();
    directory = join(temp.path, 'life');
    remove = temp.remove;
  });
  afterEach(() => remove());

  it('leaves the name of the holder as it is until the store is open, and no traces when it did not open', async () => {
    const first = await lockDirectory(directory, 'the first');
    await first.putName();
    await first.release();
    const refused = await lockDirectory(directory, 'one whose store is refused');
    assert.strictEqual(await readFile(join(directory, 'holder'), 'utf8'), 'the first\n');
    await refused.release();
    assert.deepEqual(await readdir(directory), ['holder']);
  });

  it('takes the lock of the directory that is there, however often holders remove theirs meanwhile', async function () {
    this.timeout(20_000);
    const refusals: unknown[] = [];
    let removed = 0;
    const removing = async (): Promise<void> => {
      for (let n = 0; n < 200; n++) {
        try {
          const lock = await lockDirectory(directory, 'somebody');
          await mkdir(join(directory, 'mine')); // fails if another holds this very directory
          await rename(directory, `${directory}.${removed++}`);
          await lock.release();
        } catch (error) {
          if (!isFondacoError(error, 'UNAVAILABLE')) refusals.push(error);
        }
      }
    };
    await Promise.all([removing(), removing(), removing()]);
    assert.isAbove(removed, 0);
    assert.deepEqual(refusals, []);
  });
});
