import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { appendFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { readRecord, type ReceivedEvent } from '../../demo/event-record.ts';
import { Child } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const START = fileURLToPath(new URL('../../demo/start.ts', import.meta.url));
/** What the issue promises for an event of this machine. */
const SEEN_MS = 5000;
/** The pause before the restart, the start, and the recorder's back-off. */
const BACK_MS = 30_000;

describe('npm start', function () {
  this.timeout(60_000);

  let folder: { path: string; remove: () => Promise<void> };
  let program: Child;
  let record: string;
  const children: ChildProcess[] = [];

  before(async () => {
    folder = await tempDirectory();
    record = join(folder.path, 'received.ndjson');
    program = Child.script(START, ['--data', folder.path, '--pause', '1s']);
    await until('it says what can be tried', () => program.stdout.includes('Ctrl-C ends it all'), BACK_MS);
    await seen('agent.Started', undefined, BACK_MS);
  });

  after(async () => {
    await program.kill('SIGTERM');
    for (const child of children) child.kill('SIGKILL');
    await folder.remove();
  });

  /** The event of this type about the object of this name, as soon as the subscriber has written it down. */
  async function seen(type: string, name: string | undefined, limitMs = SEEN_MS): Promise<ReceivedEvent> {
    const find = async (): Promise<ReceivedEvent | undefined> =>
      (await readRecord(record)).find((event) => event.type === type && (name === undefined || event.data.object?.name === name));
    await until(
      `${type} about ${name ?? 'anything'}; the program said: ${program.stdout}${program.stderr}`,
      async () => !!(await find()),
      limitMs,
    );
    return (await find())!;
  }

  function pidOf(name: string): number {
    return Number(new RegExp(`^  ${name} +pid (\\d+)`, 'm').exec(program.stdout)?.[1]);
  }

  it('shows a file of a random name within 5 s, its change, and its end', async () => {
    const name = randomName('file');
    const path = join(folder.path, 'watched', name);
    await writeFile(path, 'x');
    const { data, severitytext } = await seen('file.Added', name);
    assert.equal(data.object?.kind, 'File');
    assert.equal(severitytext, 'info');
    await until('a line for it on stdout', () => program.stdout.includes(name), SEEN_MS);
    assert.notInclude(program.stdout, '\u001b', 'no colours off a terminal');
    await appendFile(path, 'y');
    await seen('file.Changed', name);
    await rm(path);
    await seen('file.Removed', name);
  });

  it('shows a process of a random name within 5 s, and its end', async () => {
    const name = randomName('process'); // longer than the 15 bytes that the kernel keeps of it
    const path = join(folder.path, name);
    await symlink('/bin/sleep', path);
    const child = spawn(path, ['600'], { stdio: 'ignore' });
    children.push(child);
    await once(child, 'spawn');
    await seen('process.Started', name);
    child.kill('SIGKILL');
    await seen('process.Ended', name);
  });

  it('shows a network interface of a random name within 5 s, and its end', async function () {
    const name = `fq${randomBytes(4).toString('hex')}`;
    const added = ['dummy', 'bridge'].some((type) => spawnSync('ip', ['link', 'add', name, 'type', type]).status === 0);
    if (!added) {
      console.log('      skipped: this user or this machine cannot add a network interface (ip link add)');
      this.skip();
    }
    try {
      await seen('net.InterfaceAdded', name);
    } finally {
      spawnSync('ip', ['link', 'delete', name]);
    }
    await seen('net.InterfaceRemoved', name);
  });

  it('goes on recording while the proxy is dead, starts it again, and nothing is missing', async () => {
    const pid = pidOf('proxy');
    process.kill(pid, 'SIGKILL');
    const name = randomName('while-away');
    await writeFile(join(folder.path, 'watched', name), 'x');
    await until('it says that the proxy has ended', () => program.stdout.includes('── the proxy has ended (by SIGKILL)'), SEEN_MS);
    await seen('file.Added', name, BACK_MS);
    await until('it says that nothing is missing', () => program.stdout.includes('── nothing is missing'), BACK_MS);
    const again = Number(/the proxy is back, pid (\d+)/.exec(program.stdout)?.[1]);
    assert.notEqual(again, pid);
  });

  it('ends cleanly on SIGINT, with exit 0 and books that balance', async () => {
    const started = performance.now();
    const pids = ['agent', 'subscriber'].map(pidOf);
    const { code, signal, stdout, stderr } = await program.kill('SIGINT');
    const seconds = (performance.now() - started) / 1000;
    assert.deepEqual([code, signal, stderr], [0, null, ''], stdout);
    assert.isBelow(seconds, 15);
    const books = stdout.slice(stdout.indexOf('Ledger of the agent'));
    assert.match(books, /recorded +settled +spooled/);
    assert.match(books, /writer +lane +accepted/);
    assert.lengthOf(books.match(/^balanced$/gm) ?? [], 2, books);
    assert.notInclude(books, 'DOES NOT BALANCE');
    const record = await recordedAndAdded(books);
    assert.equal(record.added, record.recorded, 'what the agent recorded is what the subscriber can account for');
    for (const pid of pids) assert.isFalse(isThere(pid));
  });

  it('ends cleanly on one Ctrl-C at a terminal, through npm, which sends the signal a second time', async function () {
    if (spawnSync('script', ['--version']).status !== 0) this.skip(); // util-linux
    const other = await tempDirectory();
    // exec, because dash waits for its last command as for any other, and Ctrl-C ends a dash that waits: 130, whatever npm said.
    const command = `exec npm start --silent -- --data ${other.path}`;
    const terminal = spawn('script', ['-qfec', command, '/dev/null'], { cwd: ROOT, stdio: 'pipe' });
    let shown = '';
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
    const ended = new Promise<number | null>((resolve) => terminal.once('close', (code) => resolve(code)));
    try {
      await until('three processes are named', () => (shown.match(/pid \d+/g) ?? []).length >= 3, BACK_MS);
      terminal.stdin.write('\x03');
      assert.equal(await ended, 0, shown);
      assert.include(shown, 'balanced');
      assert.include(shown, 'Ledger of the agent');
    } finally {
      terminal.kill('SIGKILL');
      await other.remove();
    }
  });

  it('survives an echo of the signal that comes when the books are printed already', async () => {
    const other = await tempDirectory();
    const echoed = Child.script(START, ['--data', other.path], { npm_lifecycle_event: 'start' });
    try {
      await until('three processes are named', () => (echoed.stdout.match(/pid \d+/g) ?? []).length >= 3, BACK_MS);
      echoed.process.kill('SIGINT');
      await until('the books are printed', () => echoed.stdout.includes('The subscriber took'), BACK_MS);
      const { code, signal, stdout } = await echoed.kill('SIGINT');
      assert.deepEqual([code, signal], [0, null], stdout);
    } finally {
      await echoed.kill('SIGKILL');
      await other.remove();
    }
  });

  it('leaves no process behind when it is killed itself', async () => {
    const other = await tempDirectory();
    const killed = Child.script(START, ['--data', other.path]);
    const pids = (): number[] => [...killed.stdout.matchAll(/^ {2}\w+ +pid (\d+)/gm)].map(([, pid]) => Number(pid));
    try {
      await until('three processes are named', () => pids().length === 3, BACK_MS);
      await killed.kill('SIGKILL');
      await until('they have ended', () => pids().every((pid) => !isThere(pid)), BACK_MS);
    } finally {
      await killed.kill('SIGKILL');
      await other.remove();
    }
  });

  it('kills what hangs at a second SIGINT', async () => {
    const other = await tempDirectory();
    const hanging = Child.script(START, ['--data', other.path]);
    const pids = (): number[] => [...hanging.stdout.matchAll(/^ {2}\w+ +pid (\d+)/gm)].map(([, pid]) => Number(pid));
    try {
      await until('three processes are named', () => pids().length === 3, BACK_MS);
      const proxy = Number(/^ {2}proxy +pid (\d+)/m.exec(hanging.stdout)?.[1]);
      process.kill(proxy, 'SIGSTOP');
      hanging.process.kill('SIGINT');
      await until('it says that it ends', () => hanging.stdout.includes('── ending'), SEEN_MS);
      const asked = performance.now();
      await until('a later one is no echo of the first', () => performance.now() > asked + 1500, SEEN_MS);
      const { code, signal, stdout, stderr } = await hanging.kill('SIGINT');
      assert.deepEqual([code, signal], [130, null], stdout + stderr);
      await until('they have ended', () => pids().every((pid) => !isThere(pid)), SEEN_MS);
    } finally {
      await hanging.kill('SIGKILL');
      await other.remove();
    }
  });

  /** The agent's own count, and Σ added over the subscriber's record with what open windows held at the end. */
  async function recordedAndAdded(books: string): Promise<{ recorded: number; added: number }> {
    const numbers = /recorded.*\n\s*([\d,]+)/.exec(books)?.[1] ?? '';
    const held = /open windows ([\d,]+)/.exec(books)?.[1] ?? '';
    const known = new Map((await readRecord(record)).map((event) => [event.id, event]));
    const added = [...known.values()].filter(({ source }) => source.endsWith('/agent')).reduce((sum, { data }) => sum + data.added, 0);
    return { recorded: toNumber(numbers), added: added + toNumber(held) };
  }
});

/** A zombie counts as gone: whoever reaps orphans here may take its time. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

function toNumber(text: string): number {
  return Number(text.replaceAll(',', ''));
}

function randomName(what: string): string {
  return `fondaco-${what}-${randomBytes(6).toString('hex')}`;
}
