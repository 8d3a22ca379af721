import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { systemClock } from '../../core/clock.ts';
import type { Delivery } from '../../core/writer.ts';
import { fileSettings } from '../../writers/file-settings.ts';
import { FileWriter } from '../../writers/file.ts';
import { failure } from '../contract/writer-contract.ts';
import { deliveries, eventOf, plainLines } from '../support/deliveries.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const CHILD = fileURLToPath(new URL('../support/file-writer-child.ts', import.meta.url));
const never = new AbortController().signal;

interface Line {
  readonly delivery: { readonly lane: string; readonly seq: number };
}

describe('file writer, faults', () => {
  let folder: string;
  let path: string;
  const cleanups: (() => unknown)[] = [];
  beforeEach(async () => {
    const { path: temporary, remove } = await tempDirectory();
    cleanups.push(remove);
    folder = join(temporary, 'out');
    await mkdir(folder);
    path = join(folder, 'events.ndjson');
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  const open = async (settings: object = {}): Promise<FileWriter> => {
    const writer = await FileWriter.open(fileSettings.parse({ path, ...settings }), { clock: systemClock(), directory: '/' });
    cleanups.push(async () => writer.close());
    return writer;
  };
  const batch = (from: number, to: number): Delivery[] =>
    deliveries(
      plainLines(from, to).map((line, i) => eventOf(line, from + i)),
      { first: from },
    );
  const mountTmpfs = (context: Mocha.Context, options: string): void => {
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'fondaco-test', folder], { encoding: 'utf8' });
    if (mounted.status !== 0) {
      console.warn(`      skipped: it takes root to mount a small tmpfs, got ${mounted.error?.message ?? mounted.stderr.trim()}`);
      context.skip();
    }
    cleanups.push(() => spawnSync('umount', [folder]));
  };
  const remount = (options: string): void => assert.equal(spawnSync('mount', ['-o', `remount,${options}`, folder]).status, 0);
  /** All lines of all files, oldest first; each has to parse. */
  const lines = async (): Promise<Line[]> => {
    const numbers = (await readdir(folder)).filter((name) => name.startsWith('events')).map((name) => Number(name.split('.')[2] ?? 0));
    return numbers
      .sort((a, b) => b - a)
      .flatMap((number) => {
        const text = readFileSync(number === 0 ? path : `${path}.${number}`, 'utf8');
        assert.isTrue(text === '' || text.endsWith('\n'), `${number} ends with a whole line`);
        return text.split('\n').slice(0, -1);
      })
      .map((line) => JSON.parse(line) as Line);
  };

  it('a full disk: UNAVAILABLE, no line of the batch stays, and it goes on when there is room', async function () {
    mountTmpfs(this, 'size=1m');
    const writer = await open();
    const ballast = join(folder, 'ballast');
    await writer.write(batch(1, 100), never);
    await writeFile(ballast, Buffer.alloc(900 * 1024));
    for (let attempt = 0; attempt < 3; attempt++) {
      const error = await failure(writer.write(batch(101, 1100), never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.include(error.message, 'ENOSPC');
      assert.isUndefined(error.facts.unreachable); // a smaller batch may have room
      assert.lengthOf(await lines(), 100);
    }
    await writer.write(batch(101, 101), never);
    await rm(ballast);
    await writer.write(batch(102, 1100), never);
    const seqs = (await lines()).map(({ delivery }) => delivery.seq);
    assert.deepEqual(
      seqs,
      Array.from({ length: 1100 }, (_, i) => i + 1),
    );
  });

  it('a full disk, and no room for another name when it rotates: nothing is lost', async function () {
    mountTmpfs(this, 'size=1m,nr_inodes=4');
    const writer = await open({ rotate: { bytesMax: '4KiB', keep: 1000 } });
    let error;
    let written = 0;
    for (; error === undefined && written < 100; written++) {
      error = await writer.write(batch(written + 1, written + 1), never).then(
        () => undefined,
        (thrown: unknown) => thrown as Error,
      );
    }
    assert.match(error?.message ?? '', /^\[UNAVAILABLE\] .*ENOSPC/);
    assert.lengthOf(await lines(), written - 1);
    remount('nr_inodes=100');
    for (let n = written; n <= 100; n++) await writer.write(batch(n, n), never);
    assert.deepEqual(
      (await lines()).map(({ delivery }) => delivery.seq),
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
  });

  it('a file that somebody cuts in the middle of a line while it is open: that line goes, no other is damaged', async () => {
    const writer = await open();
    await writer.write(batch(1, 3), never);
    await truncate(path, readFileSync(path).length - 30);
    await writer.write(batch(4, 4), never);
    assert.deepEqual(
      (await lines()).map(({ delivery }) => delivery.seq),
      [1, 2, 4],
    );
    await truncate(path, 0);
    await writer.write(batch(5, 6), never);
    await truncate(path, 3); // not a whole beginning of ours
    await writer.write(batch(7, 8), never);
    assert.deepEqual(
      (await lines()).map(({ delivery }) => delivery.seq),
      [7, 8],
    );
  });

  it('a disk that became read-only: REFUSED, and it goes on when it is writable', async function () {
    mountTmpfs(this, 'size=1m');
    let writer = await open();
    await writer.write(batch(1, 2), never);
    await writer.close();
    remount('ro');
    writer = await open();
    const error = await failure(writer.write(batch(3, 4), never));
    assert.equal(error.code, 'REFUSED');
    assert.include(error.message, 'EROFS');
    remount('rw');
    await writer.write(batch(3, 4), never);
    assert.lengthOf(await lines(), 4);
  });

  it('SIGKILL in the middle, ten times over: every line parses, and all that was reported is there', async function () {
    this.timeout(60_000);
    const reported = { urgent: 0, normal: 0 };
    let next = 1;
    for (let kill = 1; kill <= 10; kill++) {
      const child = spawn(process.execPath, ['--import', 'tsx', CHILD, path, String(next), '64KiB', '10000'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
      const ended = new Promise((resolve) => child.once('close', resolve));
      await until('it writes', () => said.split('\n').length > 3 + ((kill * 7) % 30), 20_000);
      child.kill('SIGKILL');
      await ended;
      for (const line of said.split('\n').slice(0, -1)) {
        const [lane, seq] = line.split(' ') as ['urgent' | 'normal', string];
        reported[lane] = Number(seq);
      }
      const mended = await open();
      await mended.write(batch(9_000_000 + kill, 9_000_000 + kill), never); // what opens it next mends its end
      await mended.close();
      const there = await lines();
      for (const lane of ['urgent', 'normal'] as const) {
        const seqs = new Set(there.filter(({ delivery }) => delivery.lane === lane).map(({ delivery }) => delivery.seq));
        for (let seq = next; seq <= reported[lane]; seq++) assert.isTrue(seqs.has(seq), `kill ${kill}: ${lane} ${seq} was reported`);
      }
      next = Math.max(reported.urgent, reported.normal) + 1;
    }
  });
});
