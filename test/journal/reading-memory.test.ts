import { assert } from 'chai';
import type { Journal } from '../../core/journal.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { record } from '../support/journal-entries.ts';
import { privateKiB } from '../support/proc.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const TEXT = 'x'.repeat(1000);
const STRETCH_BYTES = 256 * 1024;
const READ_BYTES = 800 * 1024 * 1024;
/** Nobody needs more than a few stretches at a time; V8 takes its time to collect them. */
const GROWTH_MAX_KIB = 120 * 1024;

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

describe('a journal that is read again and again', () => {
  it('takes no memory for what was read', async function () {
    this.timeout(60_000);
    const { path, remove } = await tempDirectory();
    const journal = await LevelJournal.open(path, { clock: new FakeClock(), stamp: { site: 's' }, recentBytes: 0 });
    try {
      for (let i = 0; i < 100; i++) await record(journal, 'normal', ...Array.from({ length: 200 }, (_, n) => `${i}.${n} ${TEXT}`));
      let bytes = await readAll(journal);
      const before = privateKiB(process.pid);
      while (bytes < READ_BYTES) bytes += await readAll(journal);
      assert.isBelow(privateKiB(process.pid) - before, GROWTH_MAX_KIB);
    } finally {
      await journal.close();
      await remove();
    }
  });
});
