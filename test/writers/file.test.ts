import { execFileSync } from 'node:child_process';
import { constants, closeSync, existsSync, openSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { appendFile, mkdir, readdir, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { open as openFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import type { z } from 'zod';
import { systemClock } from '../../core/clock.ts';
import type { Delivery } from '../../core/writer.ts';
import { fileProbe, fileSettings, ownFile } from '../../writers/file-settings.ts';
import { FileWriter } from '../../writers/file.ts';
import { failure, writerContract } from '../contract/writer-contract.ts';
import { deliveries, eventOf, plainLines } from '../support/deliveries.ts';
import { fromNative } from '../support/received.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const never = new AbortController().signal;
let wall = Date.now();
const clock = { ...systemClock(), now: () => wall };

function batch(from: number, to: number, lane: 'urgent' | 'normal' = 'normal'): Delivery[] {
  return deliveries(
    plainLines(from, to).map((line, i) => eventOf(line, from + i)),
    { first: from, lane },
  );
}

/** Every thread that file operations have is kept waiting, as by a disk that hangs. */
function hangDisk(folder: string): () => Promise<void> {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const waiting: Promise<FileHandle>[] = [];
  for (let i = 0; i < Number(process.env.UV_THREADPOOL_SIZE ?? 4); i++) waiting.push(openFile(pipe, 'r'));
  return async () => {
    const other = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    for (const handle of await Promise.all(waiting)) await handle.close();
    closeSync(other);
  };
}

class Folder {
  readonly path: string;
  readonly remove: () => Promise<void>;
  goOn: (() => Promise<void>) | undefined;

  static async open(): Promise<Folder> {
    return new Folder(await tempDirectory());
  }

  private constructor({ path, remove }: { path: string; remove: () => Promise<void> }) {
    this.path = path;
    this.remove = remove;
  }

  get file(): string {
    return join(this.path, 'events.ndjson');
  }

  get lines(): string[] {
    return existsSync(this.file) ? readFileSync(this.file, 'utf8').split('\n').slice(0, -1) : [];
  }

  async close(): Promise<void> {
    await this.goOn?.();
    await this.remove();
  }
}

writerContract('file', {
  open: async () => Folder.open(),
  openWriter: async ({ file: path }) => FileWriter.open(fileSettings.parse({ path }), { clock, directory: '/' }),
  payloads: ({ lines }) => lines,
  received: ({ lines }) => lines.map(fromNative),
  hang: async (folder) => {
    folder.goOn = hangDisk(folder.path);
  },
  recover: async (folder) => {
    await folder.goOn?.();
    folder.goOn = undefined;
  },
  close: async (folder) => folder.close(),
});

describe('file writer', () => {
  let folder: string;
  let path: string;
  let remove: () => Promise<void>;
  let writer: FileWriter;
  beforeEach(async () => {
    wall = Date.now();
    ({ path: folder, remove } = await tempDirectory());
    path = join(folder, 'events.ndjson');
    writer = await open({});
  });
  afterEach(async () => {
    await writer.close();
    await remove();
  });

  const open = async (settings: Partial<z.input<typeof fileSettings>>): Promise<FileWriter> =>
    FileWriter.open(fileSettings.parse({ path: 'events.ndjson', ...settings }), { clock, directory: folder });
  const seqs = (file = path): number[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => fromNative(line).seq);
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const write = async (from: number, to: number): Promise<void> => writer.write(batch(from, to), never);

  it('makes the file with its permissions, whatever the umask', async () => {
    const umask = process.umask(0o077);
    try {
      await write(1, 2);
      const other = await open({ path: 'other', mode: '0644' });
      await other.write(batch(1, 1), never);
      await other.close();
    } finally {
      process.umask(umask);
    }
    assert.equal(statSync(path).mode & 0o777, 0o640);
    assert.equal(statSync(join(folder, 'other')).mode & 0o777, 0o644);
  });

  it('goes on at the end of what is there', async () => {
    await write(1, 2);
    await writer.close();
    writer = await open({});
    await write(3, 4);
    assert.deepEqual(seqs(), range(1, 4));
  });

  it('writes whole lines, whichever lane they are of', async () => {
    await Promise.all(
      range(1, 40).map(async (n) =>
        writer.write(batch(n * 10, n * 10 + 9, n % 2 === 0 ? 'urgent' : 'normal'), new AbortController().signal),
      ),
    );
    assert.sameMembers(seqs(), range(10, 409));
  });

  describe('an end without a line feed', () => {
    const rows: [what: string, end: string | Buffer, left: string][] = [
      ['the beginning of a line of ours', '{"id":"0199e0c4-7b1e-7000-8000-000000000001-3","ty', ''],
      ['the first characters of one', '{"i', ''],
      ['a whole one but for its line feed', '{"id":"x","type":"a.B"}', ''],
      ['something else', 'not ours', 'not ours\n'],
      ['what a disk left empty', Buffer.alloc(10), '\0'.repeat(10) + '\n'],
      ['more than a line can be', '{"id":"' + 'x'.repeat(1024 * 1024), '{"id":"' + 'x'.repeat(1024 * 1024) + '\n'],
    ];
    for (const [what, end, left] of rows) {
      it(`${what}: ${left === '' ? 'is cut off, it comes again' : 'gets one of its own'}`, async () => {
        await write(1, 2);
        await writer.close();
        await appendFile(path, end);
        writer = await open({});
        await write(3, 4);
        const [first, second, ...rest] = readFileSync(path, 'utf8').split(/(?<=\n)/);
        assert.deepEqual(
          [first, second].map((line) => fromNative(line!).seq),
          [1, 2],
        );
        if (left !== '') assert.equal(rest.shift(), left);
        assert.deepEqual(
          rest.map((line) => fromNative(line).seq),
          [3, 4],
        );
      });
    }

    it('is all that there is', async () => {
      await writeFile(path, '{"id":"abc');
      await write(1, 1);
      assert.deepEqual(seqs(), [1]);
    });
  });

  describe('somebody else', () => {
    it('renames the file (logrotate): a new one is made', async () => {
      await write(1, 2);
      await rename(path, `${path}-20261122`);
      await write(3, 4);
      assert.deepEqual(seqs(`${path}-20261122`), [1, 2]);
      assert.deepEqual(seqs(), [3, 4]);
    });

    it('renames it and puts another in its place: that one is used', async () => {
      await write(1, 2);
      await rename(path, `${path}.old`);
      await writeFile(path, '', { mode: 0o600 });
      await write(3, 4);
      assert.deepEqual(seqs(), [3, 4]);
    });

    it('empties it (copytruncate): it goes on at its new end, without a hole', async () => {
      await write(1, 200);
      await truncate(path);
      await write(201, 202);
      assert.deepEqual(seqs(), [201, 202]);
    });

    it('deletes it: a new one is made', async () => {
      await write(1, 2);
      await rm(path);
      await write(3, 4);
      assert.deepEqual(seqs(), [3, 4]);
    });

    it('deletes or empties it all the time: what a write reports as taken was in a file then', async () => {
      let isOver = false;
      const nuisance = (async () => {
        for (let i = 0; !isOver; i++) await (i % 2 === 0 ? rm(path, { force: true }) : truncate(path).catch(() => undefined));
      })();
      for (let n = 1; n <= 100; n++) {
        const error = await writer.write(batch(n, n), never).then(
          () => undefined,
          (thrown: unknown) => thrown as Error,
        );
        if (error) assert.match(error.message, /^\[UNAVAILABLE\] .*events\.ndjson must stay/);
      }
      isOver = true;
      await nuisance;
    });

    it('takes the directory away: REFUSED, and it goes on when it is back', async () => {
      await write(1, 2);
      await rename(folder, `${folder}-away`);
      try {
        const error = await failure(write(3, 4));
        assert.equal(error.code, 'REFUSED');
        assert.include(error.message, 'events.ndjson must be writable, got ENOENT');
      } finally {
        await rename(`${folder}-away`, folder);
      }
      await write(3, 4);
      assert.deepEqual(seqs(), range(1, 4));
    });
  });

  describe('table of faults', () => {
    const rows: [what: string, words: RegExp, spoil: () => Promise<unknown>][] = [
      ['a directory', /must be writable, got EISDIR/, async () => mkdir(path)],
      ['a link', /must be a file itself, got a symbolic link/, async () => symlinkSync('/dev/null', path)],
      ['a pipe', /must be a regular file/, async () => execFileSync('mkfifo', [path])],
      [
        'below a file',
        /must be writable, got ENOTDIR/,
        async () => {
          await writeFile(join(folder, 'file'), '');
          writer = await open({ path: 'file/events.ndjson' });
        },
      ],
      ['in no directory', /must be writable, got ENOENT/, async () => (writer = await open({ path: 'none/events.ndjson' }))],
      ['a name that is too long', /must be writable, got ENAMETOOLONG/, async () => (writer = await open({ path: 'x'.repeat(300) }))],
    ];
    for (const [what, words, spoil] of rows) {
      it(`${what}: REFUSED`, async () => {
        await spoil();
        for (let i = 0; i < 2; i++) {
          const error = await failure(write(1, 2));
          assert.equal(error.code, 'REFUSED');
          assert.match(error.message, words);
        }
      });
    }

    it('no permission: REFUSED, and it goes on when it has it', async function () {
      const isRoot = process.geteuid?.() === 0;
      if (isRoot)
        process.seteuid!(65534); // the folder is root's own
      else await rm(folder, { recursive: true }).then(async () => mkdir(folder, { mode: 0o500 }));
      let error;
      try {
        error = await failure(write(1, 2));
      } finally {
        if (isRoot) process.seteuid!(0);
        else execFileSync('chmod', ['700', folder]);
      }
      assert.equal(error.code, 'REFUSED');
      assert.include(error.message, 'EACCES');
      await write(1, 2);
      assert.deepEqual(seqs(), [1, 2]);
    });

    it('is told to who checks the config', async () => {
      const probe = async (file: string): Promise<string> =>
        (await fileProbe(fileSettings.parse({ path: file }), folder)).map(({ key, message }) => `${key.join('.')} ${message}`).join();
      assert.equal(await probe('events.ndjson'), '');
      assert.match(await probe('none/events.ndjson'), /^path must be in a directory that is there, .*none is not: make it$/);
      await mkdir(path);
      assert.match(await probe('events.ndjson'), /^path must be a regular file, .*events\.ndjson is none/);
    });
  });

  describe('rotation', () => {
    it('keeps numbered files, the newest first, none over its size, and deletes the oldest', async () => {
      writer = await open({ rotate: { bytesMax: '4KiB', keep: 3 } });
      for (let n = 1; n <= 60; n++) await write(n, n);
      const files = ['.3', '.2', '.1', ''].map((ending) => path + ending);
      assert.sameMembers(await readdir(folder), ['events.ndjson', 'events.ndjson.1', 'events.ndjson.2', 'events.ndjson.3']);
      for (const file of files) assert.isAtMost((await stat(file)).size, 4096);
      const kept = files.flatMap((file) => seqs(file));
      assert.deepEqual(kept, range(60 - kept.length + 1, 60));
    });

    it('gives a batch that is larger than a file one of its own', async () => {
      writer = await open({ rotate: { bytesMax: '1KiB', keep: 3 } });
      await write(1, 50);
      await write(51, 100);
      assert.deepEqual([seqs(`${path}.1`), seqs()], [range(1, 50), range(51, 100)]);
    });

    it('begins a new file with each span of time, and not when the clock goes back', async () => {
      writer = await open({ rotate: { interval: '1d', keep: 5 } });
      await write(1, 1);
      await write(2, 2);
      wall += 86_400_000;
      await write(3, 3);
      await utimes(path, wall / 1000, wall / 1000); // as if its disk had that clock, too
      await write(4, 4);
      await utimes(path, wall / 1000, wall / 1000);
      wall -= 10 * 86_400_000;
      await write(5, 5);
      assert.deepEqual(
        [seqs(`${path}.1`), seqs()],
        [
          [1, 2],
          [3, 4, 5],
        ],
      );
    });

    it('rotates after a restart what was written in the span before', async () => {
      await writeFile(path, 'from yesterday\n');
      await utimes(path, wall / 1000 - 86_400, wall / 1000 - 86_400);
      writer = await open({ rotate: { interval: '1d', keep: 5 } });
      await write(1, 1);
      assert.equal(readFileSync(`${path}.1`, 'utf8'), 'from yesterday\n');
      assert.deepEqual(seqs(), [1]);
    });

    it('closes a gap that a crash between two renames left, and loses nothing', async () => {
      writer = await open({ rotate: { bytesMax: '1KiB', keep: 5 } });
      await writeFile(path, 'current\n'.repeat(100));
      await writeFile(`${path}.1`, 'one');
      await writeFile(`${path}.3`, 'three'); // 2 became 3, then the crash
      await write(1, 1);
      const text = (n: number): string => readFileSync(`${path}.${n}`, 'utf8').slice(0, 7);
      assert.deepEqual([1, 2, 3].map(text), ['current', 'one', 'three']);
    });

    it('touches no file of a like name', async () => {
      const others = ['.20261122', '.bak', '.01', '.1.gz', '-1', '.3x'];
      for (const ending of others) await writeFile(path + ending, ending);
      writer = await open({ rotate: { bytesMax: '1KiB', keep: 2 } });
      for (let n = 1; n <= 30; n++) await write(n, n);
      for (const ending of others) assert.equal(readFileSync(path + ending, 'utf8'), ending);
      assert.lengthOf(await readdir(folder), others.length + 3);
    });

    it('keeps fewer when it is told to', async () => {
      for (let n = 1; n <= 9; n++) await writeFile(`${path}.${n}`, `${n}`);
      await writeFile(path, 'x'.repeat(2000) + '\n');
      writer = await open({ rotate: { bytesMax: '1KiB', keep: 2 } });
      await write(1, 1);
      assert.sameMembers(await readdir(folder), ['events.ndjson', 'events.ndjson.1', 'events.ndjson.2']);
      assert.equal(readFileSync(`${path}.2`, 'utf8'), '1');
    });

    it('is REFUSED while a directory stands in its way, and writes nothing', async () => {
      writer = await open({ rotate: { bytesMax: '1KiB', keep: 1 } });
      await write(1, 5);
      await mkdir(`${path}.1`);
      assert.equal((await failure(write(6, 10))).code, 'REFUSED');
      await rm(`${path}.1`, { recursive: true });
      await write(6, 10);
      assert.deepEqual([seqs(`${path}.1`), seqs()], [range(1, 5), range(6, 10)]);
    });
  });

  it('is one file to the config, whatever it is called', async () => {
    symlinkSync(folder, `${folder}-link`);
    try {
      const own = (file: string): string => ownFile(fileSettings.parse({ path: file }), folder);
      assert.equal(own('events.ndjson'), own(join(`${folder}-link`, 'x', '..', 'events.ndjson')));
      assert.equal(own('events.ndjson'), own('./events.ndjson.1')); // that one is rotated over it
      assert.notEqual(own('events.ndjson'), own('events2.ndjson'));
    } finally {
      await rm(`${folder}-link`);
    }
  });
});
