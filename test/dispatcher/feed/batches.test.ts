/** Cuts, policies with an end, and stopping. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';
import { damage, rowsOf } from '../../support/store-audit.ts';

const away = (): FondacoError => new FondacoError('UNAVAILABLE', '503');

/** What makes a repeat recognisable: all of a delivery that a payload is made of. */
function payloads(deliveries: readonly Delivery[]): unknown[] {
  return deliveries.map(({ event, delivery, entry }) => ({ event: JSON.stringify(event), text: event.attributesText, delivery, entry }));
}

describe('the batches of a feed', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after = 0;

  async function open(ops: Partial<FeedSettings> = {}): Promise<void> {
    kit = await DispatchKit.open({ writers: { ops } });
    sender = new Sender();
    after = 0;
  }

  async function record(first: number, last: number, more: Record<string, unknown> = {}): Promise<void> {
    await kit.dispatcher.accept(sender.batch(after, numbered('a', first, last, more)));
    after += last - first + 1;
    await kit.settle();
  }

  const nextLife = async (ops: Partial<FeedSettings> = {}): Promise<void> => {
    const { storage, clock } = kit;
    kit = await DispatchKit.open({ storage, clock, writers: { ops } });
  };
  const state = (): string => kit.feed().status().state;

  afterEach(async () => {
    expect((await kit.ledger()).isBalanced).to.equal(true);
    await kit.stop();
  });

  describe('are cut', () => {
    const batch = { intervalMs: 1000, eventsMax: 10, bytesMax: 100_000 };

    it('when the interval is over: a lone event before a long silence does not wait for the next one', async () => {
      await open({ batch });
      await record(1, 1);
      await kit.clock.advance(990);
      expect(kit.writer().sizes).to.deep.equal([]);
      await kit.clock.advance(20);
      expect(kit.writer().messages).to.deep.equal(['a 1']);
    });

    it('when the interval is over, also where the first event behind a restart needs a delivery series of its own, or lies behind a hole', async () => {
      await open({ batch });
      await record(1, 1);
      await kit.clock.advance(1010);
      await kit.kill();
      await nextLife({ batch });
      await record(2, 2);
      await kit.clock.advance(1010);
      expect(kit.writer().messages).to.deep.equal(['a 2']);
      await record(3, 3);
      await record(4, 4);
      await kit.kill();
      damage(kit.storage, 'normal', 3);
      await nextLife({ batch });
      await kit.clock.advance(1010);
      expect(kit.writer().messages).to.include('a 4');
    });

    it('and written while the one before is being settled, and no third one; what was not settled at a kill comes again', async () => {
      const pairs = { intervalMs: 0, eventsMax: 2, bytesMax: 100_000 };
      await open({ batch: pairs });
      let isTaking = false;
      kit.writer().answer = (): Promise<undefined> =>
        isTaking ? Promise.resolve(undefined) : new Promise((resolve) => void (answer = () => resolve(undefined)));
      let answer = (): void => undefined;
      await record(1, 8);
      kit.storage.delay = () => new Promise(() => undefined); // from here on nothing becomes durable
      isTaking = true;
      answer();
      await kit.settle();
      expect(kit.writer().messages).to.deep.equal(['a 1', 'a 2', 'a 3', 'a 4']);
      await kit.kill();
      kit.storage.delay = () => Promise.resolve();
      await nextLife({ batch: pairs });
      await kit.settle();
      expect(kit.writer().messages).to.deep.equal(Array.from({ length: 8 }, (_, at) => `a ${at + 1}`));
    });

    it('when they are full, without waiting', async () => {
      await open({ batch });
      await record(1, 25);
      expect(kit.writer().sizes).to.deep.equal([10, 10]);
      await kit.clock.advance(1000);
      expect(kit.writer().sizes).to.deep.equal([10, 10, 5]);
    });

    it('at their limit of bytes, and what was cut off does not wait a second time', async () => {
      await open({ batch: { ...batch, eventsMax: 500 } });
      await record(1, 20, { attributes: { fill: 'x'.repeat(30_000) } });
      await kit.clock.advance(1000);
      expect(kit.writer().sizes).to.deep.equal([3, 3, 3, 3, 3, 3, 2]);
    });

    it('of one event that is larger than the limit of bytes, all alone', async () => {
      await open({ batch: { ...batch, bytesMax: 1000 } });
      await record(1, 2, { attributes: { fill: 'x'.repeat(30_000) } });
      await kit.clock.advance(3000);
      expect(kit.writer().sizes).to.deep.equal([1, 1]);
    });

    it('at once for the urgent lane', async () => {
      await open({ batch });
      await record(1, 1, { severity: 'critical' });
      expect(kit.writer().messages).to.deep.equal(['a 1']);
      expect(kit.clock.monotonic()).to.equal(0);
    });
  });

  describe('with a policy that has an end', () => {
    it('suspend: stops after so many attempts, says so, and goes on when it is resumed', async () => {
      await open({ retry: { policy: 'suspend', attempts: 3, initialMs: 1000, maxMs: 4000 } });
      kit.writer().answer = away;
      await record(1, 3);
      await kit.clock.advance(100_000);
      expect(kit.writer().sizes).to.deep.equal([3, 3, 3]);
      expect(state()).to.equal('suspended');
      await kit.kill();
      await nextLife({ retry: { policy: 'suspend', attempts: 3, initialMs: 1000, maxMs: 4000 } });
      await record(4, 4, { severity: 'critical' });
      await kit.clock.advance(100_000);
      expect([state(), kit.writer().sizes]).to.deep.equal(['suspended', []]);
      await kit.feed().resume();
      await kit.clock.advance(0);
      expect(state()).to.equal('delivering');
      expect(
        kit
          .writer()
          .taken.map(({ event }) => event.message)
          .sort(),
      ).to.include.members(['a 1', 'a 2', 'a 3', 'a 4']);
      expect(kit.writer().taken.filter(({ event }) => event.type === 'fondaco.WriterSuspended')).to.have.lengthOf(1);
    });

    it('suspend: the other lane writes nothing either, also what it had in its hands', async () => {
      await open({ retry: { policy: 'suspend', attempts: 1, initialMs: 1000, maxMs: 4000 } });
      let fail: () => void = () => undefined;
      kit.writer().answer = () => new Promise((resolve) => (fail = () => resolve(away())));
      await record(1, 1, { severity: 'critical' });
      await record(2, 9);
      fail();
      await kit.clock.advance(60_000);
      expect([state(), kit.writer().sizes]).to.deep.equal(['suspended', [1]]);
    });

    it('constant: tries in even steps, and is suspended where attempts are numbered', async () => {
      await open({ retry: { policy: 'constant', intervalMs: 2000, attempts: 4 } });
      kit.writer().answer = away;
      await record(1, 1);
      await kit.clock.advance(30_000);
      expect(kit.writer().requests.map(({ at }) => at)).to.deep.equal([0, 2000, 4000, 6000]);
      expect(state()).to.equal('suspended');
    });

    it('constant: goes on without end where they are not', async () => {
      await open({ retry: { policy: 'constant', intervalMs: 2000 } });
      kit.writer().answer = away;
      await record(1, 1);
      await kit.clock.advance(100_000);
      expect(kit.writer().requests).to.have.lengthOf(51);
      expect(state()).to.equal('retrying');
    });

    it('dead-letter: sets the batch aside after so many attempts and goes on', async () => {
      await open({ retry: { policy: 'dead-letter', attempts: 2, initialMs: 1000, maxMs: 4000 } });
      kit.writer().answer = (batch) => (batch.some(({ event }) => event.message === 'a 2') ? away() : undefined);
      await record(1, 3);
      await kit.clock.advance(10_000);
      await record(4, 4);
      await kit.clock.advance(10_000);
      expect(kit.writer().taken.map(({ event, delivery }) => `${event.message} ${delivery.seq}`)).to.deep.equal(['a 4 4']);
      expect(rowsOf(kit.storage, 'dead:ops/').map(({ value }) => (value as { attempts: number }).attempts)).to.deep.equal([2, 2, 2]);
      expect(kit.feed().status()).to.include({ state: 'delivering', dead: 3 });
    });

    it('dead-letter: keeps to the number of dead letters, and pauses as refused beyond it', async () => {
      await open({ retry: { policy: 'dead-letter', attempts: 2, initialMs: 1000, maxMs: 4000 }, deadLettersMax: 5 });
      kit.writer().answer = away;
      await record(1, 3);
      await kit.clock.advance(5000);
      await record(4, 9);
      await kit.clock.advance(60_000);
      expect(rowsOf(kit.storage, 'dead:ops/')).to.have.lengthOf(3);
      expect(kit.feed().status()).to.include({ state: 'refused', dead: 3 });
    });
  });

  describe('and a stop while one is in flight', () => {
    it('settles it if the destination takes it: it does not come again', async () => {
      await open();
      let take = (): void => undefined;
      kit.writer().answer = () => new Promise((resolve) => (take = () => resolve(undefined)));
      await record(1, 3);
      const stopped = kit.stop();
      await kit.settle();
      take();
      await stopped;
      await nextLife();
      await kit.clock.advance(1000);
      expect(kit.writer().sizes).to.deep.equal([]);
      expect(kit.feed().status().lanes.normal).to.include({ pending: 0 });
    });

    it('waits 5 s for it, no longer; then it comes again in the next life, equal in every byte', async () => {
      await open();
      kit.writer().answer = () => new Promise(() => undefined);
      await record(1, 3);
      const sent = kit.writer().requests[0]!.deliveries;
      let isStopped = false;
      const stopped = kit.stop().then(() => (isStopped = true));
      await kit.clock.advance(4999);
      expect(isStopped).to.equal(false);
      await kit.clock.advance(1);
      await stopped;
      await nextLife();
      await kit.clock.advance(1000);
      expect(payloads(kit.writer().taken)).to.deep.equal(payloads(sent));
      expect(kit.feed().status().lanes.normal.attempts).to.equal(0);
    });

    it('begins no other one', async () => {
      await open({ batch: { intervalMs: 0, eventsMax: 1, bytesMax: 1000 } });
      let take = (): void => undefined;
      kit.writer().answer = () => new Promise((resolve) => (take = () => resolve(undefined)));
      await record(1, 5);
      const stopped = kit.stop();
      await kit.settle();
      take();
      await stopped;
      expect(kit.writer().sizes).to.deep.equal([1]);
      await nextLife();
    });

    it('begins none that was only being read when the stop came', async () => {
      await open();
      const read = kit.journal.read.bind(kit.journal);
      let stopped: Promise<void> | undefined;
      kit.journal.read = async (...args) => {
        const stretch = await read(...args);
        stopped ??= kit.stop();
        return stretch;
      };
      await record(1, 3);
      await stopped;
      expect(kit.writer().sizes).to.deep.equal([]);
      await nextLife();
      await kit.clock.advance(100);
      expect(kit.writer().messages).to.deep.equal(['a 1', 'a 2', 'a 3']);
    });

    it('or a kill: what was taken and not settled comes again, equal in every byte', async () => {
      await open();
      await record(1, 2);
      kit.writer().answer = () => new Promise(() => undefined);
      await record(3, 9);
      const sent = kit.writer().requests.at(-1)!.deliveries;
      expect(sent.map(({ delivery }) => delivery.seq)).to.deep.equal([3, 4, 5, 6, 7, 8, 9]);
      await kit.kill();
      await nextLife();
      await kit.clock.advance(1000);
      expect(payloads(kit.writer().taken)).to.deep.equal(payloads(sent));
    });
  });
});
