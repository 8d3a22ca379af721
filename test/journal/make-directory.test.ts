import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { makeDirectory } from '../../journal/make-directory.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('makeDirectory', () => {
  let temp: { path: string; remove: () => Promise<void> };

  beforeEach(async () => {
    temp = await tempDirectory();
  });

  afterEach(() => temp.remove());

  const codeOf = (directory: string): Promise<string | undefined> =>
    makeDirectory(directory).then(
      () => 'made',
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    );

  it('makes what is missing, with those above it, and takes what is there', async () => {
    const directory = join(temp.path, 'a', 'b', 'c');
    await makeDirectory(directory, 0o700);
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    assert.equal(await codeOf(directory), 'made');
  });

  it('says what is in the way', async () => {
    await writeFile(join(temp.path, 'file'), '');
    assert.equal(await codeOf(join(temp.path, 'file')), 'EEXIST');
    assert.equal(await codeOf(join(temp.path, 'file', 'below')), 'ENOTDIR');
  });

  it('ends where the system says of a parent that is there that it is not', async function () {
    if (process.platform !== 'linux') return this.skip();
    assert.equal(await codeOf('/proc/fondaco/spool'), 'ENOENT');
  });
});
