import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { KeptFiles } from '../../journal/kept-files.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('what an opening that was killed has put aside', () => {
  let database: string;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    const temp = await tempDirectory();
    database = join(temp.path, 'db');
    remove = temp.remove;
    await mkdir(database);
    await mkdir(`${database}.opening`);
    await writeFile(join(`${database}.opening`, '000007.ldb'), 'a table');
  });
  afterEach(() => remove());

  it('is given back', async () => {
    await (await KeptFiles.link(database)).drop();
    assert.equal(await readFile(join(database, '000007.ldb'), 'utf8'), 'a table');
    assert.deepEqual(await readdir(join(database, '..')), ['db']);
  });

  it('comes back under another name where its own was given out again', async () => {
    await writeFile(join(database, '000007.ldb'), 'a table since');
    await (await KeptFiles.link(database)).drop();
    assert.equal(await readFile(join(database, '000007.ldb'), 'utf8'), 'a table since');
    assert.equal(await readFile(join(database, '1000007.ldb'), 'utf8'), 'a table');
  });

  it('stays aside as long as it cannot be given back', async () => {
    const names = ['000007.ldb', '1000007.ldb'];
    for (const name of names) await mkdir(join(database, name, 'in the way'), { recursive: true });
    await (await KeptFiles.link(database)).giveBack();
    assert.equal(await readFile(join(`${database}.opening`, '000007.ldb'), 'utf8'), 'a table');
    for (const name of names) await rm(join(database, name), { recursive: true });
    await (await KeptFiles.link(database)).giveBack();
    assert.equal(await readFile(join(database, '000007.ldb'), 'utf8'), 'a table');
  });
});
