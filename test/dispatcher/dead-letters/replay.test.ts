/** Replaying dead letters. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Delivery } from '../../../core/writer.ts';
import { nativeJson } from '../../../writers/native-json.ts';
import { LetterKit, numbersOf, poisonIs, texts } from '../../support/letter-kit.ts';
import { rowOf } from '../../support/store-audit.ts';

const away = (): FondacoError => new FondacoError('UNAVAILABLE', '503', { status: '503' });
const poison = (): FondacoError => new FondacoError('REJECTED', '422', { status: '422' });
const refusal = (): FondacoError => new FondacoError('REFUSED', '401', { status: '401', answer: 'who are you?' });
const without = ({ event, entry }: Delivery): unknown => {
  const delivery = { writer: '', lane: 'normal' as const, series: '', seq: 0 };
  return [nativeJson({ event, entry, delivery }), entry];
};

describe('dead letters', () => {
  let box: LetterKit;

  beforeEach(() => {
    box = new LetterKit();
  });

  afterEach(async () => box.end());

  it('say what was wrong, how often and when it was tried, and how large they are', async () => {
    await box.open({ retry: { policy: 'dead-letter', attempts: 3, initialMs: 1000, maxMs: 1000 } });
    box.writer.answer = () => new FondacoError('UNAVAILABLE', '503', { status: '503', answer: '€'.repeat(2000) });
    await box.record(1, 1);
    await box.kit.clock.advance(10_000);
    const [letter] = box.letters;
    const began = Date.UTC(2026, 10, 22, 8);
    expect(letter).to.include({ attempts: 3, firstAttemptAt: began, setAsideAt: began + 1100 });
    expect(letter!.error).to.include({ status: '503', at: began + 1100, message: '[UNAVAILABLE] 503', answer: `${'€'.repeat(681)}…` });
    const { bytes, ...all } = letter!;
    expect(bytes).to.equal(Buffer.byteLength(JSON.stringify(all)));
  });

  describe('replayed', () => {
    it('are delivered in order, urgent first, under a series of their own, as the same events, and leave the books balanced', async () => {
      await box.open();
      box.writer.answer = poisonIs(...texts(2, 4, 22));
      await box.record(1, 5, { attributes: { nested: { a: [1, -0.5, 'ä "'] } }, object: { name: 'n', kind: 'k' } });
      await box.record(21, 23, { severity: 'critical' });
      await box.kit.clock.advance(1000);
      const rejected = box.kit
        .writer()
        .requests.filter(({ deliveries }) => deliveries.length === 1 && /2|4/.test(deliveries[0]!.event.message));
      const were = new Map(rejected.map(({ deliveries }) => [deliveries[0]!.event.message, without(deliveries[0]!)]));
      const feedSeries = new Set(box.writer.taken.map(({ delivery }) => delivery.series));
      const cursors = JSON.stringify([box.feed.row.lanes.normal.cursor, box.feed.row.lanes.normal.seq]);
      expect(box.dead).to.deep.equal(texts(2, 4, 22));
      box.writer.answer = () => undefined;
      box.writer.taken.length = 0;
      expect(await box.begin()).to.deep.nested.include({ 'replay.total': 3, 'replay.state': 'running', missing: [] });
      await box.kit.clock.advance(100);
      const { taken } = box.writer;
      expect(numbersOf(taken)).to.deep.equal(['a 22=1', 'a 2=1', 'a 4=2']);
      for (const delivery of taken) expect(without(delivery)).to.deep.equal(were.get(delivery.event.message));
      for (const { delivery } of taken) {
        expect(feedSeries.has(delivery.series)).to.equal(false);
        expect(box.replay.lanes[delivery.lane].series).to.equal(delivery.series);
        expect(delivery.writer).to.equal('ops');
      }
      expect(box.replay).to.include({ writer: 'ops', state: 'done', total: 3, delivered: 3, deadAgain: 0 });
      expect(box.letters).to.deep.equal([]);
      expect(await box.books()).to.deep.equal([
        { delivered: 3, dead: 0, dropped: 0 },
        { delivered: 5, dead: 0, dropped: 0 },
      ]);
      expect(JSON.stringify([box.feed.row.lanes.normal.cursor, box.feed.row.lanes.normal.seq])).to.equal(cursors);
      await box.record(6, 7);
      expect(
        box.kit
          .writer()
          .taken.slice(3)
          .map(({ delivery }) => delivery.seq),
      ).to.deep.equal([6, 7]);
    });

    it('by their ids: those, each once, and what has no letter is named', async () => {
      await box.filled();
      const begun = await box.begin('ops/normal/14', 'ops/normal/2', 'ops/normal/2', 'ops/normal/3', 'ops/urgent/4');
      expect(begun).to.deep.include({ missing: [{ writer: 'ops', lane: 'normal', position: 3 }] });
      await box.kit.clock.advance(100);
      expect(numbersOf(box.writer.taken)).to.deep.equal(['a 24=1', 'a 2=1', 'a 14=2']);
      expect(box.replay).to.include({ total: 3, delivered: 3, state: 'done' });
      expect(box.dead).to.have.lengthOf(9);
      expect(rowOf(box.kit.storage, 'replay:ops/ids')).to.equal(undefined);
      expect(await box.begin('ops/normal/3', 'ops/normal/999')).to.deep.equal({ nothing: true });
      expect(box.replay).to.include({ total: 3 });
    });

    it('leave alone what becomes a dead letter meanwhile', async () => {
      await box.filled();
      box.writer.answer = () => new Promise(() => undefined);
      await box.begin();
      await box.kit.settle();
      box.writer.answer = poisonIs('a 30');
      await box.record(30, 31);
      await box.kit.clock.advance(60_000);
      expect(box.replay).to.include({ state: 'done', total: 12, delivered: 12 });
      expect(box.dead).to.deep.equal(['a 30']);
    });

    it('wait while the destination is away, by the policy, never before Retry-After, in later lives too, and flow when it is back', async () => {
      await box.filled();
      box.writer.answer = away;
      const { wall } = box.kit.clock;
      await box.begin();
      await box.kit.clock.advance(20_000);
      expect(box.writer.requests.map(({ lane }) => lane)).to.deep.equal(Array.from({ length: 6 }, () => 'urgent'));
      expect(box.replay).to.include({ state: 'waiting', attempts: 6, delivered: 0 });
      expect(box.replay.lastError).to.include({ status: '503' });
      expect(box.feed.status().state, 'the feed of its own').to.equal('delivering');
      await box.restart();
      await box.kit.clock.advance(0);
      expect(box.writer.requests).to.have.lengthOf(0);
      expect(box.replay).to.include({ attempts: 6 });
      box.writer.answer = () => new FondacoError('UNAVAILABLE', '429', { retryAfterMs: 100_000 });
      await box.kit.clock.advance(wall + 40_000 - box.kit.clock.wall);
      expect(box.writer.requests).to.have.lengthOf(1);
      box.writer.answer = () => undefined;
      await box.kit.clock.advance(90_000);
      expect(box.writer.requests).to.have.lengthOf(1);
      await box.kit.clock.advance(20_000);
      expect(box.writer.messages).to.deep.equal(texts(22, 24, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20));
      expect(box.replay).to.include({ state: 'done', delivered: 12, attempts: 0 });
    });

    it('and refused as a whole: the replay stops and says so; another one goes on', async () => {
      await box.filled({ batch: { intervalMs: 0, eventsMax: 3, bytesMax: 1 << 20 } });
      box.writer.answer = () => (box.writer.requests.length > 2 ? refusal() : undefined);
      await box.begin();
      await box.kit.clock.advance(60_000);
      expect(box.replay).to.include({ state: 'stopped', delivered: 5, deadAgain: 0 });
      expect(box.replay.lastError).to.include({ status: '401', answer: 'who are you?' });
      expect(box.writer.sizes).to.deep.equal([2, 3, 3]);
      expect(box.dead).to.have.lengthOf(7);
      const { series } = box.replay;
      box.writer.answer = () => undefined;
      await box.begin();
      await box.kit.clock.advance(100);
      expect(box.replay).to.include({ state: 'done', total: 7, delivered: 7 });
      expect(box.replay.series).to.not.equal(series);
    });

    it('and rejected again: they alone stay, with the new answer and the attempts added, and the numbers show the gap', async () => {
      await box.filled();
      const before = box.letters.find(({ event }) => event.message === 'a 8')!;
      box.writer.answer = (batch) =>
        batch.some(({ event }) => ['a 8', 'a 24'].includes(event.message))
          ? new FondacoError('REJECTED', '400', { status: '400', answer: 'still not' })
          : undefined;
      await box.kit.clock.advance(1000);
      await box.begin();
      await box.kit.clock.advance(5000);
      expect(numbersOf(box.writer.taken)).to.deep.equal([
        'a 22=1',
        'a 2=1',
        'a 4=2',
        'a 6=3',
        'a 10=5',
        'a 12=6',
        'a 14=7',
        'a 16=8',
        'a 18=9',
        'a 20=10',
      ]);
      expect(box.replay).to.include({ state: 'done', delivered: 10, deadAgain: 2 });
      expect(box.dead).to.deep.equal(['a 8', 'a 24']);
      const again = box.letters[0]!;
      expect(again).to.deep.include({ attempts: 2, event: before.event, delivery: before.delivery, setAsideAt: before.setAsideAt });
      expect(again.error).to.include({ status: '400', answer: 'still not' });
      expect(again.error.at).to.be.above(before.error.at);
      expect(box.feed.status()).to.include({ state: 'delivering', dead: 2 });
    });

    it('and all rejected again: costs about a request each, and nothing is given up', async () => {
      await box.filled({ deadLettersMax: 12 });
      box.writer.answer = poison;
      await box.begin();
      await box.kit.clock.advance(5000);
      expect(box.replay).to.include({ state: 'done', delivered: 0, deadAgain: 12 });
      expect(box.dead).to.have.lengthOf(12);
      expect(box.writer.requests.length).to.be.below(50);
    });

    for (const [policy, ends] of [
      [
        { policy: 'suspend', attempts: 2, initialMs: 1000, maxMs: 1000 },
        { state: 'stopped', deadAgain: 0 },
      ],
      [
        { policy: 'constant', attempts: 2, intervalMs: 1000 },
        { state: 'stopped', deadAgain: 0 },
      ],
      [
        { policy: 'dead-letter', attempts: 2, initialMs: 1000, maxMs: 1000 },
        { state: 'done', deadAgain: 12 },
      ],
    ] as const) {
      it(`and not taken for as many attempts as the policy ${policy.policy} has: ${ends.state}`, async () => {
        await box.filled({ retry: policy });
        box.writer.answer = away;
        await box.begin();
        await box.kit.clock.advance(60_000);
        expect(box.replay).to.include(ends);
        expect(box.writer.requests).to.have.lengthOf(ends.state === 'done' ? 4 : 2);
        expect(box.letters.every(({ attempts }) => attempts === (ends.state === 'done' ? 3 : 1))).to.equal(true);
      });
    }

    it('one replay a writer at a time; it can be stopped, and what is in flight is still settled', async () => {
      await box.filled({ batch: { intervalMs: 0, eventsMax: 4, bytesMax: 1 << 20 } });
      let take = (): void => undefined;
      box.writer.answer = () => new Promise((resolve) => (take = () => resolve(undefined)));
      await box.begin();
      await box.kit.settle();
      expect(await box.begin()).to.deep.equal({ busy: 'a replay of ops is under way' });
      expect(await box.purge()).to.deep.equal({ busy: 'a replay of ops is under way' });
      expect([await box.feed.replay.stop(), await box.feed.replay.stop()]).to.deep.equal([true, false]);
      expect(await box.begin()).to.deep.equal({ busy: 'a replay of ops is under way' }); // a batch is in flight
      take();
      await box.kit.clock.advance(1000);
      expect(box.replay).to.include({ state: 'stopped', delivered: 2 });
      expect(box.dead).to.have.lengthOf(10);
      await box.restart({}, () => undefined);
      await box.kit.clock.advance(10_000);
      expect(box.replay).to.include({ state: 'stopped', delivered: 2 });
      expect(box.writer.messages).to.deep.equal([]);
      await box.begin();
      await box.kit.clock.advance(1000);
      expect(box.replay).to.include({ state: 'done', total: 10, delivered: 10 });
    });

    it('wait while the writer is paused', async () => {
      await box.filled();
      await box.feed.pause();
      await box.begin();
      await box.kit.clock.advance(60_000);
      expect(box.writer.requests).to.have.lengthOf(0);
      expect(box.replay).to.include({ state: 'waiting' });
      await box.feed.resume();
      await box.kit.clock.advance(100);
      expect(box.replay).to.include({ state: 'done', delivered: 12 });
    });

    it('take turns with a feed that is busy: never two writes in a lane, neither waits for long, and its order stays', async () => {
      await box.filled({ batch: { intervalMs: 0, eventsMax: 2, bytesMax: 1 << 20 } });
      const pending: (() => void)[] = [];
      box.writer.answer = () => new Promise((resolve) => pending.push(() => resolve(undefined)));
      await box.record(101, 140);
      await box.begin('ops/normal/2', 'ops/normal/4', 'ops/normal/6', 'ops/normal/8', 'ops/normal/10', 'ops/normal/12');
      for (let writes = 0; writes < 60; writes++) {
        await box.kit.settle();
        pending.shift()?.();
      }
      const order = box.kit
        .writer()
        .messages.filter((message) => /^a \d+$/.test(message))
        .map((message) => Number(message.slice(2)));
      expect(order.filter((n) => n > 100)).to.deep.equal(Array.from({ length: 40 }, (_, i) => 101 + i));
      expect(order.filter((n) => n < 100)).to.deep.equal([2, 4, 6, 8, 10, 12]);
      expect(order.indexOf(12), order.join()).to.be.below(18); // one batch of each in turn
    });

    it('a batch in flight at a kill comes again, equal in every byte, and is counted once', async () => {
      await box.filled({ batch: { intervalMs: 0, eventsMax: 3, bytesMax: 1 << 20 } });
      box.writer.answer = () => (box.writer.requests.length > 2 ? new Promise(() => undefined) : undefined);
      await box.begin();
      await box.kit.settle();
      const inFlight = box.kit
        .writer()
        .requests.at(-1)!
        .deliveries.map((each) => nativeJson(each));
      const before = box.writer.messages;
      await box.restart({ batch: { intervalMs: 0, eventsMax: 3, bytesMax: 1 << 20 } }, () => undefined);
      await box.kit.clock.advance(1000);
      expect(
        box.kit
          .writer()
          .taken.slice(0, 3)
          .map((each) => nativeJson(each)),
      ).to.deep.equal(inFlight);
      expect([...before, ...box.writer.messages]).to.deep.equal(texts(22, 24, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20));
      expect(box.replay).to.include({ state: 'done', total: 12, delivered: 12, deadAgain: 0 });
    });

    it('where nothing is acknowledged: count as taken when the connection has held for 10 s, and are sent again when it has not', async () => {
      await box.open({}, 10);
      box.writer.answer = poisonIs('a 2');
      await box.record(1, 3);
      await box.kit.clock.advance(11_000);
      expect(box.dead).to.deep.equal(['a 2']);
      box.writer.answer = () => undefined;
      await box.begin();
      await box.kit.clock.advance(5_000);
      expect(box.dead).to.deep.equal(['a 2']);
      box.writer.answer = away;
      await box.record(4, 4);
      await box.kit.clock.advance(3_000);
      box.writer.answer = () => undefined;
      await box.kit.clock.advance(9_000);
      expect(box.replay).to.include({ delivered: 0 });
      await box.kit.clock.advance(20_000);
      expect(box.replay).to.include({ state: 'done', delivered: 1 });
      expect(box.writer.messages.filter((message) => message === 'a 2')).to.have.lengthOf(2);
    });

    it('leave out those whose rows are damaged, and say so', async () => {
      await box.filled();
      const key = 'dead:ops/normal/0000000000000004';
      const row = box.kit.storage.get(Buffer.from(key))!;
      const damaged = Buffer.from(row);
      damaged[40]! ^= 1;
      box.kit.storage.apply([{ key: Buffer.from(key), value: damaged }]);
      await box.begin();
      await box.kit.clock.advance(1000);
      expect(box.replay).to.include({ state: 'done', delivered: 11, deadAgain: 1 });
      expect(box.replay.lastError!.message).to.include('damaged');
      box.kit.storage.apply([{ key: Buffer.from(key), value: row }]);
      expect(box.dead).to.deep.equal(['a 4']);
      box.feed.row.lanes.normal.deadBytes = box.letters[0]!.bytes; // as if it had never been
    });

    it('of none: done at once', async () => {
      await box.open();
      await box.begin();
      await box.kit.settle();
      expect(box.replay).to.include({ state: 'done', total: 0 });
    });

    it('make room for a feed that waited for it', async () => {
      await box.open({ deadLettersMax: 2 });
      box.writer.answer = poisonIs(...texts(2, 4, 6));
      await box.record(1, 8);
      await box.kit.clock.advance(5000);
      expect(box.feed.status()).to.include({ state: 'refused', dead: 2 });
      box.writer.answer = poisonIs('a 6');
      await box.begin();
      await box.kit.clock.advance(5000);
      expect(box.feed.status()).to.include({ state: 'delivering', dead: 1 });
      expect(box.writer.messages.filter((message) => message.startsWith('a'))).to.deep.equal(texts(1, 3, 5, 2, 4, 7, 8));
    });
  });
});
