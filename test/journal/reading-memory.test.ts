import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { assert } from 'chai';
import { Level } from 'level';
import type { Journal } from '../../core/journal.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { record } from '../support/journal-entries.ts';
import { privateKiB } from '../support/proc.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const TEXT = 'x'.repeat(1000);
const STRETCH_BYTES = 256 * 1024;
const READ_BYTES = 400 * 1024 * 1024;
/** Iterators that keep their last chunk hold all of it; what they need for themselves is about a quarter. */
const GROWTH_MAX_KIB = READ_BYTES / 2 / 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Reads from its tail to its head. Resolves with the bytes. */
async function readAll(journal: Journal): Promise<number> {
  let bytes = 0;
  for (let at = journal.tail('normal'); at < journal.head('normal');) {
    const { entries } = await journal.read('normal', at, STRETCH_BYTES);
    for (const entry of entries) bytes += entry.bytes.length;
    at = entries.at(-1)!.position + 1;
  }
  return bytes;
}

/** Keeps every iterator that `level` makes, as V8 does until it collects. `restore` ends that. */
function keepIterators(): { kept: unknown[]; restore: () => void } {
  const kept: unknown[] = [];
  const made = Level.prototype.iterator;
  Level.prototype.iterator = function (this: Level, ...options: never[]) {
    const iterator: unknown = Reflect.apply(made, this, options);
    kept.push(iterator);
    return iterator;
  } as typeof made;
  return { kept, restore: () => void (Level.prototype.iterator = made) };
}

describe('a journal that is read again and again', () => {
  it('takes no memory for what was read, also before V8 collects an iterator', async function () {
    this.timeout(60_000);
    const { path, remove } = await tempDirectory();
    const { kept, restore } = keepIterators();
    const journal = await LevelJournal.open(path, { clock: new FakeClock(), stamp: { site: 's' }, recentBytes: 0 });
    try {
      for (let i = 0; i < 100; i++) await record(journal, 'normal', ...Array.from({ length: 200 }, (_, n) => `${i}.${n} ${TEXT}`));
      await readAll(journal);
      collect();
      const before = privateKiB(process.pid);
      for (let bytes = 0; bytes < READ_BYTES;) bytes += await readAll(journal);
      collect();
      assert.isAbove(kept.length, READ_BYTES / STRETCH_BYTES / 2);
      assert.isBelow(privateKiB(process.pid) - before, GROWTH_MAX_KIB);
    } finally {
      restore();
      await journal.close();
      await remove();
    }
  });
});
