import { assert } from 'chai';
import type { Journal, Row, Stamp } from '../../core/journal.ts';
import { LANES } from '../../core/lane.ts';
import type { JournalOptions } from '../../journal/disk-journal.ts';
import { eventually, FakeClock } from '../support/fake-clock.ts';
import { append, newEntry, plain, readLane, record, SERIES_A, SERIES_B, textsOf } from '../support/journal-entries.ts';

/** One store, opened as often as a test likes. */
export interface JournalBench {
  open(options: JournalOptions): Promise<Journal>;
  remove(): Promise<void>;
}

const STAMP: Stamp = { site: 'plant-7', labels: { region: 'eu' } };

/** What every journal keeps, whatever disk is under it. */
export function journalContract(name: string, newBench: () => Promise<JournalBench>): void {
  describe(`${name} keeps the journal contract`, () => {
    let bench: JournalBench;
    let clock: FakeClock;
    let journal: Journal;

    const open = async (options: Partial<JournalOptions> = {}): Promise<Journal> => {
      journal = await bench.open({ clock, stamp: STAMP, ...options });
      return journal;
    };
    const reopen = async (options: Partial<JournalOptions> = {}): Promise<Journal> => {
      await journal.close();
      return open(options);
    };
    const countCommits = (): (() => number) => {
      let count = 0;
      journal.onCommit(() => count++);
      return () => count;
    };

    beforeEach(async () => {
      bench = await newBench();
      clock = new FakeClock();
      await open();
    });

    afterEach(async () => {
      await journal.close();
      await bench.remove();
    });

    describe('positions', () => {
      it('begin at 1 and are dense in each lane, whatever the other lane does', async () => {
        assert.deepEqual([journal.tail('urgent'), journal.head('urgent'), journal.head('normal')], [1, 1, 1]);
        assert.deepEqual(await record(journal, 'normal', 'a', 'b'), [1, 2]);
        assert.deepEqual(await record(journal, 'urgent', 'c'), [1]);
        const both = await journal.commit((draft) => [...append(draft, 'normal', ['d']), ...append(draft, 'urgent', ['e', 'f'])]);
        assert.deepEqual(both, [3, 2, 3]);
        assert.deepEqual([journal.head('urgent'), journal.head('normal')], [4, 4]);
        assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), ['a', 'b', 'd']);
        assert.deepEqual(textsOf((await readLane(journal, 'urgent')).entries), ['c', 'e', 'f']);
      });

      it('go on where they were after a reopening', async () => {
        await record(journal, 'normal', 'a', 'b');
        await reopen();
        assert.deepEqual(await record(journal, 'normal', 'c'), [3]);
        assert.deepEqual(await record(journal, 'urgent', 'd'), [1]);
      });
    });

    describe('group commit', () => {
      it('starts at once, and what arrives meanwhile is one more commit, not one each', async () => {
        const commits = countCommits();
        const results = await Promise.all(Array.from({ length: 50 }, (_, at) => record(journal, 'normal', `e${at}`)));
        assert.equal(commits(), 2);
        assert.deepEqual(
          results.flat(),
          Array.from({ length: 50 }, (_, at) => at + 1),
        );
        assert.equal((await readLane(journal, 'normal')).entries.length, 50);
      });

      it('runs an operation at once, and answers only when it is durable', async () => {
        let hasRun = false;
        let answered = false;
        const done = journal
          .commit((draft) => {
            hasRun = true;
            return append(draft, 'normal', ['a']);
          })
          .then(() => (answered = true));
        assert.isTrue(hasRun);
        await Promise.resolve();
        assert.isFalse(answered);
        assert.equal(journal.head('normal'), 1, 'not durable, so not there');
        assert.deepEqual(await journal.read('normal', 1, 1000), { entries: [] });
        await done;
        assert.equal(journal.head('normal'), 2);
      });

      it('tells its listeners once per commit, when its entries can be read', async () => {
        const heads: number[] = [];
        const end = journal.onCommit(() => heads.push(journal.head('normal')));
        await record(journal, 'normal', 'a');
        await record(journal, 'normal', 'b', 'c');
        end();
        await record(journal, 'normal', 'd');
        assert.deepEqual(heads, [2, 4]);
      });

      it('writes what two listeners commit at once, losing neither answer', async () => {
        const answers: number[][] = [];
        const errors: unknown[] = [];
        let rounds = 0;
        for (const text of ['x', 'y']) {
          journal.onCommit(() => {
            if (++rounds <= 2)
              record(journal, 'urgent', text).then(
                (positions) => answers.push(positions),
                (error: unknown) => errors.push(error),
              );
          });
        }
        await record(journal, 'normal', 'a');
        await eventually(() => answers.length + errors.length === 2, 'two answers');
        assert.deepEqual(errors, []);
        assert.deepEqual(answers, [[1], [2]]);
        assert.deepEqual(textsOf((await readLane(journal, 'urgent')).entries), ['x', 'y']);
      });

      it('answers an operation that changed nothing, without a write and not before what it saw is durable', async () => {
        const commits = countCommits();
        assert.equal(await journal.commit(() => 'idle'), 'idle');
        assert.equal(commits(), 0);
        const order: string[] = [];
        const first = record(journal, 'normal', 'a').then(() => order.push('write'));
        const second = journal.commit(() => 'looked').then((result) => order.push(result));
        await Promise.all([first, second]);
        assert.deepEqual(order, ['write', 'looked']);
        assert.equal(commits(), 1);
      });

      it('stores entries and rows of one operation together', async () => {
        const seen: unknown[] = [];
        const rows: Promise<unknown>[] = [];
        journal.onCommit(() => rows.push(journal.row('s:last').then((value) => seen.push([value, journal.head('normal')]))));
        for (const last of [1, 2, 3]) {
          await journal.commit((draft) => {
            append(draft, 'normal', [`e${last}`]);
            draft.put('s:last', () => last);
          });
          await Promise.all(rows);
        }
        assert.deepEqual(seen, [
          [1, 2],
          [2, 3],
          [3, 4],
        ]);
      });
    });

    describe('rows', () => {
      it('encode their value once, when the commit is sealed, so that it is the last one', async () => {
        let count = 0;
        let encoded = 0;
        const add = (): Promise<number> =>
          journal.commit((draft) => {
            count++;
            draft.put('l:count', () => {
              encoded++;
              return count;
            });
            return encoded;
          });
        const first = add();
        const rest = [add(), add(), add()];
        assert.equal(encoded, 1, 'the first commit is on its way');
        await first;
        await Promise.all(rest);
        assert.equal(encoded, 2, 'three operations, one value');
        assert.equal(await journal.row('l:count'), 4);
      });

      it('keep every JSON value, and are undefined when absent', async () => {
        const values = [null, false, 0, -1.5, '', 'naïve 🚢   \u0000', [], [1, [2]], {}, { a: { b: null } }, Number.MAX_SAFE_INTEGER];
        await journal.commit((draft) => values.forEach((value, at) => draft.put(`v:${at}`, () => value)));
        await reopen();
        for (const [at, value] of values.entries()) assert.deepEqual(await journal.row(`v:${at}`), value);
        assert.isUndefined(await journal.row('v:none'));
      });

      it('are gone once deleted, whichever of put and delete came last in a commit', async () => {
        await journal.commit((draft) => ['a', 'b', 'c'].forEach((key) => draft.put(`r:${key}`, () => key)));
        await journal.commit((draft) => {
          draft.delete('r:a');
          draft.put('r:b', () => 'again');
          draft.delete('r:b');
          draft.delete('r:c');
          draft.put('r:c', () => 'again');
          draft.delete('r:never');
        });
        assert.deepEqual(await all(journal.rows('r:')), [{ key: 'r:c', value: 'again' }]);
        await reopen();
        assert.deepEqual(await all(journal.rows('r:')), [{ key: 'r:c', value: 'again' }]);
      });

      it('come by prefix, in the order of their keys, and no others', async () => {
        const keys = ['f:', 'f:a', 'f:a!', 'f:a\u{10ffff}', 'f:aé', 'f:b', 'f;', 'f', 'g:a'];
        await journal.commit((draft) => keys.forEach((key) => draft.put(key, () => key)));
        const keysOf = async (prefix: string): Promise<string[]> => (await all(journal.rows(prefix))).map((row) => row.key);
        assert.deepEqual(await keysOf('f:'), ['f:', 'f:a', 'f:a!', 'f:aé', 'f:a\u{10ffff}', 'f:b']);
        assert.deepEqual(await keysOf('f:a'), ['f:a', 'f:a!', 'f:aé', 'f:a\u{10ffff}']);
        assert.deepEqual(await keysOf('h'), []);
        assert.deepEqual(
          (await journal.snapshot(['g:', 'f:b', 'none:'])).map((row) => row.value),
          ['g:a', 'f:b'],
        );
      });

      it('come in pages: those behind a key, so many at most', async () => {
        const keys = Array.from({ length: 2500 }, (_, i) => `p:${String(i).padStart(4, '0')}`);
        await journal.commit((draft) => ['o:1', ...keys, 'q:1'].forEach((key) => draft.put(key, () => key)));
        const page = async (after: string | undefined, limit?: number): Promise<string[]> => {
          const rows = journal.rows('p:', { ...(after !== undefined && { after }), ...(limit !== undefined && { limit }) });
          return (await all(rows)).map((row) => row.key);
        };
        assert.deepEqual(await page(undefined, 3), keys.slice(0, 3));
        assert.deepEqual(await page('p:0002', 2), keys.slice(3, 5));
        assert.deepEqual(await page('p:0002x', 1), ['p:0003']);
        assert.deepEqual(await page('o:1', 1), ['p:0000']);
        assert.deepEqual(await page('p:0100'), keys.slice(101));
        assert.deepEqual(await page('p:2499'), []);
        assert.deepEqual(await page('q:1'), []);
      });

      it('are as of one commit while commits go on', async () => {
        const keys = Array.from({ length: 2500 }, (_, at) => `n:${String(at).padStart(4, '0')}`);
        const putAll = (value: number): Promise<void> => journal.commit((draft) => keys.forEach((key) => draft.put(key, () => value)));
        await putAll(1);
        const values: unknown[] = [];
        for await (const row of journal.rows('n:')) {
          if (values.length === 0) await putAll(2);
          values.push(row.value);
        }
        assert.equal(values.length, keys.length);
        assert.deepEqual([...new Set(values)], [1]);

        const [snapshot] = await Promise.all([journal.snapshot(['n:2', 'n:0']), putAll(3)]);
        assert.lengthOf([...new Set(snapshot.map((row) => row.value))], 1, 'one moment for all prefixes');
      });
    });

    describe('entries', () => {
      it('come back as they were given, from memory and from the disk', async () => {
        await journal.commit((draft) => {
          draft.append('normal', newEntry(1, 'first', { series: SERIES_A }));
          draft.append('normal', newEntry(7, 'made', { series: SERIES_B, kind: 'made' }));
          draft.append('normal', newEntry(2, 'folded', { series: SERIES_A, kind: 'folded', first: 1 }));
          draft.append('normal', newEntry(Number.MAX_SAFE_INTEGER, '', { series: SERIES_B, kind: 'folded', first: 2 ** 40 }));
        });
        const epoch = journal.epochs.at(-1)!;
        const common = { lane: 'normal', epoch, receivedAt: clock.now() };
        const expected = [
          { ...common, position: 1, series: SERIES_A, seq: 1, kind: 'accepted', first: 0, text: 'first' },
          { ...common, position: 2, series: SERIES_B, seq: 7, kind: 'made', first: 0, text: 'made' },
          { ...common, position: 3, series: SERIES_A, seq: 2, kind: 'folded', first: 1, text: 'folded' },
          { ...common, position: 4, series: SERIES_B, seq: Number.MAX_SAFE_INTEGER, kind: 'folded', first: 2 ** 40, text: '' },
        ];
        assert.deepEqual(plain((await readLane(journal, 'normal')).entries), expected);
        await reopen();
        assert.deepEqual(plain((await readLane(journal, 'normal')).entries), expected);
      });

      it('are copied: their object and bytes may be used again at once', async () => {
        const used = newEntry(1, '..first..');
        used.start = 2;
        used.end = 7;
        await journal.commit((draft) => {
          draft.append('normal', used);
          Buffer.from(used.bytes.buffer, used.bytes.byteOffset, used.bytes.length).write('AGAIN', 2);
          used.seq = 2;
          used.series.fill(0xff);
          draft.append('normal', used);
        });
        const { entries } = await readLane(journal, 'normal');
        assert.deepEqual(
          entries.map(({ series, seq, bytes }) => [series, seq, bytes.toString()]),
          [
            [SERIES_A, 1, 'first'],
            ['ffffffff-ffff-ffff-ffff-ffffffffffff', 2, 'AGAIN'],
          ],
        );
      });

      it('may be 64 KiB each, a thousand in a commit, and of a series each', async () => {
        const large = Array.from({ length: 5 }, (_, at) => String(at).repeat(64 * 1024));
        const small = Array.from({ length: 1000 }, (_, at) => `small ${at}`);
        await journal.commit((draft) => {
          append(draft, 'normal', small.slice(0, 600));
          append(draft, 'normal', large);
          small.slice(600).forEach((text, at) => draft.append('normal', newEntry(1, text, { series: uuidOf(at) })));
        });
        const fromMemory = await readLane(journal, 'normal');
        await reopen();
        const fromDisk = await readLane(journal, 'normal');
        assert.deepEqual(textsOf(fromDisk.entries), [...small.slice(0, 600), ...large, ...small.slice(600)]);
        assert.deepEqual(plain(fromMemory.entries), plain(fromDisk.entries));
        assert.deepEqual(
          fromDisk.entries.slice(605).map((entry) => entry.series),
          Array.from({ length: 400 }, (_, at) => uuidOf(at)),
        );
      });
    });

    describe('reading', () => {
      /** 700 entries in commits of 1 to 37: blobs of many sizes, none at a round position. */
      const fill = async (): Promise<void> => {
        for (let at = 0, size = 1; at < 700; size = ((size * 7) % 37) + 1) {
          const end = Math.min(at + size, 700);
          await record(journal, 'normal', ...Array.from({ length: end - at }, (_, each) => `e${at + each + 1}`));
          at = end;
        }
      };

      it('begins at any position, from memory as from the disk', async () => {
        await fill();
        const readAt = async (from: number): Promise<string> => (await journal.read('normal', from, 1)).entries[0]!.bytes.toString();
        const positions = Array.from({ length: 700 }, (_, at) => at + 1);
        for (const from of positions) assert.equal(await readAt(from), `e${from}`);
        await reopen({ recentBytes: 0 });
        for (const from of positions) assert.equal(await readAt(from), `e${from}`);
      });

      for (const bytesMax of [0, 1, 100, 3000, 1 << 20]) {
        it(`gives whole blobs until ${bytesMax} bytes are passed, at least one entry, the same from memory and disk`, async () => {
          await fill();
          const starts = [1, 2, 350, 699, 700];
          const lengths = async (): Promise<number[]> =>
            Promise.all(starts.map(async (from) => (await journal.read('normal', from, bytesMax)).entries.length));
          const fromMemory = await lengths();
          const whole = await readLane(journal, 'normal', { bytesMax });
          assert.isAtLeast(Math.min(...fromMemory), 1);
          assert.deepEqual(
            textsOf(whole.entries),
            Array.from({ length: 700 }, (_, at) => `e${at + 1}`),
          );
          if (bytesMax === 1 << 20) assert.deepEqual(fromMemory, [700, 699, 351, 2, 1]);
          else if (bytesMax < 3000) assert.isAtMost(Math.max(...fromMemory), 2 * 37);
          await reopen({ recentBytes: 0 });
          assert.deepEqual(await lengths(), fromMemory);
          assert.deepEqual(plain((await readLane(journal, 'normal', { bytesMax })).entries), plain(whole.entries));
        });
      }

      it('gives readers who are caught up the same entries, so that they decode once', async () => {
        await record(journal, 'normal', 'a', 'b');
        const [one, other] = await Promise.all([journal.read('normal', 1, 1000), journal.read('normal', 2, 1000)]);
        assert.equal(one.entries[1], other.entries[0]);
      });

      it('goes on from the disk where memory no longer reaches', async () => {
        await reopen({ recentBytes: 2000 });
        await fill();
        const { entries, holes } = await readLane(journal, 'normal', { bytesMax: 500 });
        assert.deepEqual(holes, []);
        assert.equal(entries.length, 700);
      });

      it('finds nothing at the head, and no hole there', async () => {
        await record(journal, 'normal', 'a');
        assert.deepEqual(await journal.read('normal', 2, 1000), { entries: [] });
        assert.deepEqual(await journal.read('normal', 99, 1000), { entries: [] });
        assert.deepEqual(await journal.read('urgent', 1, 1000), { entries: [] });
      });

      it('gives a stretch of one epoch, and goes on in the next without a hole', async () => {
        await record(journal, 'normal', 'a', 'b');
        await reopen();
        await record(journal, 'normal', 'c');
        await reopen();
        await record(journal, 'urgent', 'in between');
        await reopen();
        await record(journal, 'normal', 'd');
        const { entries, holes, stretches } = await readLane(journal, 'normal');
        assert.deepEqual(
          entries.map(({ bytes, epoch }) => [bytes.toString(), epoch.number]),
          [
            ['a', 1],
            ['b', 1],
            ['c', 2],
            ['d', 4],
          ],
        );
        assert.deepEqual([holes, stretches], [[], 3]);
      });
    });

    describe('epochs', () => {
      it('grow in number and birth at each opening, also when the wall clock was put back or stands', async () => {
        for (const step of [-86_400_000, 0, 0, 1000, -2000]) {
          clock.wall += step;
          await reopen();
        }
        const { epochs } = journal;
        assert.isAbove(epochs.length, 1);
        for (const [at, epoch] of epochs.entries()) {
          if (at === 0) continue;
          assert.isAbove(epoch.number, epochs[at - 1]!.number);
          assert.isAbove(epoch.birth, epochs[at - 1]!.birth);
        }
        assert.equal(epochs.at(-1)!.number, 6);
      });

      it('know their first position of each lane and carry the stamp of their opening', async () => {
        await record(journal, 'normal', 'a', 'b');
        await record(journal, 'urgent', 'c');
        await reopen({ stamp: { site: 'moved' } });
        const [first, second] = journal.epochs;
        assert.deepEqual(first, { number: 1, birth: first!.birth, first: { urgent: 1, normal: 1 }, stamp: STAMP });
        assert.deepEqual(second, { number: 2, birth: second!.birth, first: { urgent: 2, normal: 3 }, stamp: { site: 'moved' } });
        await record(journal, 'normal', 'd');
        await reopen();
        const { entries } = await readLane(journal, 'normal');
        assert.deepEqual(
          entries.map((entry) => entry.epoch.stamp.site),
          ['plant-7', 'plant-7', 'moved'],
        );
      });

      it('are forgotten when the last of their entries is trimmed, but not before', async () => {
        await record(journal, 'normal', 'a');
        await record(journal, 'urgent', 'b');
        await reopen();
        await record(journal, 'normal', 'c');
        await reopen();
        await record(journal, 'normal', 'd');
        const numbers = (): number[] => journal.epochs.map((epoch) => epoch.number);
        await journal.trim('normal', 3);
        await reopen();
        assert.deepEqual(numbers(), [1, 3, 4], 'the first one still has an urgent entry');
        await journal.trim('urgent', 2);
        await reopen();
        assert.deepEqual(numbers(), [3, 4, 5], 'the last one before an opening is kept, so that births keep growing');
        assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), ['d']);
      });

      it('do not pile up while nothing is recorded', async () => {
        await record(journal, 'urgent', 'the only one');
        for (let opening = 0; opening < 10; opening++) await reopen();
        assert.isAtMost(journal.epochs.length, 3, 'that of the entry, the last one and this one');
        assert.equal(journal.epochs.at(-1)!.number, 11);
      });
    });

    describe('trimming', () => {
      const fill = async (): Promise<void> => {
        for (let at = 0; at < 30; at++)
          await record(journal, 'normal', ...Array.from({ length: 10 }, (_, each) => `e${at * 10 + each + 1}`));
      };
      const holeBelow = (from: number, to: number): unknown => ({ entries: [], hole: { from, to } });

      it('gives up what is below, in one lane only, and says so to who reads there', async () => {
        await fill();
        await record(journal, 'urgent', 'u');
        await journal.trim('normal', 155);
        assert.deepEqual([journal.tail('normal'), journal.head('normal'), journal.tail('urgent')], [155, 301, 1]);
        assert.deepEqual(await journal.read('normal', 1, 1000), holeBelow(1, 155));
        assert.deepEqual(await journal.read('normal', 154, 1000), holeBelow(154, 155));
        assert.equal((await journal.read('normal', 155, 1)).entries[0]?.bytes.toString(), 'e155');
        await reopen();
        assert.equal(journal.tail('normal'), 155);
        assert.deepEqual(await journal.read('normal', 154, 1000), holeBelow(154, 155));
        const { entries, holes } = await readLane(journal, 'normal');
        assert.deepEqual(holes, []);
        assert.deepEqual(
          textsOf(entries),
          Array.from({ length: 146 }, (_, at) => `e${at + 155}`),
        );
        assert.deepEqual(textsOf((await readLane(journal, 'urgent')).entries), ['u']);
      });

      it('never goes back, and not beyond the head', async () => {
        await fill();
        await journal.trim('normal', 100);
        await journal.trim('normal', 50);
        await journal.trim('normal', 100);
        assert.equal(journal.tail('normal'), 100);
        const error = await journal.trim('normal', 302).then(
          () => assert.fail('trimmed what is not there'),
          (reason: unknown) => reason,
        );
        assert.instanceOf(error, RangeError);
        assert.equal(journal.tail('normal'), 100);
      });

      it('leaves an empty lane that goes on, at the head', async () => {
        await fill();
        await journal.trim('normal', 301);
        assert.deepEqual([journal.tail('normal'), journal.head('normal')], [301, 301]);
        assert.deepEqual(await journal.read('normal', 301, 1000), { entries: [] });
        await reopen();
        assert.deepEqual([journal.tail('normal'), journal.head('normal')], [301, 301]);
        assert.deepEqual(await record(journal, 'normal', 'next'), [301]);
        assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), ['next']);
      });

      it('in small steps, as a feed does, ends where one large step would', async () => {
        await fill();
        for (let position = 3; position <= 290; position += 7) await journal.trim('normal', position);
        assert.equal(journal.tail('normal'), 290);
        await reopen({ recentBytes: 0 });
        const { entries, holes } = await readLane(journal, 'normal');
        assert.deepEqual([entries.length, entries[0]?.position, holes], [11, 290, []]);
      });

      it('goes on beside commits, each keeping what it did', async () => {
        await fill();
        await Promise.all([record(journal, 'normal', 'x'), journal.trim('normal', 200), record(journal, 'normal', 'y')]);
        await reopen();
        assert.deepEqual([journal.tail('normal'), journal.head('normal')], [200, 303]);
      });
    });

    describe('an operation that throws', () => {
      it('before its first change is only refused: nothing else is touched', async () => {
        const before = journal.epochs.length;
        const mistake = new Error('refused by its owner');
        const [other, thrown] = await Promise.all([
          record(journal, 'normal', 'a'),
          journal
            .commit(() => {
              throw mistake;
            })
            .then(
              () => undefined,
              (error: unknown) => error,
            ),
        ]);
        assert.deepEqual(other, [1]);
        assert.equal(thrown, mistake);
        assert.isTrue(journal.isOpen);
        assert.lengthOf(journal.epochs, before);
      });

      it('half-way takes its commit with it, and the journal comes back under a new epoch', async () => {
        await record(journal, 'normal', 'a');
        const reloaded: number[] = [];
        journal.onReopen(async (epoch) => {
          reloaded.push(epoch.number);
          assert.isFalse(journal.isOpen);
        });
        const inFlight = record(journal, 'normal', 'in flight').then(
          () => 'stored',
          () => 'unknown',
        );
        const joined = outcome(record(journal, 'normal', 'joined'));
        const thrower = outcome(
          journal.commit((draft) => {
            append(draft, 'normal', ['half']);
            throw new Error('no further');
          }),
        );
        assert.isFalse(journal.isOpen);
        assert.match(
          await outcome(record(journal, 'normal', 'too early')),
          /^\[UNAVAILABLE\] the journal must be open, got one that is being reopened/,
        );
        assert.equal(await thrower, 'no further');
        assert.match(await joined, /^\[UNAVAILABLE\] the journal must take a commit/);
        assert.equal(await inFlight, 'unknown');
        await eventually(() => journal.isOpen, 'the journal is open again');
        assert.deepEqual(reloaded, [2]);
        await record(journal, 'normal', 'z');
        const texts = textsOf((await readLane(journal, 'normal')).entries);
        assert.deepEqual(
          texts.filter((text) => text !== 'in flight'),
          ['a', 'z'],
        );
      });
    });

    describe('closing', () => {
      it('waits for everything that was taken', async () => {
        const results = [record(journal, 'normal', 'a'), record(journal, 'normal', 'b'), record(journal, 'urgent', 'c')];
        const closed = journal.close();
        assert.isFalse(journal.isOpen);
        await closed;
        assert.deepEqual(await Promise.all(results), [[1], [2], [1]]);
        await open();
        assert.deepEqual(textsOf((await readLane(journal, 'normal')).entries), ['a', 'b']);
        assert.deepEqual(textsOf((await readLane(journal, 'urgent')).entries), ['c']);
      });

      it('refuses what comes after, without running it', async () => {
        await journal.close();
        let hasRun = false;
        const refused = await outcome(journal.commit(() => (hasRun = true)));
        assert.match(refused, /^\[UNAVAILABLE\] the journal must be open, got a closed one/);
        assert.isFalse(hasRun);
        assert.match(await outcome(journal.trim('normal', 1)), /^done/, 'nothing to trim');
      });

      it('rejects readers with a code, not with the words of the store', async () => {
        await record(journal, 'normal', 'a');
        await reopen({ recentBytes: 0 });
        await journal.close();
        for (const reading of [
          journal.read('normal', 1, 1000),
          journal.row('m:lanes'),
          all(journal.rows('m:')),
          journal.snapshot(['m:']),
        ]) {
          assert.match(await outcome(reading), /^\[UNAVAILABLE\]/);
        }
      });

      it('may be asked for twice: both answers mean closed', async () => {
        const write = record(journal, 'normal', 'a');
        let isWritten = false;
        void write.then(() => (isWritten = true));
        void journal.close();
        await journal.close();
        assert.isTrue(isWritten);
      });
    });

    it('finds everything again after a reopening', async () => {
      const id = journal.id;
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
      for (const lane of LANES) {
        for (let at = 0; at < 20; at++) {
          clock.wall += 1000;
          await journal.commit((draft) => {
            append(draft, lane, [`${lane} ${at}`]);
            draft.put(`r:${lane}`, () => at);
          });
        }
      }
      await journal.trim('normal', 5);
      const before = {
        urgent: plain((await readLane(journal, 'urgent')).entries),
        normal: plain((await readLane(journal, 'normal')).entries),
      };
      for (const options of [{}, { recentBytes: 0 }]) {
        await reopen(options);
        assert.equal(journal.id, id);
        for (const lane of LANES) assert.deepEqual(plain((await readLane(journal, lane)).entries), before[lane]);
        assert.deepEqual(await all(journal.rows('r:')), [
          { key: 'r:normal', value: 19 },
          { key: 'r:urgent', value: 19 },
        ]);
      }
    });
  });
}

async function all(rows: AsyncIterable<Row>): Promise<Row[]> {
  const found: Row[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

/** 'done', or the message of the error. */
function outcome(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

function uuidOf(number: number): string {
  return `0199e0c4-7b1e-7000-8000-${number.toString(16).padStart(12, '0')}`;
}
