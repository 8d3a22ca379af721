import { execFile } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { assert } from 'chai';
import { npm } from '../support/npm.ts';
import { codeBlock } from '../support/own-writer-page.ts';
import { ProxyProcess } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
/** Beside what ESM-only packages need ignored, attw is clean: `require` gets ESM, which all Nodes do that we support, and which no type says. */
const ATTW_IGNORED = ['--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm'];

interface Node {
  readonly title: string;
  /** Its binary. */
  readonly path: string;
}

describe('packages', function () {
  this.timeout(180_000);

  let folder: { path: string; remove: () => Promise<void> };
  let tarballs: Readonly<Record<'fondaco' | 'fondaco-recorder', string>>;
  let proxy: ProxyProcess;
  const nodes: Node[] = [{ title: `Node ${process.versions.node}`, path: process.execPath }];

  before(async () => {
    folder = await tempDirectory();
    const built = process.env.FONDACO_TEST_PROGRAM === undefined ? [] : ['--built'];
    await run(process.execPath, [join(ROOT, 'scripts/pack.mjs'), ...built], { cwd: ROOT });
    const packed = readdirSync(join(ROOT, 'packed')).filter((name) => name.endsWith('.tgz'));
    const find = (pattern: RegExp): string =>
      join(
        ROOT,
        'packed',
        packed.find((name) => pattern.test(name))!,
      );
    tarballs = { fondaco: find(/^fondaco-\d/), 'fondaco-recorder': find(/^fondaco-recorder-\d/) };
    if (!process.versions.node.startsWith('24.')) {
      const { stdout } = await run(process.execPath, [join(ROOT, 'scripts/node24.mjs'), '--path']);
      nodes.push({ title: 'Node 24', path: stdout.trim() });
    }
    proxy = await ProxyProcess.start(folder.path, 'dedup: { interval: 0s }');
  });

  after(async () => {
    await proxy?.kill();
    await folder.remove();
  });

  /** An empty folder with the package in it; what npm said. */
  async function install(name: keyof typeof tarballs, node: Node, where: string): Promise<{ path: string; said: string }> {
    const path = join(folder.path, where);
    await mkdir(path);
    await writeFile(join(path, 'package.json'), '{ "private": true }\n');
    const { command, args } = npm(node.path, ['install', '--no-audit', '--no-fund', '--prefer-offline', tarballs[name]]);
    const { stdout, stderr } = await run(command, args, { cwd: path });
    return { path, said: `${stdout}${stderr}` };
  }

  async function recorded(message: string): Promise<void> {
    const answer = await fetch(`${proxy.api}/v1/events?limit=100`);
    const { events } = (await answer.json()) as { events: { message: string }[] };
    assert.include(
      events.map((event) => event.message),
      message,
    );
  }

  it("README's first event is at a webhook by paste, in fresh folders and a bare environment", async () => {
    const { stdout } = await run(process.execPath, [join(ROOT, 'scripts/first-event.mjs'), '--packed', join(ROOT, 'packed')]);
    console.log(stdout.trimEnd().replaceAll(/^/gm, '      '));
  });

  for (const name of ['fondaco', 'fondaco-recorder'] as const) {
    describe(name, () => {
      it('is found right by publint, and by attw but for what ESM-only packages need', async () => {
        const publint = await run(process.execPath, [join(ROOT, 'node_modules/publint/src/cli.js'), tarballs[name], '--strict']);
        assert.include(publint.stdout, 'All good!');
        const attw = join(ROOT, 'node_modules/@arethetypeswrong/cli/dist/index.js');
        await run(process.execPath, [attw, tarballs[name], ...ATTW_IGNORED]); // exits 1 with what it finds
      });

      it('installs into an empty folder without a warning of ours, and is used from ESM and CommonJS, on Node 20 and Node 24', async () => {
        for (const node of nodes) {
          const { path, said } = await install(name, node, `${name} ${node.title}`);
          assert.notMatch(said, /EBADENGINE|deprecated|ERESOLVE/i, node.title);
          const megabytes = bytesIn(path) / 1e6;
          console.log(`      ${name} with its dependencies, on ${node.title}: ${megabytes.toFixed(1)} MB`);
          assert.include(README, `${Math.round(megabytes)} MB with its dependencies`);
          const from = name === 'fondaco' ? 'fondaco/recorder' : 'fondaco-recorder';
          const files = {
            'consumer.mjs': `import { recorder } from '${from}';\n${name === 'fondaco' ? WRITERS : ''}${body(`esm ${name} ${node.title}`)}`,
            'consumer.cjs': `const { recorder } = require('${from}');\n${body(`cjs ${name} ${node.title}`)}`,
          };
          for (const [file, text] of Object.entries(files)) {
            await writeFile(join(path, file), text);
            const { stdout, stderr } = await run(node.path, [file], { cwd: path, env: { ...process.env, FONDACO_PROXY: proxy.address } });
            assert.equal(stderr, '', `${file} on ${node.title}`);
            assert.equal(stdout.trim(), 'proxy');
            await recorded(`${file === 'consumer.mjs' ? 'esm' : 'cjs'} ${name} ${node.title}`);
          }
          if (name === 'fondaco') {
            await runsItsCommand(path, node);
            await runsTheContract(path, node);
          }
        }
      });

      it('has types that a strict consumer with skipLibCheck: false takes, with no newer lib than ES2022', async () => {
        const { path } = await install(name, nodes[0]!, `${name} types`);
        const from = name === 'fondaco' ? 'fondaco/recorder' : 'fondaco-recorder';
        await writeFile(join(path, 'consumer.mts'), typedConsumer(from, name));
        await writeFile(join(path, 'consumer.cts'), typedConsumer(from, name));
        const compilerOptions = { module: 'nodenext', target: 'es2022', lib: ['es2022'], strict: true, skipLibCheck: false, outDir: 'out' };
        await writeFile(join(path, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.mts', 'consumer.cts'] }));
        await assertCompiles(path);
        await run(process.execPath, [join('out', 'consumer.cjs')], { cwd: path });
      });
    });
  }
});

async function runsItsCommand(path: string, node: Node): Promise<void> {
  const { command, args } = npm(node.path, ['exec', '--offline', '--', 'fondaco', '--help']);
  const { stdout } = await run(command, args, { cwd: path });
  assert.include(stdout, 'Usage: fondaco');
}

/** docs/own-writer.md in node:test, from CommonJS. */
async function runsTheContract(path: string, node: Node): Promise<void> {
  for (const file of ['own-writer.mjs', 'contract.mjs']) await writeFile(join(path, file), codeBlock(file));
  const test = `const test = require('node:test');\nconst { writerContract } = require('fondaco/testing');\n`;
  const loop = /^for \(.*/m.exec(codeBlock('own-writer.test.mjs'))![0];
  const text = `${test}if (typeof writerContract !== 'function') throw new Error('no contract');\nconst { cases } = require('./contract.mjs');\n${loop}\n`;
  await writeFile(join(path, 'own-writer.test.cjs'), text);
  const { stdout } = await run(node.path, ['--test', '--test-reporter=tap', 'own-writer.test.cjs'], { cwd: path });
  assert.match(stdout, /^# pass 1\d$/m);
  assert.match(stdout, /^# skipped 0$/m);
}

async function assertCompiles(path: string): Promise<void> {
  try {
    await run(process.execPath, [TSC, '-p', path], { cwd: path });
  } catch (error) {
    assert.fail((error as { stdout: string }).stdout);
  }
}

/** A consumer that records one event durably and prints where. */
function body(message: string): string {
  return `(async () => {
  await recorder.open({ component: 'consumer', spool: false });
  const { level } = await recorder.record('demo.Hello', 'info', ${JSON.stringify(message)});
  await recorder.close();
  console.log(level);
})();
`;
}

/** Of the whole package: what a program without a proxy takes of its writers. */
const WRITERS = `
  const { HttpWriter, httpSettings } = await import('fondaco/writers/http');
  const { FileWriter } = await import('fondaco/writers/file');
  const { ConsoleWriter, consoleSettings } = await import('fondaco/writers/console');
  const { fileSettings } = await import('fondaco/writers/file-settings');
  await (await HttpWriter.open(httpSettings.parse({ url: 'http://127.0.0.1:1/' }))).close();
  await (await FileWriter.open(fileSettings.parse({ path: 'events.ndjson' }))).close();
  await (await ConsoleWriter.open(consoleSettings.parse({}))).close();
`;

const TYPED_CONTRACT = `
  const { openWriter, writerContract } = await import('fondaco/testing');
  const { defineWriter } = await import('fondaco/writer');
  const definition = defineWriter({ open: () => ({ write: async (batch) => void kept.push(...batch.map(({ event, delivery }) => ({ ...event, seq: delivery.seq }))) }) });
  let kept: { readonly id: string; readonly seq: number }[] = [];
  const cases = writerContract({
    open: () => (kept = []),
    openWriter: async () => openWriter(definition),
    received: (place) => place,
    close: () => undefined,
    hang: (place) => place.length,
    keeps: ['seq'],
  });
  const { name, skip, run } = cases[0]!;
  const reason: string | false = skip;
  await run();
  console.log(name, reason);
`;

function typedConsumer(from: string, name: string): string {
  return `import { recorder, Recorder, FondacoError, type Recorded, type RecorderOptions } from '${from}';
import { recordInMemory, type TestEvent } from '${name}/testing';
const options: RecorderOptions = { component: 'consumer', spool: false, onError: (error: FondacoError) => console.log(error.code) };
export async function main(): Promise<Recorded> {
  await recorder.open(options);
  const id: string | undefined = recorder.event('demo.Hello', 'info', 'hi', { attributes: { n: 1 } });
  // @ts-expect-error: no such severity
  recorder.event('demo.Hello', 'fatal', 'hi');
  console.log(id, recorder.status().state);
  const memory = recordInMemory();
  const events: readonly TestEvent[] = memory.events;
  console.log(events.length);
  memory.restore();
  ${name === 'fondaco' ? WRITERS + TYPED_CONTRACT : ''}
  const other = await Recorder.open({ component: 'other' });
  return other.record('demo.Hello', undefined, 'hi');
}
`;
}

/** What the files below a folder take, in bytes, as they would in an archive. */
function bytesIn(path: string): number {
  const of = (file: string): number => {
    const stats = lstatSync(file);
    return stats.isDirectory() ? bytesIn(file) : stats.size;
  };
  return readdirSync(path).reduce((sum, name) => sum + of(join(path, name)), 0);
}
