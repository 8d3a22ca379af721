/** `kind: module`: what is wrong is said with its place; what a module does wrong stays its own. On real proxies, with modules on disk. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import pino from 'pino';
import { systemClock } from '../../core/clock.ts';
import { checkConfig, formatProblem, loadConfig } from '../../proxy/config.ts';
import { runProxy, type Bound } from '../../proxy/proxy.ts';
import type { ProxyStatus } from '../../proxy/status.ts';
import { formatAddress } from '../../proxy/address.ts';
import { effectiveConfig } from '../../cli/config-show.ts';
import { moduleProblems } from '../../writers/module-settings.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const WRITER = new URL('../../core/define-writer.ts', import.meta.url).href;
const HEAD = `import { appendFileSync } from 'node:fs';\nimport { defineWriter, FondacoError } from ${JSON.stringify(WRITER)};\n`;
const ZOD = import.meta.resolve('zod');
/** A schema by hand: `{ path: text }`. */
const SCHEMA = `const settings = { '~standard': { version: 1, vendor: 'test', validate: (value) =>
  typeof value.path === 'string' ? { value: { path: value.path, isRead: true } } : { issues: [{ message: 'path must be a text', path: [{ key: 'path' }] }] } } };\n`;

describe('a writer from a module', () => {
  let folder: string;
  let remove: () => Promise<void>;
  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
  });
  afterEach(async () => remove());

  function put(file: string, text: string): string {
    writeFileSync(join(folder, file), text);
    return join(folder, file);
  }

  async function problems(yaml: string, env: Record<string, string> = {}): Promise<string[]> {
    const checked = await checkConfig(put('fondaco.yaml', yaml), { env, cwd: '/' });
    return 'problems' in checked ? checked.problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, '')) : [];
  }

  const config = (module: string, more = ''): string => `writers:\n  - name: mine\n    kind: module\n    module: ${module}\n${more}`;

  describe('in the config', () => {
    const writer = `export default defineWriter({ open: () => ({ write: async () => {} }) });`;
    const bad: [what: string, text: string, more: string, message: string][] = [
      ['a syntax error', `export default {;`, '', '4:13: writers[0].module must be a module that can be loaded, '],
      ['a throw', `throw new Error('not today');`, '', '4:13: writers[0].module must be a module that can be loaded, not today'],
      ['a throw of nothing', `throw undefined;`, '', '4:13: writers[0].module must be a module that can be loaded, undefined'],
      ['a missing import', `import 'not-there-at-all';`, '', "Cannot find package 'not-there-at-all' imported from "],
      [
        'no default export',
        `export const a = 1;`,
        '',
        "4:13: writers[0].module must have a default export made by defineWriter of 'fondaco/writer', got none",
      ],
      ['another default export', `export default { open() {} };`, '', "made by defineWriter of 'fondaco/writer', got another object"],
      ['a function', `export default () => ({ write() {} });`, '', "made by defineWriter of 'fondaco/writer', got another function"],
      [
        'a definition without open',
        `${HEAD}export default defineWriter({});`,
        '',
        'must be defined with a function open(settings, { name, logger, directory })',
      ],
      [
        'a schema that is none',
        `${HEAD}export default defineWriter({ settings: { url: 'string' }, open() {} });`,
        '',
        'settings of a writer must be a Standard Schema',
      ],
      [
        'settings where there are none',
        HEAD + writer,
        '    settings: { a: 1 }\n',
        '5:15: writers[0].settings must be left out, this module takes none',
      ],
      [
        'settings that are refused',
        `${HEAD}${SCHEMA}export default defineWriter({ settings, open() {} });`,
        '    settings:\n      path: 5\n',
        '6:13: writers[0].settings.path is refused by its module: path must be a text',
      ],
      [
        'settings that are missing',
        `${HEAD}${SCHEMA}export default defineWriter({ settings, open() {} });`,
        '',
        '2:5: writers[0].settings.path is refused by its module: path must be a text',
      ],
      [
        'settings that are no map',
        `${HEAD}${SCHEMA}export default defineWriter({ settings, open() {} });`,
        '    settings: 7\n',
        '5:15: writers[0].settings must be a map, got 7',
      ],
      [
        'an asynchronous schema',
        `${HEAD}export default defineWriter({ settings: { '~standard': { version: 1, vendor: 'x', validate: async () => { throw new Error('late'); } } }, open() {} });`,
        '',
        '4:13: writers[0].module must have a synchronous schema, got an asynchronous one',
      ],
      [
        'a schema that throws',
        `${HEAD}export default defineWriter({ settings: { '~standard': { validate() { throw new TypeError('oops'); } } }, open() {} });`,
        '',
        'writers[0].settings cannot be checked, the schema of the module throws: oops',
      ],
      [
        'a schema that gives nothing',
        `${HEAD}export default defineWriter({ settings: { '~standard': { validate() {} } }, open() {} });`,
        '',
        'must have a schema that gives { value } or { issues }',
      ],
      [
        'issues in odd places',
        `${HEAD}export default defineWriter({ settings: { '~standard': { validate: () => ({ issues: [{ message: 'x'.repeat(5000), path: [0, Symbol('s'), { key: 'k' }] }] }) } }, open() {} });`,
        '',
        'writers[0].settings[0].Symbol(s).k is refused by its module: xxxx',
      ],
      ['a key of its own outside settings', HEAD + writer, '    path: x\n', '5:5: writers[0].path is unknown, expected any of'],
      ['a time without a unit', HEAD + writer, '    timeout: 5\n', '5:14: writers[0].timeout must be a duration from 100ms to 1h, got 5'],
    ];
    for (const [what, text, more, message] of bad) {
      it(`names ${what}`, async () => {
        put('bad.mjs', text);
        const [problem, ...others] = await problems(config('./bad.mjs', more));
        assert.include(problem, message);
        assert.isBelow(problem!.length, 800);
        assert.isEmpty(others);
      });
    }

    const specifiers: [string, string][] = [
      ['./gone.mjs', 'must be a module that can be loaded, Cannot find module'],
      ['gone-package', "must be a module that can be loaded, Cannot find module 'gone-package'"],
      ['node:fs', 'must be a file as ./writer.js or /opt/writer.js, or the name of a package, got "node:fs"'],
      ['fs', 'must be a file as ./writer.js or /opt/writer.js, or the name of a package, got "fs"'],
      ['"data:text/javascript,export default 1"', 'or the name of a package, got "data:'],
      ['https://x.example/w.js', 'or the name of a package, got "https:'],
      ['""', 'or the name of a package, got ""'],
      ['./', 'must be a module that can be loaded, '],
    ];
    for (const [module, message] of specifiers) {
      it(`refuses module: ${module}`, async () => {
        const [problem] = await problems(config(module));
        assert.include(problem, message);
        assert.notInclude(problem, 'module-settings', 'it names no file of ours');
      });
    }

    it('says that module is missing', async () => {
      const [problem] = await problems('writers:\n  - { name: mine, kind: module }');
      assert.include(problem, '2:5: writers[0].module must be a file as ./writer.js');
    });

    it('does not wait for ever for a module that never ends loading', async () => {
      put('slow.mjs', 'await new Promise(() => {});');
      const [problem] = await moduleProblems({ module: './slow.mjs', timeout: 1000 }, folder, 50);
      assert.deepEqual(problem, { key: ['module'], message: 'must be a module that can be loaded, it must be loaded within 50 ms' });
    });

    it('takes a package that lies beside the config, and CommonJS', async () => {
      for (const [name, main, text] of [
        ['esm', 'index.mjs', HEAD + writer],
        ['cjs', 'index.cjs', `module.exports = { open() {}, [Symbol.for('fondaco.writer')]: true };`],
        ['@scope/ts', 'index.cjs', `exports.__esModule = true; exports.default = { open() {}, [Symbol.for('fondaco.writer')]: true };`],
      ] as const) {
        mkdirSync(join(folder, 'node_modules', name), { recursive: true });
        put(`node_modules/${name}/package.json`, JSON.stringify({ name, exports: `./${main}` }));
        put(`node_modules/${name}/${main}`, text);
        assert.deepEqual(await problems(config(`"${name}"`)), []);
      }
    });

    it('takes a schema of zod 4, with the place of what it refuses', async () => {
      put(
        'zod.mjs',
        `${HEAD}import { z } from ${JSON.stringify(ZOD)};
        export default defineWriter({ settings: z.strictObject({ hosts: z.array(z.object({ port: z.number() })) }), open() {} });`,
      );
      assert.deepEqual(await problems(config('./zod.mjs', '    settings: { hosts: [{ port: 1 }] }\n')), []);
      const [first, second] = await problems(
        config('./zod.mjs', '    settings:\n      hosts:\n        - port: 1\n        - port: x\n      hsots: 3\n'),
      );
      assert.include(
        `${first}${second}`,
        '8:17: writers[0].settings.hosts[1].port is refused by its module: Invalid input: expected number',
      );
      assert.include(`${first}${second}`, 'writers[0].settings is refused by its module: Unrecognized key: "hsots"');
    });

    it('shows settings without their secrets', async () => {
      put('any.mjs', `${HEAD}export default defineWriter({ settings: { '~standard': { validate: (value) => ({ value }) } }, open() {} });`);
      const yaml = config(
        './any.mjs',
        '    settings: { url: "http://u:p@h/?k=1", auth: { password: a1, apiToken: "${T}" }, list: [{ secret: b2, open: x, from: "${T}" }] }\n',
      );
      const loaded = await loadConfig(put('fondaco.yaml', yaml), { env: { T: 'c3' }, cwd: '/' });
      const shown = (await effectiveConfig(loaded, { T: 'c3' })) as { writers: { settings: unknown; timeout: string }[] };
      assert.deepEqual(shown.writers[0]!.settings, {
        url: 'http://***@h/?***',
        auth: { password: '***', apiToken: '***' },
        list: [{ secret: '***', open: 'x', from: '${T}' }],
      });
      assert.equal(shown.writers[0]!.timeout, '30s');
    });
  });

  describe('in a proxy', () => {
    let stop: AbortController;
    let running: Promise<void>;
    let logged: { msg: string; writer?: string; problem?: string; err?: { stack?: string; code?: string } }[];
    let bound: Bound;

    beforeEach(() => {
      stop = new AbortController();
      running = Promise.resolve();
      logged = [];
    });
    afterEach(async () => {
      stop.abort();
      await running;
    });

    /** A module that appends messages to `mine`, with what it does otherwise in `body` of write; a second writer to the file `other`. */
    async function start(module: string, more = ''): Promise<void> {
      put('mine.mjs', HEAD + SCHEMA + module);
      put(
        'fondaco.yaml',
        `site: s\nlisten: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }\ndedup: { interval: 0s }\n${config('./mine.mjs', `    batch: { interval: 0ms }\n    retry: { policy: constant, interval: 20ms }\n    settings: { path: ${folder}/mine }\n${more}`)}  - { name: other, kind: file, path: ./other, batch: { interval: 0ms } }\n`,
      );
      await life();
    }

    async function life(): Promise<void> {
      const loaded = await loadConfig(join(folder, 'fondaco.yaml'), { env: {}, cwd: '/' });
      const logger = pino({}, { write: (line: string) => void logged.push(JSON.parse(line) as (typeof logged)[number]) });
      stop = new AbortController();
      bound = await new Promise<Bound>((ready, reject) => {
        running = runProxy(
          loaded,
          { clock: systemClock(), random: Math.random, logger, version: '0', stdout: process.stdout, env: {}, ready },
          stop.signal,
        );
        running.catch(reject);
      });
    }

    const api = (): string => `http://${formatAddress(bound.http)}`;

    async function record(...messages: string[]): Promise<void> {
      const body = messages
        .map((message) => JSON.stringify({ type: 'a.B', severity: 'info', message, attributes: { list: [1] } }))
        .join('\n');
      const { status } = await fetch(`${api()}/v1/events`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body });
      assert.equal(status, 202);
    }

    const status = async (): Promise<ProxyStatus['writers'][number]> =>
      ((await (await fetch(`${api()}/v1/status`)).json()) as ProxyStatus).writers[0]!;

    async function has(file: string, text: string): Promise<void> {
      const { readFileSync } = await import('node:fs');
      const read = (): string => {
        try {
          return readFileSync(join(folder, file), 'utf8');
        } catch {
          return '';
        }
      };
      await until(`${file} has ${text}`, () => read().includes(text), 10_000);
    }

    const TAKES = `for (const { event } of batch) appendFileSync(path, event.message + '\\n');`;
    const definition = (body: string): string =>
      `let n = 0;\nexport default defineWriter({ settings, open: ({ path, isRead }) => ({ async write(batch, signal) { if (!isRead) throw 0; ${body} } }) });`;

    it('delivers, with the settings as its schema makes them', async () => {
      await start(definition(TAKES));
      await record('one', 'two');
      await has('mine', 'one\ntwo\n');
      const { isBalanced } = (await (await fetch(`${api()}/v1/ledger`)).json()) as { isBalanced: boolean };
      assert.isTrue(isBalanced);
    });

    it('is refused while its open says CONFIG, tried again after any other error; the other writer sees nothing of it', async () => {
      await start(`let n = 0;
        export default defineWriter({ settings, async open({ path }) {
          if (n++ === 0) throw new Error('no route');
          if (n === 2) throw new FondacoError('CONFIG', 'no such bucket');
          return { async write(batch) { ${TAKES} } };
        } });`);
      await record('one');
      await has('other', '"one"');
      await until('it is refused', async () => {
        const { state, lastError } = await status();
        return state === 'refused' && lastError?.message === '[REFUSED] the writer cannot be opened: [CONFIG] no such bucket';
      });
      await fetch(`${api()}/v1/writers/mine/resume`, { method: 'POST' });
      await has('mine', 'one\n');
    });

    it('is refused where its open gives no writer', async () => {
      await start(`export default defineWriter({ settings, open: () => ({ wirte() {} }) });`);
      await record('one');
      await has('other', '"one"');
      await until('it is refused', async () => (await status()).state === 'refused');
      assert.include((await status()).lastError?.message, 'open of module ./mine.mjs must give an object with write(batch, signal)');
    });

    it('keeps events over a bug, shows it, and logs its stack once', async () => {
      await start(definition(`if (++n <= 3) (void 0).oops; ${TAKES}`));
      await record('one');
      await has('other', '"one"');
      await until('it is shown', async () => (await status()).lastError !== undefined);
      assert.match((await status()).lastError?.message ?? '', /threw TypeError: .* \(its stack is in the proxy's log\)$/);
      await has('mine', 'one\n');
      const bugs = logged.filter(({ msg }) => msg.startsWith('the module of a writer threw'));
      assert.lengthOf(bugs, 1);
      assert.equal(bugs[0]!.writer, 'mine');
      assert.include(bugs[0]!.err?.stack, 'mine.mjs');
    });

    it('bears a bug whose message is no text, and cannot be made one', async () => {
      await start(
        definition(
          `if (++n <= 2) throw Object.defineProperty(new Error(), 'message', { value: { toString: () => { throw 1; } } }); ${TAKES}`,
        ),
      );
      await record('one');
      await has('mine', 'one\n');
      assert.lengthOf(
        logged.filter(({ msg, err }) => msg.startsWith('the module') && err?.stack?.includes('cannot be shown')),
        1,
      );
    });

    it('keeps 2 KiB of what a bug says in 20 MB, marked, in the log and in the status', async () => {
      await start(
        definition(
          `if (++n <= 3) throw Object.assign(new Error('x'.repeat(2e7), { cause: new Error('y'.repeat(2e7)) }), { code: 'E1' }); ${TAKES}`,
        ),
      );
      await record('one');
      await until('it is shown', async () => (await status()).lastError !== undefined);
      const shown = (await status()).lastError?.message ?? '';
      assert.match(shown, /^\[UNAVAILABLE\] module \.\/mine.mjs threw Error: x+… \(its stack is in the proxy's log\)$/);
      await has('mine', 'one\n');
      const [bug, ...more] = logged.filter(({ msg }) => msg.startsWith('the module of a writer threw'));
      assert.lengthOf(more, 0);
      assert.equal(bug!.err?.code, 'E1');
      assert.match(bug!.err?.stack ?? '', /^Error: x{2000,2048}…\n +at .*mine.mjs[^]*caused by: Error: y+…/);
      for (const line of logged) assert.isBelow(JSON.stringify(line).length, 40_000);
    });

    it('cannot change the events of others', async () => {
      await start(
        definition(
          `if (++n === 1) batch[0].event.message = 'mine now'; if (n === 2) batch[0].event.attributes.list.push(2); if (n === 3) batch.length = 0; ${TAKES}`,
        ),
        '    filter: { types: [a.B] }\n',
      );
      await record('one');
      await has('other', '"message":"one"');
      await has('other', '"list":[1]');
      await until('it is delivered', async () => (await status()).lanes.normal.pending === 0);
      assert.equal((await status()).dead, 0);
    });

    it('bears the deepest attributes that an event may have', async () => {
      await start(definition(TAKES));
      const attributes = `{"a":${'['.repeat(16_000)}${']'.repeat(16_000)}}`;
      const body = `{"type":"a.B","severity":"info","message":"deep","attributes":${attributes}}`;
      await fetch(`${api()}/v1/events`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      await record('after');
      await has('mine', 'after\n');
    });

    it('is told in its next life what it noted in this one', async () => {
      await start(`export default defineWriter({ settings, open({ path }) {
        let n = 0;
        return {
          async write(batch) { n += batch.length; appendFileSync(path, 'seen ' + n + '\\n'); },
          note: (lane) => { if (lane === 'urgent') throw new Error('a bug'); return String(n); },
          recall: (lane, note) => { n = Number(note); },
        };
      } });`);
      await record('one', 'two');
      await until('it is settled', async () => (await status()).lanes.normal.pending === 0);
      stop.abort();
      await running;
      await life();
      await record('three');
      await has('mine', 'seen 3\n');
    });

    it('is aborted after its timeout', async () => {
      await start(
        definition(`if (++n === 1) await new Promise((_, no) => signal.addEventListener('abort', () => no(signal.reason))); ${TAKES}`),
        '    timeout: 100ms\n',
      );
      await record('one');
      await has('mine', 'one\n');
      assert.equal((await status()).state, 'delivering');
    });
  });
});
