import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { parseEvent } from '../../core/event-input.ts';
import { Child, ProxyProcess, type Run } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

describe('fondaco journal', function () {
  this.timeout(120_000);
  let folder: { path: string; remove: () => Promise<void> };
  let proxy: ProxyProcess;
  let data: string;

  const run = (...args: string[]): Promise<Run> => Child.cli('journal', ...args, '--data', data).ended;

  before(async () => {
    folder = await tempDirectory();
    proxy = await ProxyProcess.start(folder.path, 'dedup: { interval: 0s }\nwriters: []');
    data = (await readdir(folder.path, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isDirectory() && entry.name === 'journal')
      .map(({ parentPath }) => parentPath)[0]!;
    const lines = Array.from({ length: 3000 }, (_, n) =>
      JSON.stringify({
        type: 'a.B',
        severity: n % 100 === 0 ? 'critical' : 'info',
        message: `event ${n} ${'x'.repeat(100)}`,
        attributes: { n },
      }),
    );
    await writeFile(join(folder.path, 'events.ndjson'), lines.join('\n'));
    const recorded = await Child.cli('record', '--file', join(folder.path, 'events.ndjson'), '--proxy', proxy.address, '--no-spool').ended;
    expect(recorded.code, recorded.stderr).to.equal(0);
  });

  after(() => folder.remove());

  it('leaves a running proxy alone, and says whose it is', async () => {
    for (const verb of ['check', 'export', 'compact']) {
      const { code, stderr } = await run(verb);
      expect(code, stderr).to.equal(69);
      expect(stderr).to.match(/must be free, it is held by proxy, process \d+/);
    }
    await proxy.stop();
  });

  it('finds a whole journal whole, and changes nothing by looking', async () => {
    const files = async (): Promise<string[]> =>
      Promise.all(
        (await readdir(join(data, 'journal', 'db')))
          .sort()
          .map(async (name) => `${name} ${(await stat(join(data, 'journal', 'db', name))).mtimeMs}`),
      );
    const before = await files();
    const { code, stdout, stderr } = await run('check');
    expect(code, stdout + stderr).to.equal(0);
    expect(stdout).to.match(/: whole\n[^]*urgent +1-30 +30 +-\n *normal +1-2970 +2,970 +-[^]*the books balance/);
    expect(await files()).to.deep.equal(before);
    expect(await readdir(data)).to.deep.equal(['journal']);
  });

  it('exports every event, in order, and gives room back', async () => {
    const out = join(folder.path, 'out.ndjson');
    const { code, stderr } = await run('export', '--out', out);
    expect(code, stderr).to.equal(0);
    const events = (await readFile(out, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { lane: string; message: string; attributes: { n: number } });
    expect(events).to.have.length(3000);
    const normal = events.filter(({ lane }) => lane === 'normal').map(({ attributes }) => attributes.n);
    expect(normal).to.deep.equal([...normal].sort((a, b) => a - b));
    const compacted = await run('compact', '--json');
    expect(JSON.parse(compacted.stdout)).to.have.property('bytesAfter');
    expect((await run('export', '--out', out)).code, 'never over a file').to.equal(64);
    const input = (await run('export', '--for-record')).stdout.trim().split('\n');
    const defaults = { node: 'n', component: 'c' };
    const again = input.map((line) => parseEvent(line, defaults, 0).message).sort(); // in the form that record takes
    expect(again).to.deep.equal(events.map(({ message }) => message).sort());
    const none = await Child.cli('journal', 'check', '--data', join(folder.path, 'none')).ended;
    expect([none.code, none.stderr]).to.deep.equal([
      66,
      `fondaco: there is no journal in ${join(folder.path, 'none', 'journal')}: --data names the data directory of a proxy\n`,
    ]);
  });

  it('names what is damaged, exports the rest, repairs, and then all is said', async () => {
    const db = join(data, 'journal', 'db');
    const sizes = await Promise.all((await readdir(db)).map(async (name) => ({ name, size: (await stat(join(db, name))).size })));
    const { name, size } = sizes.filter((file) => /\.(ldb|log)$/.test(file.name)).sort((a, b) => b.size - a.size)[0]!;
    const bytes = await readFile(join(db, name));
    for (let at = Math.floor(size / 3); at < size / 3 + 400; at++) bytes[at]! ^= 0x55;
    await writeFile(join(db, name), bytes);
    const check = await run('check', '--json');
    expect(check.code, check.stderr).to.equal(1);
    const found = JSON.parse(check.stdout) as { isWhole: boolean; lanes: Record<string, { missing: string[] }>; database: string[] };
    expect(found.isWhole).to.equal(false);
    expect([...found.database, ...Object.values(found.lanes).flatMap(({ missing }) => missing)]).to.not.deep.equal([]);
    const exported = await run('export');
    expect(exported.code, exported.stderr).to.equal(1);
    expect(exported.stdout.trim().split('\n').length).to.be.within(1000, 2999);
    expect((await run('repair')).code, 'it asks, and there is no terminal').to.equal(64);
    const repaired = await run('repair', '--yes');
    expect(repaired.code, repaired.stderr).to.equal(0);
    await proxy.start();
    expect(await proxy.ledger()).to.include({ isBalanced: true });
    await proxy.stop();
  });

  it('names an end that is lost, which the database cannot tell, and repairs it once', async () => {
    await proxy.start();
    const recorded = await Child.cli('record', '--file', join(folder.path, 'events.ndjson'), '--proxy', proxy.address, '--no-spool').ended;
    expect(recorded.code, recorded.stderr).to.equal(0);
    await proxy.stop();
    const db = join(data, 'journal', 'db');
    const log = (await readdir(db)).filter((name) => name.endsWith('.log')).sort().at(-1)!; // prettier-ignore
    await truncate(join(db, log), Math.floor((await stat(join(db, log))).size / 2));
    for (let look = 0; look < 2; look++) {
      const { code, stdout } = await run('check');
      expect(code, stdout).to.equal(1);
      expect(stdout).to.match(/the end of the log was lost: positions \d+ to \d+ of the normal lane/);
    }
    const repaired = await run('repair', '--yes');
    expect(repaired.stdout).to.match(/the end of the log was lost/);
    expect((await run('repair', '--yes')).stdout).to.match(/nothing to repair/);
  });

  it('lets no verb take away what tells that a store is gone: every writer hears of it', async () => {
    const db = join(data, 'journal', 'db');
    for (const name of await readdir(db)) await truncate(join(db, name), 0);
    for (const verb of ['check', 'compact', 'check']) {
      const { code, stdout } = await run(verb);
      if (verb === 'check')
        expect({ code, isTold: stdout.includes('is gone and another was begun') }).to.deep.equal({ code: 1, isTold: true });
    }
    expect((await run('repair', '--yes')).stdout).to.match(/is gone and another was begun/);
    const out = join(folder.path, 'out.ndjson');
    await proxy.configure(`dedup: { interval: 0s }\nwriters: [{ name: out, kind: file, path: ${out} }]`);
    await proxy.start();
    const isThere = async (): Promise<boolean> => (await readFile(out, 'utf8').catch(() => '')).includes('fondaco.StoreMended');
    await until('the writer hears of it', isThere);
    expect(await proxy.ledger()).to.include({ isBalanced: true });
    await proxy.stop();
  });
});
