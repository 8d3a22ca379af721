/** Writers that are changed, added and removed while the others go on. */
import { assert } from 'chai';
import { FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Delivery } from '../../core/writer.ts';
import { Dispatch, type WriterSettings } from '../../dispatcher/index.ts';
import type { Filter } from '../../dispatcher/feed/filter.ts';
import { DepartedWriter } from '../../dispatcher/dead-letters/departed-writer.ts';
import { purgeLetters } from '../../dispatcher/dead-letters/purge.ts';
import { readDeliveries } from '../../dispatcher/feed/delivery-series.ts';
import { verifyLedger } from '../../dispatcher/ledger/ledger-verify.ts';
import { DiskJournal } from '../../journal/disk-journal.ts';
import { MemoryStorage } from '../../journal/memory-journal.ts';
import { ScriptedWriter } from '../support/dispatch-kit.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const away = (): FondacoError => new FondacoError('UNAVAILABLE', '503', { unreachable: false });

describe('writers that change while others go on', () => {
  let storage: MemoryStorage;
  let clock: FakeClock;
  let journal: DiskJournal;
  let dispatch: Dispatch;
  let stop: AbortController;
  let running: Promise<void>;
  let next: number;

  const settings = (name: string, writer: ScriptedWriter, more: Partial<WriterSettings> = {}): WriterSettings => ({
    name,
    writer,
    batch: { intervalMs: 0 },
    ...more,
  });

  async function open(writers: readonly WriterSettings[]): Promise<void> {
    journal = await DiskJournal.open(async () => storage.open(), { clock, stamp: { site: 'plant-7' } });
    dispatch = await Dispatch.open(journal, { writers, clock, random: () => 0.5, dedup: { intervalMs: 0 } });
    stop = new AbortController();
    running = dispatch.run(stop.signal);
  }

  beforeEach(() => {
    storage = new MemoryStorage();
    clock = new FakeClock();
    next = 1;
  });
  afterEach(async () => {
    assert.isTrue((await dispatch.ledger()).isBalanced);
    const { isGood, checks } = await verifyLedger(journal, new AbortController().signal);
    assert.isTrue(isGood, JSON.stringify(checks.filter((check) => !check.isGood)));
    await end();
  });

  async function end(): Promise<void> {
    stop.abort();
    await clock.advance(10_000);
    await running;
    await journal.close();
  }

  async function record(count: number, type = 'a.B'): Promise<void> {
    await Promise.all(Array.from({ length: count }, async () => dispatch.record(type, 'info', `${type} ${next++}`)));
    await settle(60);
  }

  async function change(...args: Parameters<Dispatch['change']>): Promise<void> {
    const changing = dispatch.change(...args);
    changing.catch(() => undefined);
    await clock.advance(100);
    await changing;
    await settle(60);
  }

  const seqs = ({ taken }: ScriptedWriter): string[] => taken.map(({ event, delivery }) => `${event.message}: ${delivery.seq}`);
  const series = (deliveries: readonly Delivery[]): string[] => [...new Set(deliveries.map(({ delivery }) => delivery.series))];

  it('goes on from the cursor, in the same series, with another client', async () => {
    const [one, two, other] = [new ScriptedWriter(clock), new ScriptedWriter(clock), new ScriptedWriter(clock)];
    await open([settings('ops', one), settings('other', other)]);
    await record(3);
    await change({ put: [settings('ops', two)] });
    await record(2);
    assert.deepEqual(seqs(one), ['a.B 1: 1', 'a.B 2: 2', 'a.B 3: 3']);
    assert.deepEqual(seqs(two), ['a.B 4: 4', 'a.B 5: 5']);
    assert.lengthOf(series([...one.taken, ...two.taken]), 1);
    assert.lengthOf(other.taken, 5);
    assert.deepEqual(
      dispatch.feeds.map(({ settings: { name } }) => name),
      ['ops', 'other'],
    );
  });

  it('sends again at once what the client before did not get through, whatever it was waiting for', async () => {
    const [one, two] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
    one.answer = away;
    const filter = { types: ['a.*'] };
    await open([settings('ops', one, { filter, retry: { policy: 'constant', intervalMs: 3_600_000 } })]);
    await record(3);
    await change({ put: [settings('ops', two, { filter })] });
    assert.deepEqual(seqs(two), ['a.B 1: 1', 'a.B 2: 2', 'a.B 3: 3']);
    const refused = new ScriptedWriter(clock);
    refused.answer = () => new FondacoError('REFUSED', '401');
    await change({ put: [settings('ops', refused, { filter })] });
    await record(1);
    assert.equal(dispatch.feed('ops').status().state, 'refused');
    await change({ put: [settings('ops', two, { filter })] });
    assert.deepEqual(seqs(two).slice(3), ['a.B 4: 4']);
    assert.equal(dispatch.feed('ops').status().state, 'delivering');
  });

  it('leaves one paused that was', async () => {
    const two = new ScriptedWriter(clock);
    const filter = { types: ['a.*'] };
    await open([settings('ops', new ScriptedWriter(clock), { filter })]);
    await dispatch.feed('ops').pause();
    await change({ put: [settings('ops', two, { filter })] });
    await record(1);
    assert.deepEqual(seqs(two), []);
    await dispatch.feed('ops').resume();
    await settle(60);
    assert.deepEqual(seqs(two), ['a.B 1: 1']);
  });

  describe('a filter', () => {
    const filter: Filter = { types: ['b.*'] };

    it('takes effect at once where nothing is in flight, in a series of its own', async () => {
      const [one, two] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
      await open([settings('ops', one)]);
      await record(2);
      await change({ put: [settings('ops', two, { filter })] });
      await record(2);
      await record(1, 'b.C');
      assert.deepEqual(seqs(two), ['b.C 5: 1']);
      assert.notEqual(series(two.taken)[0], series(one.taken)[0]);
      const deliveries = (await readDeliveries(journal, 'ops'))!.lanes.normal.series;
      assert.deepEqual(
        deliveries.map(({ seq, hasEnded }) => [seq, hasEnded]),
        [
          [2, true],
          [1, false],
        ],
      );
    });

    it('takes effect behind exactly what may be in flight', async () => {
      const [one, two] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
      one.answer = away;
      await open([settings('ops', one, { batch: { intervalMs: 0, eventsMax: 3 }, retry: { policy: 'constant', intervalMs: 3_600_000 } })]);
      await record(5);
      assert.deepEqual(one.sizes, [1]); // it searches with one after a failure, or began with the first
      const sent = one.requests.flatMap(({ messages }) => messages).length;
      await change({ put: [settings('ops', two, { filter })] });
      await record(1, 'b.C');
      assert.deepEqual(seqs(two), [...Array.from({ length: sent }, (_, i) => `a.B ${i + 1}: ${i + 1}`), 'b.C 6: 1']);
      assert.lengthOf(series(two.taken), 2);
    });

    it('that says the same, in another order, changes nothing', async () => {
      const [one, two] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
      await open([settings('ops', one, { filter: { types: ['a.*', 'b.*'], minSeverity: 'info' } })]);
      await record(1);
      await change({ put: [settings('ops', two, { filter: { minSeverity: 'info', types: ['b.*', 'a.*'] } })] });
      await record(1);
      assert.deepEqual(seqs(two), ['a.B 2: 2']);
      assert.equal(series(two.taken)[0], series(one.taken)[0]);
    });

    it('that changes twice before anything came is the last one', async () => {
      const three = new ScriptedWriter(clock);
      await open([settings('ops', new ScriptedWriter(clock))]);
      await change({ put: [settings('ops', new ScriptedWriter(clock), { filter })] });
      await change({ put: [settings('ops', three, { filter: { types: ['c.*'] } })] });
      await record(1);
      await record(1, 'b.C');
      await record(1, 'c.D');
      assert.deepEqual(seqs(three), ['c.D 3: 1']);
    });
  });

  it('waits for a write in flight, for a while, and sends it again where it hangs', async () => {
    const [one, two] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
    one.answer = async () => new Promise(() => undefined);
    await open([settings('ops', one)]);
    await record(1);
    const changing = dispatch.change({ put: [settings('ops', two)] });
    await clock.advance(4000);
    assert.deepEqual(seqs(two), []);
    await clock.advance(20_000);
    await changing;
    await settle(60);
    assert.deepEqual(seqs(two), ['a.B 1: 1']);
  });

  it('goes on with a replay that is under way, beside the live order', async () => {
    const [one, two] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
    one.answer = ([first]) => (first!.event.message === 'a.B 1' ? new FondacoError('REJECTED', '422') : undefined);
    await open([settings('ops', one)]);
    await record(2);
    one.answer = away;
    const started = await dispatch.replay('ops');
    assert.isTrue('replay' in started);
    await settle(60);
    await change({ put: [settings('ops', two)] });
    await record(1);
    await clock.advance(5000);
    const messages = two.taken.map(({ event, isReplay = false }) => `${event.message}${isReplay ? ' again' : ''}`);
    assert.sameMembers(messages, ['a.B 1 again', 'a.B 3']);
    assert.equal(dispatch.feed('ops').status().dead, 0);
  });

  it('lets nobody purge letters of a writer that has come back meanwhile', async () => {
    const one = new ScriptedWriter(clock);
    one.answer = () => new FondacoError('REJECTED', '422');
    await open([settings('ops', one), settings('other', new ScriptedWriter(clock))]);
    await record(2);
    await change({ remove: [{ name: 'ops' }] });
    const departed = (await DepartedWriter.open(dispatch.dispatcher, 'ops'))!;
    await change({ put: [settings('ops', one)] });
    const purging = purgeLetters(departed).catch((error: unknown) => error);
    await clock.advance(10_000);
    assert.isTrue(isFondacoError(await purging, 'UNAVAILABLE'));
    assert.equal(dispatch.feed('ops').status().dead, 2);
  });

  it('adds one, which gets what comes from then on', async () => {
    const added = new ScriptedWriter(clock);
    await open([settings('ops', new ScriptedWriter(clock))]);
    await record(2);
    await change({ put: [settings('new', added)] });
    await record(1);
    assert.deepEqual(seqs(added), ['a.B 3: 1']);
  });

  it('removes one, and it goes on where it was when it comes back', async () => {
    const [one, back] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
    await open([settings('ops', one), settings('other', new ScriptedWriter(clock))]);
    await record(1);
    await change({ remove: [{ name: 'ops' }] });
    await record(2);
    assert.throws(() => dispatch.feed('ops'), 'writer must be one of other, got "ops"');
    assert.lengthOf(one.taken, 1);
    await change({ put: [settings('ops', back)] });
    assert.deepEqual(seqs(back), ['a.B 2: 2', 'a.B 3: 3']);
  });

  it('removes one with all it had, tells the others, and takes it for a new one when it comes back', async () => {
    const [one, back, other] = [new ScriptedWriter(clock), new ScriptedWriter(clock), new ScriptedWriter(clock)];
    one.answer = ([first]) => (first!.event.message === 'a.B 1' ? new FondacoError('REJECTED', '422') : away());
    await open([settings('ops', one, { filter: { types: ['a.*'] } }), settings('other', other)]);
    await record(3);
    await clock.advance(5000);
    await change({ remove: [{ name: 'ops', purge: true }] });
    await clock.advance(3000);
    const ledger = await dispatch.ledger();
    assert.deepEqual(
      ledger.writers.map(({ name }) => name),
      ['other'],
    );
    assert.equal(ledger.purged, 3);
    assert.isUndefined(await journal.row('feed:ops'));
    for (const prefix of ['dead:', 'delivery:', 'outage:', 'replay:', 'away:'])
      for await (const { key } of journal.rows(`${prefix}ops`)) assert.fail(`${key} is left`);
    const losses = other.taken.filter(({ event }) => event.type === 'fondaco.Loss').map(({ event }) => event.attributes.count as number);
    assert.equal(
      losses.reduce((a, b) => a + b, 0),
      3,
    );
    await change({ put: [settings('ops', back)] });
    await record(1);
    assert.deepEqual(seqs(back), ['a.B 4: 1']);
    await change({ remove: [{ name: 'none', purge: true }] }); // of one that is not there nothing is left
  });

  it('changes nothing for settings that are wrong', async () => {
    const one = new ScriptedWriter(clock);
    await open([settings('ops', one)]);
    const error: unknown = await dispatch
      .change({ put: [settings('Ops', one)], remove: [{ name: 'ops' }] })
      .catch((thrown: unknown) => thrown);
    assert.isTrue(isFondacoError(error, 'CONFIG'));
    await record(1);
    assert.lengthOf(one.taken, 1);
  });

  it('bears a journal that is reopened in the middle of it', async () => {
    for (let at = 0; at < 6; at++) {
      storage = new MemoryStorage();
      next = 1;
      const [one, two] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
      await open([settings('ops', one)]);
      await record(2);
      let left = at;
      storage.fate = () => (left-- > 0 ? 'taken' : ((storage.fate = () => 'taken'), 'failed'));
      const changing = dispatch.change({ put: [settings('ops', two, { filter: { types: ['b.*'] } })] });
      const recording = dispatch.record('a.B', 'info', 'x').catch(() => undefined);
      await clock.advance(2000);
      await changing;
      await recording;
      storage.fate = () => 'taken';
      await clock.advance(1000);
      await record(1, 'b.C');
      assert.equal(two.messages.at(-1), 'b.C 3', `write ${at} fails`);
      assert.isTrue((await dispatch.ledger()).isBalanced);
      if (at < 5) await end();
    }
  });

  it('begins none when it is stopped, and stops with a change under way', async () => {
    const [one, two] = [new ScriptedWriter(clock), new ScriptedWriter(clock)];
    one.answer = async () => new Promise(() => undefined);
    await open([settings('ops', one)]);
    await record(1);
    const changing = dispatch.change({ put: [settings('ops', two)] }).catch((error: unknown) => error);
    stop.abort();
    await clock.advance(30_000);
    assert.isTrue(isFondacoError(await changing, 'UNAVAILABLE'));
    await running;
    assert.deepEqual(seqs(two), []);
    assert.isTrue(isFondacoError(await dispatch.change({}).catch((error: unknown) => error), 'UNAVAILABLE'));
  });

  it('goes on after a kill at any commit of a change: by the old settings or by the new ones', async () => {
    for (let at = 0; at < 5; at++) {
      storage = new MemoryStorage();
      next = 1;
      const one = new ScriptedWriter(clock);
      one.answer = ([first]) => (first!.event.type === 'a.B' ? undefined : away());
      await open([settings('ops', one), settings('gone', new ScriptedWriter(clock))]);
      await record(2);
      await record(1, 'b.C');
      let left = at;
      const copies: MemoryStorage[] = [];
      storage.fate = () => {
        if (left-- === 0) copies.push(storage.copy());
        return 'taken';
      };
      const changing = dispatch.change({
        put: [settings('ops', new ScriptedWriter(clock), { filter: { types: ['b.*'] } })],
        remove: [{ name: 'gone', purge: true }],
      });
      await clock.advance(5000);
      await changing;
      await end();
      storage = copies[0] ?? storage;
      const back = new ScriptedWriter(clock);
      await open([settings('ops', back, { filter: { types: ['b.*'] } })]);
      await change({ remove: [{ name: 'gone', purge: true }] });
      await record(1, 'a.B');
      await record(1, 'b.C');
      await clock.advance(400_000);
      assert.equal(back.messages.at(-1), 'b.C 5', `killed at write ${at}`);
      const { writers, isBalanced } = await dispatch.ledger();
      assert.isTrue(isBalanced);
      assert.deepEqual(
        writers.map(({ name }) => name),
        ['ops'],
      );
      if (at < 4) await end();
    }
  });
});
