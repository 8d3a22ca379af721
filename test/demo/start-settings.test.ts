import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';
import { rm } from 'node:fs/promises';
import { assert } from 'chai';
import { readSettings, takeFolders } from '../../demo/start-settings.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('settings of npm start', () => {
  let root: { path: string; remove: () => Promise<void> };

  beforeEach(async () => {
    root = await tempDirectory();
  });

  afterEach(() => root.remove());

  it('have defaults', () => {
    const { data, folder, record, intervalMs, pauseMs, dedupInterval, load, memory, disk } = readSettings([], '/somewhere');
    assert.deepEqual([data, folder, record], [undefined, undefined, undefined]);
    assert.deepEqual([intervalMs, pauseMs, dedupInterval, load, memory, disk], [500, 4000, '10s', 1, 90, 90]);
  });

  it('take paths from where the person is', () => {
    const { folder, record, data } = readSettings(['--folder', 'a', '--record', '/r', '--data', '../d'], '/some/where');
    assert.deepEqual([folder, record, data], ['/some/where/a', '/r', '/some/d']);
  });

  it('keep everything below data/start, and make the watched folder', async () => {
    const folders = await takeFolders(readSettings([], root.path), root.path);
    assert.equal(folders.data, join(root.path, 'data', 'start'));
    assert.isTrue((await stat(folders.folder)).isDirectory());
    assert.isUndefined(folders.because);
    await folders.lock.release();
  });

  it('take a temporary folder, and say why, while another run has data/start', async () => {
    const settings = readSettings([], root.path);
    const first = await takeFolders(settings, root.path);
    const second = await takeFolders(settings, root.path);
    assert.equal(dirname(second.data), tmpdir());
    assert.include(second.because, `npm start, process ${process.pid}`);
    await first.lock.release();
    await second.lock.release();
    await rm(second.data, { recursive: true });
  });

  it('refuse a data folder that another run has', async () => {
    const settings = readSettings(['--data', 'mine'], root.path);
    const first = await takeFolders(settings, root.path);
    const problem = await takeFolders(settings, root.path).catch((error: unknown) => (error as Error).message);
    assert.include(problem, 'must be free');
    await first.lock.release();
  });
});
