import { assert } from 'chai';
import { FondacoError, isFondacoError, type ErrorCode } from '../../core/errors.ts';
import type { Journal } from '../../core/journal.ts';
import { DiskJournal, type JournalOptions } from '../../journal/disk-journal.ts';
import { MemoryJournal, MemoryStorage, type WriteFate } from '../../journal/memory-journal.ts';
import { encodeRecord } from '../../journal/row-record.ts';
import { eventually, FakeClock, settle } from '../support/fake-clock.ts';
import { append, readLane, record, textsOf } from '../support/journal-entries.ts';

describe('a journal on a disk that fails', () => {
  let storage: MemoryStorage;
  let clock: FakeClock;
  let journal: Journal;
  let problems: string[];

  const open = (options: Partial<JournalOptions> = {}): Promise<Journal> =>
    MemoryJournal.open({ clock, stamp: { site: 's' }, storage, onProblem: (problem) => problems.push(problem.message), ...options });

  /** The fates of the next writes; then all are taken. */
  const nextWrites = (...fates: WriteFate[]): void => {
    storage.fate = () => fates.shift() ?? 'taken';
  };

  beforeEach(async () => {
    storage = new MemoryStorage();
    clock = new FakeClock();
    problems = [];
    journal = await open();
  });

  it('never has two writes in flight', async () => {
    let inFlight = 0;
    let most = 0;
    storage.delay = async () => {
      most = Math.max(most, ++inFlight);
      await settle(3);
      inFlight--;
    };
    journal.onCommit(() => void (journal.head('normal') < 20 && record(journal, 'normal', 'by a listener')));
    for (let round = 0; round < 5; round++) {
      await Promise.all([
        record(journal, 'normal', 'a'),
        journal.commit(() => 'nothing'),
        record(journal, 'urgent', 'b'),
        record(journal, 'normal', 'c'),
      ]);
    }
    await journal.trim('normal', 3);
    await journal.close();
    assert.equal(most, 1);
  });

  it('writes fifty commits of one moment in two', async () => {
    const before = storage.writes;
    await Promise.all(Array.from({ length: 50 }, (_, at) => record(journal, 'normal', `e${at}`)));
    assert.equal(storage.writes - before, 2);
  });

  it('answers nothing while the write hangs', async () => {
    nextWrites('hangs');
    let answers = 0;
    const count = (): void => void answers++;
    const results = [record(journal, 'normal', 'a'), record(journal, 'normal', 'b')];
    for (const result of results) result.then(count, count);
    let isClosed = false;
    void journal.close().then(() => (isClosed = true));
    await clock.advance(3_600_000);
    assert.deepEqual([answers, isClosed, journal.head('normal')], [0, false, 1]);
    // Killed now: another life finds nothing of it.
    const next = await MemoryJournal.open({ clock, stamp: { site: 's' }, storage: storage.copy() });
    assert.equal(next.head('normal'), 1);
  });

  it('rejects the write that failed and the commit being built, and nothing of either is found', async () => {
    nextWrites('failed');
    const codes = await Promise.all([
      codeOf(record(journal, 'normal', 'written')),
      codeOf(record(journal, 'normal', 'built')),
      codeOf(record(journal, 'urgent', 'u')),
    ]);
    assert.deepEqual(codes, ['FULL', 'FULL', 'FULL']);
    await eventually(() => journal.isOpen, 'open again');
    assert.deepEqual([journal.head('normal'), journal.head('urgent')], [1, 1]);
    assert.deepEqual(await record(journal, 'normal', 'next'), [1]);
    assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), ['next']);
    assert.match(problems.join('\n'), /^\[FULL\] the journal must take a commit, got the simulated disk must take a write[^\n]*$/);
  });

  it('says UNAVAILABLE, and when to ask again, to what comes while it is reopened', async () => {
    nextWrites('failed');
    await codeOf(record(journal, 'normal', 'a'));
    let hasRun = false;
    const error = await errorOf(journal.commit(() => (hasRun = true)));
    assert.isTrue(isFondacoError(error, 'UNAVAILABLE') && error.facts.retryAfterMs! > 0);
    assert.isFalse(hasRun);
    await eventually(() => journal.isOpen, 'open again');
  });

  it('reloads its owners under the new epoch before it takes operations, in their order', async () => {
    const seen: unknown[] = [];
    for (const owner of ['first', 'second']) {
      journal.onReopen(async (epoch) => {
        const early = codeOf(record(journal, 'normal', 'too early'));
        await settle(3);
        seen.push([owner, epoch.number, journal.isOpen, await early, await journal.row('s:last')]);
      });
    }
    await journal.commit((draft) => draft.put('s:last', () => 7));
    let wasToldOpen: boolean | undefined;
    nextWrites('failed');
    const failing = journal.commit((draft) => draft.put('s:last', () => 8));
    journal.onCommit(() => (wasToldOpen = journal.isOpen));
    assert.equal(await codeOf(failing), 'FULL');
    await eventually(() => journal.isOpen, 'open again');
    assert.deepEqual(seen, [
      ['first', 2, false, 'UNAVAILABLE', 7],
      ['second', 2, false, 'UNAVAILABLE', 7],
    ]);
    assert.isTrue(wasToldOpen, 'listeners hear of the reopening, when operations are taken');
    assert.equal(journal.epochs.at(-1)?.number, 2);
  });

  it('opens again and again while an owner cannot reload', async () => {
    let refusals = 3;
    journal.onReopen(async () => {
      if (refusals-- > 0) throw new FondacoError('UNAVAILABLE', 'not yet');
    });
    nextWrites('failed');
    await codeOf(record(journal, 'normal', 'a'));
    await settle();
    assert.isFalse(journal.isOpen);
    await clock.advance(10_000);
    assert.isTrue(journal.isOpen);
    assert.deepEqual(await record(journal, 'normal', 'b'), [1]);
  });

  it('finds again what was stored though the write failed, with its rows, and counts on from it', async () => {
    await journal.commit((draft) => draft.put('s:last', () => 1));
    nextWrites('failed-but-stored');
    const failing = journal.commit((draft) => {
      draft.put('s:last', () => 2);
      return append(draft, 'normal', ['a', 'b']);
    });
    const built = record(journal, 'normal', 'built');
    assert.deepEqual([await codeOf(failing), await codeOf(built)], ['FULL', 'FULL']);
    await eventually(() => journal.isOpen, 'open again');
    assert.deepEqual([journal.head('normal'), await journal.row('s:last')], [3, 2]);
    assert.deepEqual(await record(journal, 'normal', 'c'), [3]);
    const { entries } = await readLane(journal, 'normal');
    assert.deepEqual(
      entries.map((entry) => [entry.bytes.toString(), entry.epoch.number]),
      [
        ['a', 1],
        ['b', 1],
        ['c', 2],
      ],
    );
  });

  it('keeps trying to reopen, with growing waits, until the disk is back', async () => {
    nextWrites('failed');
    storage.openFailures = 8;
    await codeOf(record(journal, 'normal', 'a'));
    const waits: number[] = [];
    await settle();
    while (clock.nextMs !== undefined) {
      waits.push(clock.nextMs);
      await clock.advance(clock.nextMs);
    }
    assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert.isTrue(journal.isOpen);
    assert.lengthOf(problems, 1 + 8);
    assert.deepEqual(await record(journal, 'normal', 'b'), [1]);
  });

  it('keeps trying where the disk opens but takes not even the epoch', async () => {
    nextWrites('failed', 'failed', 'failed-but-stored', 'failed');
    await codeOf(record(journal, 'normal', 'a'));
    await clock.advance(10_000);
    assert.isTrue(journal.isOpen);
    const numbers = journal.epochs.map((epoch) => epoch.number);
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].sort((a, b) => a - b),
    );
    assert.equal(numbers.at(-1), 3, 'the epoch that was stored, though its write failed, is not used again');
  });

  it('rejects, rather than hangs, when it cannot be opened at all', async () => {
    storage.openFailures = 1;
    assert.equal(await codeOf(open()), 'UNAVAILABLE');
    nextWrites('failed', 'failed'); // what is short of room is tried once more, at rest
    assert.equal(await codeOf(open()), 'FULL');
  });

  it('closes while the disk refuses to come back, without waiting for it', async () => {
    nextWrites('failed');
    storage.openFailures = Number.POSITIVE_INFINITY;
    await codeOf(record(journal, 'normal', 'a'));
    await clock.advance(1000);
    await journal.close();
    assert.equal(clock.sleeping, 0);
    assert.equal(await codeOf(record(journal, 'normal', 'b')), 'UNAVAILABLE');
  });

  it('rejects what was taken when its last write fails during the close', async () => {
    nextWrites('failed');
    const codes = [codeOf(record(journal, 'normal', 'a')), codeOf(record(journal, 'normal', 'b'))];
    await journal.close();
    assert.deepEqual(await Promise.all(codes), ['FULL', 'FULL']);
    assert.equal((await open()).head('normal'), 1);
  });

  it('takes a trim back whose commit failed', async () => {
    await record(journal, 'normal', 'a', 'b', 'c');
    nextWrites('failed');
    assert.equal(await codeOf(journal.trim('normal', 3)), 'FULL');
    await eventually(() => journal.isOpen, 'open again');
    assert.equal(journal.tail('normal'), 1);
    assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), ['a', 'b', 'c']);
  });

  it('finishes, at the next opening, a trim that was killed before it cleared', async () => {
    for (let at = 0; at < 5; at++) await record(journal, 'normal', ...Array.from({ length: 10 }, () => 'x'));
    nextWrites('failed-but-stored');
    await codeOf(journal.trim('normal', 35)); // the tail is stored, nothing is cleared
    const killed = storage.copy();
    assert.lengthOf(blobs(killed), 5);
    const next = await MemoryJournal.open({ clock, stamp: { site: 's' }, storage: killed });
    assert.equal(next.tail('normal'), 35);
    assert.deepEqual(blobs(killed), [31, 41]);
    assert.equal((await readLane(next, 'normal')).entries[0]?.position, 35);
  });

  it('clears what is trimmed, but for the blob that the tail is in', async () => {
    for (let at = 0; at < 30; at++) await record(journal, 'normal', ...Array.from({ length: 10 }, () => 'x'));
    for (let position = 5; position < 300; position += 13) {
      await journal.trim('normal', position);
      assert.equal(blobs(storage)[0], Math.floor((position - 1) / 10) * 10 + 1, `tail ${position}`);
    }
    await journal.trim('normal', 301);
    assert.isAtMost(blobs(storage).length, 1);
  });

  it('is not brought down again by the late failure of a write that was given up', async () => {
    let failLate: () => void = () => {};
    nextWrites('failed');
    storage.delay = () => new Promise((resolve) => (failLate = resolve));
    const late = codeOf(record(journal, 'normal', 'late'));
    storage.delay = () => Promise.resolve();
    const half = journal.commit((draft) => {
      append(draft, 'normal', ['half']);
      throw new Error('no further');
    });
    assert.notEqual(await codeOf(half), 'resolved');
    assert.equal(await late, 'UNAVAILABLE');
    await eventually(() => journal.isOpen, 'open again');
    failLate();
    await settle();
    assert.isTrue(journal.isOpen);
    assert.equal(journal.epochs.at(-1)?.number, 2, 'no further epoch');
    assert.lengthOf(problems, 1);
    assert.deepEqual(await record(journal, 'normal', 'b'), [1]);
  });

  it('fails a commit whose row cannot be encoded, and comes back', async () => {
    const before = record(journal, 'normal', 'a');
    const bad = codeOf(journal.commit((draft) => draft.put('s:bad', () => 1n)));
    assert.deepEqual(await before, [1]);
    assert.equal(await bad, 'UNAVAILABLE');
    await eventually(() => journal.isOpen, 'open again');
    assert.deepEqual(await record(journal, 'normal', 'b'), [2]);
    assert.isUndefined(await journal.row('s:bad'));
  });

  it('refuses a store of another format, by name', async () => {
    await journal.close();
    const disk = await storage.open();
    const key = Buffer.from('m:journal');
    assert.isDefined(storage.get(key));
    await disk.write([{ key, value: encodeRecord(key, { format: 99, id: 'x' }, 1) }]);
    assert.match((await errorOf(open())).message, /^\[CONFIG\] the store must have format 2, got 99: another version/);
  });

  it('gives two stores two ids, and a copy the id of what it is a copy of', async () => {
    const other = await MemoryJournal.open({ clock, stamp: { site: 's' } });
    assert.notEqual(other.id, journal.id);
    const copied = await DiskJournal.open(() => storage.copy().open(), { clock, stamp: { site: 's' } });
    assert.equal(copied.id, journal.id);
  });
});

function blobs(storage: MemoryStorage): number[] {
  return storage.range(Buffer.from('e1'), Buffer.from('e2')).map(([key]) => Number(key.readBigUInt64BE(2)));
}

async function errorOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('expected a rejection');
}

function codeOf(promise: Promise<unknown>): Promise<ErrorCode | 'resolved' | 'another error'> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => (isFondacoError(error) ? error.code : 'another error'),
  );
}
