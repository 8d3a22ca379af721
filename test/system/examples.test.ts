/** The examples, run as a user would: with plain Node, from the built package, killed and started again. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { fondaco, startProxy, type RunningProxy } from '../support/fondaco.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLES = join(ROOT, 'examples');
const LINES_MAX = 40;
const WAIT_MS = 30_000;

describe('the examples', function () {
  this.timeout(120_000);
  let folder: string;
  let remove: () => Promise<void>;

  before(() => {
    if (process.env.FONDACO_TEST_PROGRAM === undefined)
      assert.equal(spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: ROOT }).status, 0);
  });
  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
  });
  afterEach(async () => remove());

  it('have 40 lines at most, and the compiler finds nothing wrong with how they use the package', () => {
    const files = ['dispatcher.js', 'module-writer.js', 'redis-worker.js'].map((file) => join(EXAMPLES, file));
    for (const file of files) assert.isAtMost(readFileSync(file, 'utf8').trimEnd().split('\n').length, LINES_MAX);
    const options = '--allowJs --checkJs --strict --noEmit --target es2022 --module nodenext --types node --skipLibCheck'.split(' ');
    const { stdout, status } = spawnSync(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), ...options, '--ignoreConfig', ...files],
      {
        cwd: ROOT,
        encoding: 'utf8',
      },
    );
    assert.equal(status, 0, stdout);
  });

  describe('dispatcher.js', () => {
    let child: ChildProcess;
    let shown: string;

    function start(): void {
      shown = '';
      child = spawn(process.execPath, [join(EXAMPLES, 'dispatcher.js'), folder], { cwd: folder, env: { PATH: process.env.PATH } });
      child.stdout!.setEncoding('utf8').on('data', (text: string) => (shown += text));
      child.stderr!.setEncoding('utf8').on('data', (text: string) => (shown += text));
    }

    async function end(signal: NodeJS.Signals): Promise<number | null> {
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      child.kill(signal);
      return ended;
    }

    const recorded = (): string[] => [...shown.matchAll(/^recorded (\S+)\n/gm)].map(([, id]) => id!);

    /** A line that a kill cut off is no delivery: the batch comes again. */
    function delivered(): { id: string; series: string; seq: number }[] {
      const text = readFileSync(join(folder, 'delivered.ndjson'), 'utf8');
      return text
        .split('\n')
        .flatMap((line) => (/^\{.*\}$/.test(line) ? [JSON.parse(line) as { id: string; series: string; seq: number }] : []));
    }

    afterEach(() => child.kill('SIGKILL'));

    it('delivers all that it recorded over two kills, and its books balance', async () => {
      const ids: string[] = [];
      for (let life = 1; life <= 2; life++) {
        start();
        await until(`it has recorded in life ${life}, it said ${shown}`, () => recorded().length >= 25, WAIT_MS);
        await end('SIGKILL');
        ids.push(...recorded());
      }
      start();
      await until(`it records in its third life, it said ${shown}`, () => recorded().length >= 10, WAIT_MS);
      ids.push(...recorded());
      const missing = (): string[] => {
        const known = new Set(delivered().map(({ id }) => id));
        return ids.filter((id) => !known.has(id));
      };
      await until('all is delivered', () => missing().length === 0, WAIT_MS);
      assert.equal(await end('SIGINT'), 0, shown);
      assert.match(shown, /^balanced \{/m);
      assert.isAtLeast(ids.length, 60);
      const byNumber = new Map(delivered().map(({ id, series, seq }) => [`${series}/${seq}`, id]));
      for (const { id, series, seq } of delivered()) assert.equal(byNumber.get(`${series}/${seq}`), id, 'a repeat has the same number');
    });
  });

  describe('module-writer', () => {
    let proxy: RunningProxy | undefined;

    beforeEach(() => {
      for (const file of ['module-writer.js', 'module-writer.yaml']) copyFileSync(join(EXAMPLES, file), join(folder, file));
      writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
      mkdirSync(join(folder, 'node_modules'));
      symlinkSync(ROOT, join(folder, 'node_modules', 'fondaco'));
      symlinkSync(join(ROOT, 'node_modules', 'zod'), join(folder, 'node_modules', 'zod'));
      const config = join(folder, 'module-writer.yaml');
      writeFileSync(config, `${readFileSync(config, 'utf8')}listen: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }\n`);
    });
    afterEach(() => proxy?.child.kill('SIGKILL'));

    async function start(): Promise<RunningProxy> {
      proxy = await startProxy(['--config', 'module-writer.yaml'], { cwd: folder });
      return proxy;
    }

    async function record(first: number, last: number): Promise<void> {
      const events = Array.from({ length: last - first + 1 }, (_, i) => ({
        type: 'press.Stroke',
        severity: 'info',
        message: `stroke ${first + i}`,
      }));
      const headers = { 'content-type': 'application/json' };
      const { status } = await fetch(`${proxy!.api}/v1/events`, { method: 'POST', headers, body: JSON.stringify(events) });
      assert.equal(status, 202);
    }

    function written(): string[] {
      try {
        const lines = readFileSync(join(folder, 'data/types/press.Stroke.ndjson'), 'utf8').trimEnd().split('\n');
        return [...new Set(lines.map((line) => (JSON.parse(line) as { message: string }).message))];
      } catch {
        return [];
      }
    }

    const strokes = (last: number): string[] => Array.from({ length: last }, (_, i) => `stroke ${i + 1}`);

    it('gets all events over a kill of the proxy; the books balance', async () => {
      const { code, stdout, stderr } = await fondaco(['config', 'check', 'module-writer.yaml'], { cwd: folder });
      assert.equal(code, 0, stdout + stderr);
      await start();
      await record(1, 500);
      proxy!.child.kill('SIGKILL');
      await proxy!.ended;
      await start();
      await record(501, 600);
      await until('all is written', () => written().length === 600, WAIT_MS);
      assert.deepEqual(written(), strokes(600));
      await until('it is settled', async () => {
        const { isBalanced, writers } = (await (await fetch(`${proxy!.api}/v1/ledger`)).json()) as Ledger;
        assert.isTrue(isBalanced);
        return writers[0]?.lanes.normal.delivered === 600;
      });
      proxy!.child.kill('SIGTERM');
      assert.equal((await proxy!.ended).code, 0);
    });

    it('has what is wrong with its settings named, with file, line and column', async () => {
      const config = join(folder, 'module-writer.yaml');
      writeFileSync(config, readFileSync(config, 'utf8').replace('directory: ./data/types', 'directory: 5'));
      const { code, stderr } = await fondaco(['config', 'check', 'module-writer.yaml'], { cwd: folder });
      assert.equal(code, 78);
      assert.match(
        stderr,
        /module-writer\.yaml:6:28: writers\[0\]\.settings\.directory is refused by its module: Invalid input: expected string/,
      );
    });

    it('ends the proxy by an error outside of write, which names the module; nothing that was acknowledged is lost', async () => {
      const module = join(folder, 'module-writer.js');
      const text = readFileSync(module, 'utf8');
      writeFileSync(
        module,
        text.replace('for (const {', `void Promise.reject(new Error('astray')); await new Promise(() => {});\n        for (const {`),
      );
      await start();
      await record(1, 50);
      const { code, signal, stderr } = await proxy!.ended;
      assert.deepEqual([code, signal], [1, null], stderr);
      assert.match(stderr, /astray[^]*module-writer\.js/);
      writeFileSync(module, text);
      await start();
      await until('all is written', () => written().length === 50, WAIT_MS);
      assert.deepEqual(written(), strokes(50));
    });
  });
});
