import { assert } from 'chai';
import { isFondacoError } from '../../core/errors.ts';
import type { Entry, Journal, Row } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';
import { blobKey, rowKey } from '../../journal/keys.ts';
import { MemoryJournal, MemoryStorage } from '../../journal/memory-journal.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { readLane, record, textsOf } from '../support/journal-entries.ts';

/** Five blobs of ten: 1, 11, 21, 31, 41. */
const TEXTS = Array.from({ length: 50 }, (_, at) => `e${at + 1}`);

describe('a journal whose stored bytes are damaged', () => {
  let storage: MemoryStorage;
  let clock: FakeClock;
  let journal: Journal;

  /** Opens without recent blobs, so that everything is read from the disk. */
  const open = (on = storage): Promise<Journal> => MemoryJournal.open({ clock, stamp: { site: 's' }, storage: on, recentBytes: 0 });
  const blob = (first: number, lane: Lane = 'normal'): Buffer => storage.get(blobKey(lane, first)) ?? assert.fail(`no blob ${first}`);
  const overwrite = (key: Buffer, value: Buffer | undefined): void => storage.apply([{ key, value }]);
  const without = (from: number, to: number): string[] => TEXTS.filter((_, at) => at + 1 < from || at + 1 >= to);

  beforeEach(async () => {
    storage = new MemoryStorage();
    clock = new FakeClock();
    journal = await open();
    for (let at = 0; at < 50; at += 10) await record(journal, 'normal', ...TEXTS.slice(at, at + 10));
  });

  const assertOneHole = async (from: number, to: number): Promise<void> => {
    const { entries, holes } = await readLane(journal, 'normal');
    assert.deepEqual(holes, [{ from, to }]);
    assert.deepEqual(textsOf(entries), without(from, to));
  };

  it('names the entries of a blob as a hole, whichever of its bytes is flipped, and reads those around it', async () => {
    const intact = Buffer.from(blob(21));
    for (let at = 0; at < intact.length; at++) {
      const damaged = Buffer.from(intact);
      damaged[at]! ^= 0x10;
      overwrite(blobKey('normal', 21), damaged);
      await assertOneHole(21, 31);
    }
  });

  it('names it too when the blob is cut, at any length, or belongs elsewhere', async () => {
    const intact = Buffer.from(blob(21));
    for (let length = 0; length < intact.length; length++) {
      overwrite(blobKey('normal', 21), intact.subarray(0, length));
      await assertOneHole(21, 31);
    }
    overwrite(blobKey('normal', 21), Buffer.from(blob(31)));
    await assertOneHole(21, 31);
    await record(journal, 'urgent', ...TEXTS.slice(0, 10));
    overwrite(blobKey('normal', 1), Buffer.from(blob(1, 'urgent')));
    overwrite(blobKey('normal', 21), intact);
    await assertOneHole(1, 11);
  });

  it('names missing blobs, several together as one hole, at the beginning and the end too', async () => {
    overwrite(blobKey('normal', 11), undefined);
    overwrite(blobKey('normal', 21), undefined);
    await assertOneHole(11, 31);
    overwrite(blobKey('normal', 1), undefined);
    await assertOneHole(1, 31);
    overwrite(blobKey('normal', 31), undefined);
    overwrite(blobKey('normal', 41), undefined);
    await assertOneHole(1, 51);
  });

  it('keeps the head when the last blobs are missing or damaged, and uses no position again', async () => {
    overwrite(blobKey('normal', 31), undefined);
    overwrite(blobKey('normal', 41), undefined);
    journal = await open();
    await assertOneHole(31, 51);
    assert.deepEqual(await record(journal, 'normal', 'next'), [51]);
    assert.equal((await readLane(journal, 'normal')).entries.at(-1)?.position, 51);
  });

  it('believes no count of a damaged last blob: positions that never were are not called lost', async () => {
    const damaged = Buffer.from(blob(41));
    damaged.writeUInt16BE(0x8000, 5);
    overwrite(blobKey('normal', 41), damaged);
    journal = await open();
    assert.equal(journal.head('normal'), 51);
    await assertOneHole(41, 51);
  });

  it('finds the head by the last blob where the row of the lanes is older', async () => {
    const older = Buffer.from(storage.get(rowKey('m:lanes'))!);
    await record(journal, 'normal', 'a', 'b');
    overwrite(rowKey('m:lanes'), older);
    journal = await open();
    assert.equal(journal.head('normal'), 53);
    assert.deepEqual((await readLane(journal, 'normal')).holes, []);
  });

  it('begins a read in the middle of a hole where it was told to', async () => {
    overwrite(blobKey('normal', 21), Buffer.alloc(5));
    assert.deepEqual(await journal.read('normal', 25, 1000), { entries: [], hole: { from: 25, to: 31 } });
    overwrite(blobKey('normal', 21), undefined);
    assert.deepEqual(await journal.read('normal', 25, 1000), { entries: [], hole: { from: 25, to: 31 } });
    overwrite(blobKey('normal', 11), Buffer.alloc(5));
    assert.deepEqual(await journal.read('normal', 25, 1000), { entries: [], hole: { from: 25, to: 31 } });
    assert.deepEqual(textsOf((await journal.read('normal', 31, 1)).entries), TEXTS.slice(30, 40));
  });

  it('is not misled by a damaged blob before the one that is asked for', async () => {
    overwrite(blobKey('normal', 11), Buffer.alloc(5));
    assert.deepEqual(textsOf((await journal.read('normal', 21, 1)).entries), TEXTS.slice(20, 30));
  });

  it('gives what is before a hole first, then the hole, in the same stretch', async () => {
    overwrite(blobKey('normal', 31), undefined);
    const { entries, hole } = await journal.read('normal', 5, 100_000);
    assert.deepEqual([textsOf(entries), hole], [TEXTS.slice(4, 30), { from: 31, to: 41 }]);
  });

  it('calls a blob of an epoch that is not its own a hole', async () => {
    const other = new MemoryStorage();
    const elsewhere = await open(other);
    await elsewhere.close();
    const twice = await open(other);
    await record(twice, 'normal', ...TEXTS.slice(0, 10)); // the same positions, in epoch 2
    overwrite(blobKey('normal', 1), Buffer.from(other.get(blobKey('normal', 1))!));
    await assertOneHole(1, 11);
  });

  describe('in a row', () => {
    const rowsOf = async (rows: AsyncIterable<Row>): Promise<Row[]> => {
      const found: Row[] = [];
      for await (const row of rows) found.push(row);
      return found;
    };

    beforeEach(async () => {
      await journal.commit((draft) => ['a', 'b', 'c'].forEach((key) => draft.put(`s:${key}`, () => ({ last: key }))));
    });

    it('has no value in rows() and snapshot(), and row() says CORRUPT, naming it; the others are read', async () => {
      const intact = storage.get(rowKey('s:b'))!;
      for (let at = 0; at < intact.length; at++) {
        const damaged = Buffer.from(intact);
        damaged[at]! ^= 0x01;
        overwrite(rowKey('s:b'), damaged);
        const expected = [
          { key: 's:a', value: { last: 'a' } },
          { key: 's:b', value: undefined },
          { key: 's:c', value: { last: 'c' } },
        ];
        assert.deepEqual(await rowsOf(journal.rows('s:')), expected);
        assert.deepEqual(await journal.snapshot(['s:']), expected);
        const error = await journal.row('s:b').then(
          () => assert.fail('read'),
          (reason: unknown) => reason,
        );
        assert.isTrue(isFondacoError(error, 'CORRUPT') && error.message.includes('row "s:b" must match its checksum'), String(error));
      }
      overwrite(rowKey('s:b'), Buffer.alloc(0));
      assert.deepEqual((await rowsOf(journal.rows('s:b')))[0]?.value, undefined);
    });

    it('is seen when the value of another row stands there', async () => {
      overwrite(rowKey('s:b'), Buffer.from(storage.get(rowKey('s:a'))!));
      assert.deepEqual(await rowsOf(journal.rows('s:b')), [{ key: 's:b', value: undefined }]);
    });

    it('can be written anew', async () => {
      overwrite(rowKey('s:b'), Buffer.alloc(3));
      await journal.commit((draft) => draft.put('s:b', () => 'again'));
      assert.equal(await journal.row('s:b'), 'again');
    });
  });

  describe('whose own rows are gone, damaged or older than its entries', () => {
    for (const key of ['m:journal', 'm:epochs', 'm:lanes']) {
      for (const what of ['gone', 'damaged']) {
        it(`puts ${key} together again where it is ${what}, says so, and invents nothing`, async () => {
          await journal.trim('normal', 11);
          const before = { id: journal.id, head: journal.head('normal'), bytes: journal.bytes('normal') };
          const damaged = Buffer.from(storage.get(rowKey(key))!);
          damaged[damaged.length - 1]! ^= 0x01;
          overwrite(rowKey(key), what === 'gone' ? undefined : damaged);
          journal = await open();
          assert.deepEqual(journal.salvaged, [`row ${key}`]);
          assert.deepEqual({ id: journal.id, head: journal.head('normal'), bytes: journal.bytes('normal') }, before);
          const { entries, holes } = await readLane(journal, 'normal');
          assert.deepEqual([textsOf(entries), holes], [TEXTS.slice(10), []]);
          assert.deepEqual(new Set(entries.map(({ epoch }) => [epoch.number, epoch.birth].join())), new Set([[1, clock.wall].join()]));
          assert.deepEqual(await record(journal, 'normal', 'next'), [51]);
          journal = await open();
          assert.deepEqual(journal.salvaged, []);
        });
      }
    }

    it('takes a fresh id where both rows that hold it are gone: to senders it is another journal', async () => {
      const { id } = journal;
      for (const key of ['m:journal', 'm:epochs']) overwrite(rowKey(key), undefined);
      journal = await open();
      assert.notEqual(journal.id, id);
      assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), TEXTS);
    });

    it('names an entry whose epoch was lost by the birth in its blob, and for none of the next', async () => {
      const older = Buffer.from(storage.get(rowKey('m:epochs'))!);
      clock.wall += 1000;
      journal = await open();
      await record(journal, 'normal', 'of epoch 2');
      const { birth } = journal.epochs.at(-1)!;
      overwrite(rowKey('m:epochs'), older);
      clock.wall += 1000;
      journal = await open();
      await record(journal, 'normal', 'next');
      const { entries, holes } = await readLane(journal, 'normal');
      assert.deepEqual(holes, []);
      assert.deepEqual(
        entries.slice(-2).map(({ bytes, epoch }) => [bytes.toString(), epoch.number, epoch.birth]),
        [
          ['of epoch 2', 2, birth],
          ['next', 3, journal.epochs.at(-1)!.birth],
        ],
      );
    });
  });

  describe('how much it holds', () => {
    /** Bytes before each of the positions 1, 11, 21 … 51. */
    const ends = (): number[] =>
      [1, 11, 21, 31, 41].reduce<number[]>((sums, first) => [...sums, (sums.at(-1) ?? 0) + blob(first).length], [0]);

    it('is known to the blob, from any position, and where a size lies', async () => {
      const [, one = 0, two = 0, three = 0, four = 0, all = 0] = ends();
      const before = await Promise.all([1, 5, 11, 31, 51].map((position) => journal.bytesBefore('normal', position)));
      assert.deepEqual(before, [0, 0, one, three, all]);
      assert.equal(journal.bytes('normal'), all);
      const positions = await Promise.all(
        [0, 1, one, one + 1, two, four, all, 2 * all].map((bytes) => journal.positionAfter('normal', bytes)),
      );
      assert.deepEqual(positions, [1, 11, 11, 21, 21, 41, 51, 51]);
    });

    it('shrinks with the tail, also across a restart, and around damaged blobs', async () => {
      const [, one = 0, , , four = 0, all = 0] = ends();
      await journal.trim('normal', 15);
      assert.equal(journal.bytes('normal'), all - one);
      overwrite(blobKey('normal', 21), Buffer.alloc(7));
      journal = await open();
      assert.equal(journal.bytes('normal'), all - one);
      assert.equal(await journal.bytesBefore('normal', 41), four - one);
      assert.equal(await journal.positionAfter('normal', four - one), 41);
    });
  });

  it('gives up positions that its owner knows to have been in use', async () => {
    await journal.commit((draft) => draft.skip('normal', 61));
    assert.deepEqual(await record(journal, 'normal', 'after'), [61]);
    await journal.commit((draft) => draft.skip('normal', 40));
    assert.equal(journal.head('normal'), 62);
    const { entries, holes } = await readLane(journal, 'normal');
    assert.deepEqual([textsOf(entries), holes], [[...TEXTS, 'after'], [{ from: 51, to: 61 }]]);
    journal = await open();
    assert.equal(journal.head('normal'), 62);
  });

  describe('whose older copy was restored', () => {
    /** Loses everything after `older`, then records other things at the same positions. */
    const restored = async (older: MemoryStorage): Promise<[lost: Entry[], anew: Entry[]]> => {
      await record(journal, 'normal', 'lost 51', 'lost 52');
      const lost = (await readLane(journal, 'normal', { from: 51 })).entries;
      const again = await open(older);
      await record(again, 'normal', 'anew 51', 'anew 52');
      return [lost, (await readLane(again, 'normal', { from: 51 })).entries];
    };

    it('tells positions that are used again apart by their birth', async () => {
      const older = storage.copy();
      clock.wall += 1000;
      const [lost, anew] = await restored(older);
      assert.deepEqual(
        anew.map((entry) => entry.position),
        lost.map((entry) => entry.position),
      );
      assert.notEqual(anew[0]!.epoch.birth, lost[0]!.epoch.birth);
    });

    it('tells them apart also when the copy is from before the last opening, the wall clock a day back', async () => {
      const older = storage.copy();
      clock.wall += 60_000;
      journal = await open();
      clock.wall -= 86_400_000;
      const [lost, anew] = await restored(older);
      assert.equal(anew[0]!.epoch.number, lost[0]!.epoch.number, 'the number alone does not tell');
      assert.notEqual(anew[0]!.epoch.birth, lost[0]!.epoch.birth);
    });
  });
});
