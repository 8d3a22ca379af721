import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { ExitError } from '../../cli/exit.ts';
import { initTls, issueAgent, issueServer } from '../../cli/tls.ts';
import { asError, isFondacoError } from '../../core/errors.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('fondaco tls', () => {
  let folder: string;
  let remove: () => Promise<void>;
  before(async () => {
    ({ path: folder, remove } = await tempDirectory());
    writeFileSync(join(folder, 'file'), '');
  });
  after(async () => remove());

  async function failure(work: Promise<void>): Promise<{ kind: number | string; message: string }> {
    const error = await work.then(() => assert.fail('it must reject'), asError);
    const kind = error instanceof ExitError ? error.exitCode : isFondacoError(error) ? error.code : 'a bug';
    return { kind, message: error.message };
  }

  const wrong: [what: string, work: (dir: string) => Promise<void>, says: RegExp][] = [
    ['negative days', async (dir) => initTls({ dir, days: '-5' }), /^--days must be a whole number from 1 to 3650, got "-5"$/],
    ['days with a point', async (dir) => issueServer({ dir, days: '1.5' }), /^--days must/],
    ['a name with a line break', async (dir) => initTls({ dir, name: ['a\nb'] }), /^--name must be a host name .*, got "a\\nb"$/],
    ['a name with a port', async (dir) => initTls({ dir, name: ['good,h:7070'] }), /^--name must be .*, got "h:7070"$/],
    ['an agent that is a path', async (dir) => issueAgent('../evil', { dir }), /^the name must be 1 to 63 of .*, got "\.\.\/evil"$/],
    ['an agent without a name', async (dir) => issueAgent('', { dir }), /^the name must/],
  ];
  for (const [what, work, says] of wrong) {
    it(`is used wrongly with ${what}, and makes nothing`, async () => {
      const { kind, message } = await failure(work(join(folder, 'tls')));
      assert.equal(kind, 64);
      assert.match(message, says);
      assert.deepEqual(readdirSync(folder), ['file']);
    });
  }

  for (const [what, dir] of [
    ['a folder that can never be made', () => '/proc/fondaco/tls'],
    ['a folder within a file', () => join(folder, 'file', 'tls')],
    ['a file', () => join(folder, 'file')],
  ] as const) {
    it(`ends with CONFIG for ${what}`, async () => {
      const { kind, message } = await failure(initTls({ dir: dir() }));
      assert.equal(kind, 'CONFIG');
      assert.match(message, /--dir must be a folder that can be written to, /);
    });
  }

  it('leaves nothing behind where a file of its cannot be written', async () => {
    const dir = join(folder, 'half');
    mkdirSync(join(dir, `.server.key.${process.pid}.new`), { recursive: true });
    assert.equal((await failure(initTls({ dir }))).kind, 'CONFIG');
    assert.deepEqual(readdirSync(dir), [`.server.key.${process.pid}.new`]);
  });
});
