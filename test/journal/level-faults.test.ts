import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdir, open as openFile, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { assert } from 'chai';
import { isFondacoError } from '../../core/errors.ts';
import type { Journal } from '../../core/journal.ts';
import { LANES, perLane, type Lane } from '../../core/lane.ts';
import { tableBlocks } from '../../journal/level-tables.ts';
import { LevelJournal, type LevelJournalOptions } from '../../journal/level-journal.ts';
import { eventually, FakeClock } from '../support/fake-clock.ts';
import { readLane, record, textsOf } from '../support/journal-entries.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const CHILD = new URL('../support/journal-child.ts', import.meta.url);

describe('LevelJournal, guarded', () => {
  let directory: string;
  let remove: () => Promise<void>;
  let clock: FakeClock;
  const children: ChildProcess[] = [];
  const cleanups: (() => Promise<void> | void)[] = [];

  const open = (options: Partial<LevelJournalOptions> = {}, at = directory): Promise<Journal> =>
    LevelJournal.open(at, { clock, stamp: { site: 's' }, ...options });
  /** The child, once it has said that it holds the journal. */
  const startChild = async (what: string): Promise<{ child: ChildProcess; lines: AsyncIterator<string> }> => {
    const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(CHILD), what, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'open');
    return { child, lines };
  };

  beforeEach(async () => {
    const temp = await tempDirectory();
    directory = join(temp.path, 'journal');
    remove = temp.remove;
    clock = new FakeClock();
  });

  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child);
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    await remove();
  });

  describe('its lock', function () {
    this.timeout(20_000);

    it('refuses a second opening in the same process, naming the holder, until the first has closed', async () => {
      const journal = await open({ holder: 'proxy of plant-7' });
      const error = await errorOf(open());
      assert.equal(error.message, `[UNAVAILABLE] directory ${directory} must be free, it is held by proxy of plant-7`);
      await record(journal, 'normal', 'a');
      await journal.close();
      const next = await open();
      assert.deepEqual(textsOf((await readLane(next, 'normal')).entries), ['a']);
      await next.close();
    });

    it('is held until the last write is done, however often close is called', async () => {
      for (let round = 0; round < 5; round++) {
        const journal = await open();
        let isWritten = false;
        const write = record(journal, 'normal', 'x'.repeat(1 << 16)).then(() => (isWritten = true));
        void journal.close();
        void journal.close();
        const early = await open().then(
          (next) => ({ next, wasWritten: isWritten }),
          (error: unknown) => error,
        );
        if (early instanceof Error) assert.include(early.message, 'must be free', 'our lock, not that of LevelDB');
        else {
          const { next, wasWritten } = early as { next: Journal; wasWritten: boolean };
          assert.isTrue(wasWritten);
          await next.close();
        }
        await write;
        await journal.close();
      }
    });

    it('refuses through a symbolic link', async () => {
      const journal = await open();
      const link = `${directory}-link`;
      await symlink(directory, link);
      assert.match(
        (await errorOf(open({}, link))).message,
        new RegExp(`^\\[UNAVAILABLE\\] directory ${link} must be free, it is held by process ${process.pid}$`),
      );
      await journal.close();
    });

    it('refuses another thread and another process, which do it no harm', async () => {
      const journal = await open({ holder: 'the test' });
      // Node 20 has no way to say --import to a worker alone.
      const code = `import('tsx/esm/api').then((tsx) => { tsx.register(); return import(${JSON.stringify(CHILD.href)}); })`;
      const worker = new Worker(code, { eval: true, argv: ['try', directory] });
      const said = (await once(worker, 'message')) as [string];
      assert.equal(said[0], `[UNAVAILABLE] directory ${directory} must be free, it is held by the test`);
      await worker.terminate();
      const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', fileURLToPath(CHILD), 'try', directory], { encoding: 'utf8' });
      assert.equal(stdout, `${said[0]}\n`);
      assert.deepEqual(await record(journal, 'normal', 'a'), [1]);
      await journal.close();
    });

    it('is held by a stopped process, and free the moment it is killed', async () => {
      const { child } = await startChild('hold');
      child.kill('SIGSTOP');
      assert.equal((await errorOf(open())).message, `[UNAVAILABLE] directory ${directory} must be free, it is held by the hold child`);
      await kill(child);
      await (await open()).close();
    });

    it('is given back when the store does not open', async () => {
      await mkdir(directory);
      await writeFile(join(directory, 'db'), 'not a directory');
      for (let attempt = 0; attempt < 2; attempt++) {
        assert.match((await errorOf(open())).message, /^\[UNAVAILABLE\] the store .*db must open, got ./);
      }
    });
  });

  describe('its directory', () => {
    it('is made, with those above it', async () => {
      const deep = join(directory, 'a', 'b');
      await (await open({ holder: 'somebody' }, deep)).close();
      assert.equal(await readFile(join(deep, 'holder'), 'utf8'), 'somebody\n');
    });

    it('is CONFIG when it is a file, or below one', async () => {
      await writeFile(directory, '');
      for (const path of [directory, join(directory, 'below')]) {
        assert.match((await errorOf(open({}, path))).message, new RegExp(`^\\[CONFIG\\] directory ${path} must be usable, got .`));
      }
    });

    it('is CONFIG when it cannot be written, and left unlocked', async function () {
      await mountTmpfs(this, 'size=1m');
      run('mount', '-o', 'remount,ro', directory);
      for (let attempt = 0; attempt < 2; attempt++) {
        assert.match((await errorOf(open())).message, /^\[CONFIG\] directory .* must be writable, got EROFS/);
      }
    });
  });

  it('rejects FULL, not CONFIG, where there is no room even for the name of its holder', async function () {
    await mountTmpfs(this, 'nr_inodes=1');
    assert.match((await errorOf(open())).message, /^\[FULL\] .* no space left/i);
  });

  it('rejects FULL on a full disk, keeps what it acknowledged, and comes back by itself when there is room', async function () {
    this.timeout(30_000);
    await mountTmpfs(this, 'size=6m');
    const ballast = join(directory, 'ballast');
    await writeFile(ballast, Buffer.alloc(3 << 20));
    const journal = await open({ writeBufferBytes: 64 * 1024 });
    cleanups.push(() => journal.close());
    const acknowledged: string[] = [];
    const fill = async (): Promise<unknown> => {
      for (let at = 0; at < 1000; at++) {
        const text = `${acknowledged.length} ${'x'.repeat(32 * 1024)}`;
        try {
          await record(journal, 'normal', text);
          acknowledged.push(text);
        } catch (error) {
          return error;
        }
      }
      return undefined;
    };
    assert.isTrue(isFondacoError(await fill(), 'FULL'), 'the disk is full');
    assert.isAbove(acknowledged.length, 10);
    for (let waited = 0; waited < 5; waited++) await clock.advance(5000); // still no room: whatever it does, it loses nothing
    await writeFile(ballast, '');
    await eventually(() => (wake(clock), journal.isOpen), 'the journal is open again', 10_000);
    const [position] = await record(journal, 'normal', 'after');
    const { entries, holes } = await readLane(journal, 'normal', { bytesMax: 1 << 18 });
    assert.deepEqual(holes, []);
    const texts = textsOf(entries);
    assert.isTrue(
      acknowledged.every((text, at) => texts[at] === text),
      'all that was acknowledged, in order',
    );
    assert.isAtMost(texts.length, acknowledged.length + 2, 'and at most what was in flight besides');
    assert.equal(entries.at(-1)?.position, position);
  });

  it('on a full disk reopens out of its reserve, takes what frees room, and takes the reserve again when there is room', async function () {
    this.timeout(60_000);
    await mountTmpfs(this, 'size=24m');
    const ballast = join(directory, 'ballast');
    const problems: string[] = [];
    const journal = await open({
      recentBytes: 0,
      writeBufferBytes: 1 << 20,
      reserveBytes: 4 << 20,
      onProblem: (problem) => problems.push(problem.code),
    });
    assert.isFalse(journal.isLow);
    const text = 'x'.repeat(60_000);
    const texts: string[] = [];
    const put = async (): Promise<void> => void texts.push(...(await record(journal, 'normal', text).then((at) => at.map(String))));
    for (let at = 0; at < 120; at++) await put();
    await fillUp(ballast);
    await untilRejected(put);
    await eventually(() => (wake(clock), journal.isOpen), 'the journal is open again, on the full disk', 10_000);
    assert.isTrue(journal.isLow);
    assert.include(problems, 'FULL');
    await journal.commit((draft) => draft.put('f:ops', () => ({ cursor: 100 })));
    await journal.trim('normal', 100);
    await journal.compact();
    await eventually(() => (wake(clock), !journal.isLow), 'the reserve is taken again, out of the room that was freed', 10_000);
    const again = await record(journal, 'normal', 'after');
    const { entries, holes } = await readLane(journal, 'normal', { from: 100 });
    assert.deepEqual([holes, entries.at(-1)?.position, entries.at(-1)?.bytes.toString()], [[], again[0], 'after']);
    await journal.close();
  });

  it('opens on a disk that was full before it started, out of the reserve that a former life left', async function () {
    this.timeout(60_000);
    await mountTmpfs(this, 'size=16m');
    const options = { writeBufferBytes: 1 << 20, reserveBytes: 4 << 20 };
    const journal = await open(options);
    for (let at = 0; at < 30; at++) await record(journal, 'normal', 'x'.repeat(30_000));
    await journal.close();
    await fillUp(join(directory, 'ballast'));
    const again = await open(options);
    assert.deepEqual([again.isLow, again.head('normal')], [true, 31]);
    await writeFile(join(directory, 'ballast'), '');
    await eventually(() => (wake(clock), !again.isLow), 'there is room again', 10_000);
    await again.close();
  });

  it('opens after any byte of any file was flipped, gives nothing that is false, and says what it put right', async function () {
    this.timeout(120_000);
    const journal = await open({ writeBufferBytes: 1 << 16 });
    const texts = Array.from({ length: 1600 }, (_, at) => `${at + 1} ${'x'.repeat(100)}`);
    for (let at = 0; at < texts.length; at += 8) {
      await record(journal, 'normal', ...texts.slice(at, at + 8));
      await journal.commit((draft) => draft.put('f:ops', () => ({ cursor: at + 9 })));
    }
    const { id } = journal;
    await journal.close();
    const files = (await readdir(join(directory, 'db'))).filter((name) => !name.startsWith('LO')).sort();
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(directory, 'db', name))).size));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const outcomes = { whole: 0, holes: 0, salvaged: 0 };
    const copy = `${directory}-copy`;
    const FLIPS = 60;
    for (let flip = 0; flip < FLIPS; flip++) {
      // Spread over all bytes of all files, and over the small files that a database hangs on.
      const all = Math.floor((total * flip) / FLIPS);
      const small = files.findIndex((name) => name === 'CURRENT');
      const chosen =
        flip % 8 === 0 ? small : sizes.findIndex((_, file) => sizes.slice(0, file + 1).reduce((sum, size) => sum + size, 0) > all);
      const name = flip % 8 === 1 ? files.find((file) => file.startsWith('MANIFEST'))! : files[chosen]!;
      const at = (all + flip * 7) % sizes[files.indexOf(name)]!;
      await rm(copy, { recursive: true, force: true });
      await cp(directory, copy, { recursive: true });
      const bytes = await readFile(join(copy, 'db', name));
      bytes[at]! ^= 1 << (flip % 8);
      await writeFile(join(copy, 'db', name), bytes);
      const what = `bit ${flip % 8} of byte ${at} of ${name}`;

      const found = await open({ recentBytes: 0 }, copy);
      assert.equal(found.id, id, what);
      const { entries, holes } = await readLane(found, 'normal');
      for (const entry of entries) assert.equal(entry.bytes.toString(), texts[entry.position - 1], what);
      const missing = holes.reduce((sum, hole) => sum + hole.to - hole.from, 0);
      assert.equal(entries.length + missing, found.head('normal') - 1, what);
      if (found.head('normal') <= texts.length) assert.isNotEmpty(found.salvaged, `${what}: a lost tail is said`);
      const row = (await found.row('f:ops').catch(() => undefined)) as { cursor: number } | undefined;
      if (row) assert.isTrue(row.cursor % 8 === 1 && row.cursor <= texts.length + 1, what);
      const [position] = await record(found, 'normal', 'more');
      assert.equal((await readLane(found, 'normal', { from: position! })).entries.at(-1)?.bytes.toString(), 'more', what);
      if (found.salvaged.length > 0) outcomes.salvaged++;
      else if (missing > 0) outcomes.holes++;
      else outcomes.whole++;
      await found.close();
    }
    assert.isTrue(outcomes.salvaged > 5 && outcomes.holes > 5, `the flips must have done damage, got ${JSON.stringify(outcomes)}`);
  });

  it('sets a table aside that LevelDB would follow out of its blocks, at every block of it, and goes on with the rest', async function () {
    this.timeout(60_000);
    const journal = await open({ writeBufferBytes: 1 << 16 });
    for (let at = 0; at < 60; at++)
      await record(journal, 'normal', ...Array.from({ length: 8 }, (_, i) => `${8 * at + i + 1} ${'x'.repeat(200)}`));
    await journal.close();
    const table = (await readdir(join(directory, 'db'))).find((name) => name.endsWith('.ldb'))!;
    for (const { offset, size } of tableBlocks(join(directory, 'db', table))) {
      const copy = `${directory}-${offset}`;
      await cp(directory, copy, { recursive: true });
      const file = await openFile(join(copy, 'db', table), 'r+');
      await file.write(Buffer.from([0x40]), 0, 1, offset + size - 5); // the highest byte of the last restart
      await file.close();
      const found = await open({ recentBytes: 0 }, copy);
      assert.match(found.salvaged.join(), /repaired/);
      const { entries, holes } = await readLane(found, 'normal');
      for (const entry of entries) assert.equal(entry.bytes.toString(), `${entry.position} ${'x'.repeat(200)}`);
      assert.equal(entries.length + holes.reduce((sum, hole) => sum + hole.to - hole.from, 0), 480);
      assert.include(await readdir(join(copy, 'db.corrupt-1')), table);
      await found.close();
    }
  });

  it('repairs a database that says of itself, while it runs, that it is damaged, and sets the evidence aside', async function () {
    this.timeout(30_000);
    const journal = await open({ writeBufferBytes: 1 << 16, recentBytes: 0 });
    for (let at = 0; at < 100; at++) {
      await record(journal, 'normal', ...Array.from({ length: 8 }, () => 'x'.repeat(100)));
      await journal.commit((draft) => draft.put(`s:${at}`, () => at));
    }
    const tables = (await readdir(join(directory, 'db'))).filter((name) => name.endsWith('.ldb'));
    for (const table of tables) {
      const path = join(directory, 'db', table);
      const file = await openFile(path, 'r+'); // in place: LevelDB has it mapped
      for (const { offset, size } of tableBlocks(path)) await file.write(Buffer.from([7]), 0, 1, offset + size); // no such type of a block
      await file.close();
    }
    for (let at = 0; at < 100; at++) await journal.snapshot(['s:']);
    await eventually(() => (wake(clock), journal.isOpen), 'open again', 10_000);
    await record(journal, 'normal', 'after');
    const { entries, holes } = await readLane(journal, 'normal');
    assert.equal(entries.at(-1)?.bytes.toString(), 'after');
    assert.equal(entries.length + holes.reduce((sum, hole) => sum + hole.to - hole.from, 0), journal.head('normal') - 1);
    assert.match(journal.salvaged.join(), /the database was repaired; what was given up for that is in .*db\.corrupt-1/);
    await journal.close();
    assert.include(await readdir(directory), 'db.corrupt-1');
  });

  it('has everything that a process had reported durable when it was killed, in order, ten times over', async function () {
    this.timeout(60_000);
    const reported = perLane(() => new Map<number, string>());
    for (let life = 1; life <= 10; life++) {
      const { child, lines } = await startChild('write');
      // Killed in the middle of things: after so many lines, whatever it is doing then. What it said before that, it has said.
      const until = 1 + Math.floor(Math.random() * 3000);
      let heard = 0;
      for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
        const [lane, position, text] = line.value.split(' ') as [Lane, string, string];
        assert.isFalse(reported[lane].has(Number(position)), 'a position is given once');
        reported[lane].set(Number(position), text);
        if (++heard === until) child.kill('SIGKILL');
      }
      assert.isAtLeast(heard, until);
      await kill(child);

      const journal = await open({ recentBytes: 0 });
      for (const lane of LANES) {
        const { entries, holes } = await readLane(journal, lane);
        assert.deepEqual(holes, [], `life ${life}`);
        const found = textsOf(entries);
        for (const [position, text] of reported[lane]) assert.equal(found[position - 1], text, `life ${life}, ${lane}/${position}`);
        assert.equal(new Set(found).size, found.length, 'nothing twice');
        assert.equal((await journal.row(`s:${lane}`)) ?? 0, journal.head(lane) - 1, 'row and entries are of one commit');
      }
      await journal.close();
    }
  });

  /** A small file system at `directory`, for root; skips the test where that may not be. */
  const mountTmpfs = async (context: Mocha.Context, options: string): Promise<void> => {
    await mkdir(directory);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'fondaco-test', directory], { encoding: 'utf8' });
    if (mounted.status !== 0) {
      console.warn(`      skipped: it takes root to mount a small tmpfs, got ${mounted.error?.message ?? mounted.stderr.trim()}`);
      context.skip();
    }
    cleanups.unshift(() => run('umount', directory));
  };
});

/** Writes until nothing more fits. */
async function fillUp(file: string): Promise<void> {
  for (const bytes of [1 << 20, 1 << 12]) {
    try {
      for (;;) await appendFile(file, Buffer.alloc(bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}

async function untilRejected(action: () => Promise<void>): Promise<void> {
  for (let at = 0; at < 1000; at++) {
    try {
      await action();
    } catch (error) {
      assert.isTrue(isFondacoError(error, 'FULL'), String(error));
      return;
    }
  }
  assert.fail('it must be full at some time');
}

/** Fires the sleeper that is next, if any. */
function wake(clock: FakeClock): void {
  if (clock.nextMs !== undefined) void clock.advance(clock.nextMs);
}

function run(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function errorOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('expected a rejection');
}
