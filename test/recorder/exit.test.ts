import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { assert } from 'chai';
import { RecorderKit } from '../support/recorder-kit.ts';
import type { AgentScript } from '../support/recorder-agent.ts';
import type { ScriptedProxy } from '../support/scripted-proxy.ts';
import { until } from '../support/until.ts';

const AGENT = fileURLToPath(new URL('../support/recorder-agent.ts', import.meta.url));
const kit = new RecorderKit();
let agents: Agent[] = [];

describe('recorder, at the end of its process', function () {
  this.timeout(20_000);
  beforeEach(() => kit.start());
  afterEach(async () => {
    for (const agent of agents) agent.child.kill('SIGKILL');
    agents = [];
    await kit.end();
  });

  for (const then of ['exit', 'throw'] as const) {
    it(`loses nothing when the host ends by ${then} with events in memory and no proxy`, async () => {
      const proxy = await kit.nobody();
      const agent = start(proxy, { events: 5000, then });
      assert.strictEqual(await agent.ended, then === 'exit' ? 0 : 1);
      assert.deepEqual(filesOf(kit.directory), ['exit'], 'it had no time for anything but the exit file');
      await proxy.start();
      await drain(proxy);
      assert.deepEqual(proxy.messages, names(5000));
      assert.deepEqual(readdirSync(join(kit.directory, 'agent')), []);
    });
  }

  it('merges spool and exit file by seq', async () => {
    const proxy = await kit.nobody();
    const agent = start(proxy, { events: 1000, then: 'flush-record-exit' });
    assert.strictEqual(await agent.ended, 0);
    assert.sameMembers(filesOf(kit.directory), ['db', 'exit', 'holder', 'reserve']);
    await proxy.start();
    await drain(proxy);
    assert.deepEqual(proxy.messages, names(2000));
    assert.deepEqual(proxy.model.lost, []);
  });

  it('loses nothing when the host ends at any moment, while the disk is being written', async () => {
    const proxy = await kit.nobody();
    const totals: number[] = [];
    for (const ms of [60, 130, 310]) {
      const agent = start(proxy, { events: ms, then: 'exit-any-time' });
      assert.strictEqual(await agent.ended, 0);
      totals.push(agent.facts.flatMap((fact) => ('total' in fact ? [fact.total as number] : []))[0]!);
    }
    await proxy.start();
    await drain(proxy);
    assert.deepEqual(
      proxy.messages,
      totals.flatMap((total) => names(total)),
    );
  });

  it('takes over an exit file that was not given its name any more, and finishes a deletion', async () => {
    const proxy = await kit.nobody();
    await start(proxy, { events: 10, then: 'exit' }).ended;
    const base = join(kit.directory, 'agent');
    const [life] = livesOf(kit.directory);
    renameSync(join(base, life!), join(base, `.${life}.tmp`));
    mkdirSync(join(base, `.${life}.gone`));
    utimesSync(join(base, `.${life}.tmp`), 0, 0);
    await proxy.start();
    await drain(proxy);
    assert.deepEqual(proxy.messages, names(10));
    assert.deepEqual(readdirSync(base), []);
  });

  it('loses nothing on SIGTERM with closeOn, and dies of the signal', async () => {
    const proxy = await kit.nobody();
    const agent = start(proxy, { events: 3000, then: 'record-on', closeOn: ['SIGTERM'] });
    await until('it records', () => agent.facts.length > 20, 10_000);
    agent.child.kill('SIGTERM');
    assert.strictEqual(await agent.ended, 'SIGTERM');
    await proxy.start();
    await drain(proxy);
    const ns = agent.facts.flatMap((fact) => ('n' in fact ? [fact.n as number] : []));
    assert.deepEqual(proxy.messages, names(proxy.messages.length));
    // Also what was recorded between the signal and the end.
    assert.isAtLeast(proxy.messages.length, ns.at(-1)!);
  });

  it('loses on SIGKILL at most what was unsettled for a moment', async () => {
    const proxy = await kit.nobody();
    const agent = start(proxy, { events: 0, then: 'record-on' });
    await until('it records', () => agent.facts.length > 400, 10_000);
    agent.child.kill('SIGKILL');
    assert.strictEqual(await agent.ended, 'SIGKILL');
    await proxy.start();
    await drain(proxy);
    const facts = agent.facts.filter((fact): fact is { n: number; at: number } => 'n' in fact);
    const end = facts.at(-1)!.at;
    const safe = facts.filter(({ at }) => at < end - 500).at(-1)!.n;
    assert.deepEqual(proxy.messages, names(proxy.messages.length));
    assert.isAtLeast(proxy.messages.length, safe, 'everything but the last moments');
  });

  it('lets an idle host exit by itself, with everything settled', async () => {
    const proxy = await kit.proxy();
    const agent = start(proxy, { events: 100, then: 'idle' });
    assert.strictEqual(await agent.ended, 0);
    assert.deepEqual(proxy.messages, names(100));
    assert.deepEqual(filesOf(kit.directory), []);
  });

  it('lets an idle host exit by itself when there is no proxy', async () => {
    const proxy = await kit.nobody();
    assert.strictEqual(await start(proxy, { events: 10, then: 'idle' }).ended, 0);
    await proxy.start();
    await drain(proxy);
    assert.deepEqual(proxy.messages, names(10));
  });

  it('does not share a spool between processes and threads with one component', async () => {
    const proxy = await kit.nobody();
    start(proxy, { events: 50, then: 'flush-and-stay' });
    start(proxy, { events: 50, then: 'flush-and-stay' });
    const worker = startThread(proxy, { events: 50, then: 'flush-and-stay' });
    const own = await kit.open(proxy, { component: 'agent' });
    try {
      own.event('test.Own', 'info', 'own');
      await own.flush();
      await until('all four have spooled', () => livesOf(kit.directory).length === 4, 15_000);
      await until('both children have said so', () => agents.every((agent) => agent.facts.some((fact) => 'recorded' in fact)), 10_000);
      const later = await kit.open(proxy, { component: 'agent' });
      await until('it has looked at all of them', () => later.status().older.lives === 0);
      assert.lengthOf(livesOf(kit.directory), 4, 'none was adopted: their owners are alive');
      await proxy.start();
      await until('each drains its own', () => proxy.model.stored.length === 151, 15_000);
      assert.strictEqual(new Set(proxy.model.stored.map(({ series }) => series)).size, 4);
    } finally {
      await worker.terminate();
    }
  });

  it('sets a damaged exit file aside, says so, and goes on', async () => {
    const proxy = await kit.nobody();
    await start(proxy, { events: 10, then: 'exit' }).ended;
    const path = join(kit.directory, 'agent', livesOf(kit.directory)[0]!, 'exit');
    const bytes = readFileSync(path);
    bytes[bytes.length - 3]! ^= 1;
    writeFileSync(path, bytes);
    await proxy.start();
    const recorder = await kit.open(proxy, { component: 'agent' });
    await until('it was looked at', () => recorder.status().older.lives === 0);
    assert.match(kit.errors[0]!.message, /^\[CORRUPT\] .*exit must be an exit file that checks, got a wrong checksum/);
    assert.lengthOf(
      readdirSync(join(kit.directory, 'agent')).filter((name) => name.endsWith('.corrupt')),
      1,
    );
    assert.strictEqual((await recorder.record('a.B', 'info', 'goes on')).level, 'proxy');
  });
});

interface Agent {
  readonly child: ChildProcess;
  readonly facts: object[];
  /** The exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

function start(proxy: ScriptedProxy, script: Omit<AgentScript, 'proxy' | 'directory'>): Agent {
  const child = spawn(process.execPath, ['--import', 'tsx', AGENT, scriptText(proxy, script)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const facts: object[] = [];
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop()!;
    facts.push(...lines.map((line) => JSON.parse(line) as object));
  });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)));
  const agent = { child, facts, ended };
  agents.push(agent);
  return agent;
}

function scriptText(proxy: ScriptedProxy, script: Omit<AgentScript, 'proxy' | 'directory'>): string {
  return JSON.stringify({ ...script, proxy: proxy.address, directory: kit.directory });
}

/** The agent in a worker thread of this process. */
function startThread(proxy: ScriptedProxy, script: Omit<AgentScript, 'proxy' | 'directory'>): Worker {
  const tsx = createRequire(import.meta.url)
    .resolve('tsx/esm/api')
    .replace(/\.cjs$/, '.mjs');
  const source = `import(${JSON.stringify(tsx)}).then(({ register }) => { register(); return import(${JSON.stringify(`file://${AGENT}`)}); })`;
  return new Worker(source, { eval: true, workerData: scriptText(proxy, script), stdout: true });
}

/** A later life of the agent, in this process, takes over what was left. */
async function drain(proxy: ScriptedProxy): Promise<void> {
  const recorder = await kit.open(proxy, { component: 'agent' });
  await until('what was left has arrived', () => recorder.status().older.lives === 0, 10_000);
  await recorder.close();
}

function livesOf(directory: string): string[] {
  return readdirSync(join(directory, 'agent')).filter((name) => !name.startsWith('.') && !name.endsWith('.corrupt'));
}

function filesOf(directory: string): string[] {
  return livesOf(directory).flatMap((life) => readdirSync(join(directory, 'agent', life)));
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `a${i + 1}`);
}
