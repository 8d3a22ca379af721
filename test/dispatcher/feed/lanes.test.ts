/** Urgent first, and what one lane may cost the other. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';
import { eventually } from '../../support/fake-clock.ts';

const CRITICAL = { severity: 'critical' };
const away = (): FondacoError => new FondacoError('UNAVAILABLE', '503');

function isUrgent(batch: readonly Delivery[]): boolean {
  return batch[0]!.delivery.lane === 'urgent';
}

describe('the lanes of a feed', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after = 0;

  async function open(ops: Partial<FeedSettings> = {}): Promise<void> {
    kit = await DispatchKit.open({ writers: { ops } });
    sender = new Sender();
    after = 0;
  }

  async function record(text: string, first: number, last: number, more: Record<string, unknown> = {}): Promise<void> {
    await kit.dispatcher.accept(sender.batch(after, numbered(text, first, last, more)));
    after += last - first + 1;
    await kit.settle();
  }

  const attempts = (): string[] => kit.writer().requests.map(({ lane, at }) => `${lane} ${at}`);

  afterEach(async () => {
    expect((await kit.ledger()).isBalanced).to.equal(true);
    await kit.kill(); // some writers hang, and would be waited for
  });

  describe('an urgent arrival during an outage', () => {
    it('brings one attempt forward, without resetting the count', async () => {
      await open({ retry: { policy: 'backoff', initialMs: 60_000, maxMs: 600_000 } });
      kit.writer().answer = away;
      await record('u', 1, 1, CRITICAL);
      await kit.clock.advance(5000);
      expect(attempts()).to.deep.equal(['urgent 0']);
      await record('u', 2, 2, CRITICAL);
      await kit.clock.advance(5000);
      expect(attempts()).to.deep.equal(['urgent 0', 'urgent 5000']);
      expect(kit.feed().status().lanes.urgent.attempts).to.equal(2);
      expect(kit.feed().status().lanes.urgent.nextAttemptInMs).to.equal(66_000 - 5000);
    });

    it('does so at most once a second, however many arrive', async () => {
      await open({ retry: { policy: 'backoff', initialMs: 600_000, maxMs: 600_000 } });
      kit.writer().answer = away;
      for (let i = 0; i < 35; i++) {
        await record('u', i, i, CRITICAL);
        await kit.clock.advance(100);
      }
      expect(attempts()).to.deep.equal(['urgent 0', 'urgent 1000', 'urgent 2000', 'urgent 3000']);
    });

    it('waits for what the destination asked for (Retry-After), also across a crash', async () => {
      await open();
      kit.writer().answer = () => new FondacoError('UNAVAILABLE', '429', { retryAfterMs: 30_000 });
      await record('u', 1, 1, CRITICAL);
      await kit.clock.advance(10_000);
      await record('u', 2, 2, CRITICAL);
      await kit.clock.advance(5000);
      expect(attempts()).to.deep.equal(['urgent 0']);
      const { storage, clock } = kit;
      await kit.kill();
      kit = await DispatchKit.open({ storage, clock, writers: { ops: {} } });
      await record('u', 3, 3, CRITICAL);
      await kit.clock.advance(14_900);
      expect(attempts()).to.deep.equal([]);
      await kit.clock.advance(200);
      expect(attempts()[0]).to.equal('urgent 30000');
      expect(kit.writer().messages).to.deep.equal(['u 1', 'u 2', 'u 3']);
    });

    it('is tried at once where only the normal lane was asked to wait, which goes on waiting, and says for how long', async () => {
      await open();
      kit.writer().answer = () => new FondacoError('UNAVAILABLE', '429', { retryAfterMs: 300_000 });
      await record('a', 1, 1);
      await kit.clock.advance(10_000);
      kit.writer().answer = () => undefined;
      await record('u', 1, 1, CRITICAL);
      await kit.clock.advance(10_000);
      expect(kit.writer().messages).to.deep.equal(['u 1']);
      const { urgent, normal } = kit.feed().status().lanes;
      expect(urgent).not.to.have.property('askedInMs');
      expect(normal.askedInMs).to.be.within(270_000, 300_000);
      await kit.feed().resume();
      await kit.clock.advance(0);
      expect(kit.writer().messages).to.include('a 1');
      expect(kit.feed().status().lanes.normal).not.to.have.property('askedInMs');
    });

    it('is delivered before the normal events that wait, when the destination is back', async () => {
      await open({ retry: { policy: 'backoff', initialMs: 10_000, maxMs: 60_000 } });
      kit.writer().answer = away;
      await record('a', 1, 100);
      await kit.clock.advance(2500);
      await record('u', 1, 1, CRITICAL);
      kit.writer().answer = () => undefined;
      await kit.clock.advance(20_000);
      expect(kit.writer().messages[0]).to.equal('u 1');
      expect(kit.writer().taken).to.have.lengthOf(101);
    });

    it('is delivered first also where both lanes wait and the normal one is due before it', async () => {
      await open({ retry: { policy: 'backoff', initialMs: 8000, maxMs: 64_000 } });
      kit.writer().answer = away;
      await record('u', 1, 1, CRITICAL);
      await kit.clock.advance(60_000); // its waits have grown
      await record('a', 1, 10);
      await kit.clock.advance(1500);
      kit.writer().answer = () => undefined;
      await kit.clock.advance(60_000);
      expect(kit.writer().messages[0]).to.equal('u 1');
      expect(kit.writer().messages[1]).to.match(/^writer ops was away for 6[0-9] s: 11 deliveries waited, 10 are to come/);
      expect(kit.writer().taken).to.have.lengthOf(12);
    });

    it('is delivered first whenever the destination comes back, with waits shorter than a second, too', async () => {
      for (let backAt = 100; backAt < 3000; backAt += 37) {
        let seed = backAt;
        const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
        kit = await DispatchKit.open({ random, writers: { ops: { retry: { policy: 'backoff', initialMs: 50, maxMs: 200 } } } });
        sender = new Sender();
        after = 0;
        const gone = new FondacoError('UNAVAILABLE', 'connection refused', { unreachable: true });
        // An urgent request takes longer than a normal one: if both were on their way at once, the wrong one would be there first.
        kit.writer().answer = async (batch) => {
          const answer = kit.clock.monotonic() < backAt ? gone : undefined;
          await kit.clock.sleep(isUrgent(batch) ? 5 : 1);
          return answer;
        };
        await record('n', 1, 5);
        await record('u', 1, 1, CRITICAL);
        await kit.clock.advance(backAt + 2500);
        expect(kit.writer().messages, `back after ${backAt} ms`).to.deep.equal([
          'u 1',
          ...numbered('n', 1, 5).map(({ message }) => message),
        ]);
        if (backAt + 37 < 3000) await kit.kill();
      }
    });

    it('that goes through ends the wait of the normal lane: a probe, then everything flows', async () => {
      await open({ retry: { policy: 'backoff', initialMs: 600_000, maxMs: 600_000 } });
      kit.writer().answer = away;
      await record('a', 1, 3);
      await kit.clock.advance(5000);
      kit.writer().answer = () => undefined;
      await record('u', 1, 1, CRITICAL);
      await kit.clock.advance(1000);
      expect(kit.writer().messages).to.deep.equal(['u 1', 'a 1', 'a 2', 'a 3']);
    });
  });

  it('a lane that alone fails is not hammered by the successes of the other', async () => {
    await open({ retry: { policy: 'backoff', initialMs: 60_000, maxMs: 600_000 } });
    kit.writer().answer = (batch) => (isUrgent(batch) ? away() : undefined);
    await record('u', 1, 1, CRITICAL);
    for (let i = 0; i < 50; i++) {
      await record('a', i, i);
      await kit.clock.advance(100);
    }
    const urgent = kit.writer().requests.filter(({ lane }) => lane === 'urgent');
    expect(urgent.length).to.be.at.most(6); // once a second
    expect(kit.writer().messages).to.have.lengthOf(50);
  });

  it('an urgent event overtakes a backlog of 10,000 within one batch', async () => {
    await open({ batch: { intervalMs: 0, eventsMax: 100, bytesMax: 1 << 20 } });
    const writes: (() => void)[] = [];
    const release = (): void => writes.splice(0).forEach((take) => take());
    kit.writer().answer = () => new Promise((resolve) => writes.push(() => resolve(undefined)));
    for (let i = 0; i < 10; i++) await record('a', i * 1000 + 1, (i + 1) * 1000);
    await record('u', 1, 1, CRITICAL);
    const behind = kit.writer().requests.length;
    for (let i = 0; i < 3; i++) {
      release();
      await kit.settle();
    }
    const urgent = kit.writer().requests.findIndex(({ lane }) => lane === 'urgent');
    expect(urgent).to.be.within(1, behind);
    kit.writer().answer = () => undefined;
    release();
    await eventually(() => kit.writer().taken.length === 10_001, 'the whole backlog');
  });

  it('begins at least one normal batch after four urgent ones, while both have big backlogs', async () => {
    await open({ batch: { intervalMs: 0, eventsMax: 10, bytesMax: 1 << 20 } });
    kit.writer().answer = () => new Promise(() => undefined); // a first write of each hangs while backlogs grow
    await record('a', 1, 300);
    await record('u', 1, 300, CRITICAL);
    kit.writer().answer = async () => kit.clock.sleep(10).then(() => undefined);
    await kit.clock.advance(40_000); // the hanging ones time out
    await kit.clock.advance(10_000);
    expect(kit.writer().taken).to.have.lengthOf(600);
    const lanes = kit
      .writer()
      .requests.slice(4)
      .map(({ lane }) => lane[0])
      .join('');
    const whileBoth = lanes.slice(0, lanes.lastIndexOf('u'));
    expect(Math.max(...whileBoth.split('n').map((run) => run.length)), lanes).to.be.at.most(5);
    expect(whileBoth.split('n').length, lanes).to.be.above(4);
  });

  it('a hanging urgent write holds the normal lane a second, no longer, and only once', async () => {
    await open({ batch: { intervalMs: 0, eventsMax: 10, bytesMax: 1 << 20 } });
    kit.writer().answer = (batch) => (isUrgent(batch) ? new Promise(() => undefined) : undefined);
    await record('u', 1, 1, CRITICAL);
    await record('a', 1, 50);
    expect(kit.writer().messages).to.deep.equal([]);
    await kit.clock.advance(999);
    expect(kit.writer().messages).to.deep.equal([]);
    await kit.clock.advance(1);
    expect(kit.writer().messages).to.have.lengthOf(50);
  });

  it('a hanging normal write does not hold the urgent lane at all', async () => {
    await open();
    kit.writer().answer = (batch) => (isUrgent(batch) ? undefined : new Promise(() => undefined));
    await record('a', 1, 5);
    for (let i = 1; i <= 8; i++) await record('u', i, i, CRITICAL);
    expect(kit.writer().messages).to.have.lengthOf(8);
    expect(kit.clock.monotonic()).to.equal(0);
  });

  it('a write that hangs is aborted after its time, and counts as an outage', async () => {
    await open({ writeTimeoutMs: 5000 });
    kit.writer().answer = () => new Promise(() => undefined);
    await record('a', 1, 2);
    await kit.clock.advance(4999);
    expect(kit.writer().inFlight.normal).to.equal(1);
    await kit.clock.advance(1);
    expect(kit.writer().inFlight.normal).to.equal(0);
    expect(kit.feed().status()).to.include({ state: 'retrying' });
    expect(kit.feed().status().lastError!.message).to.equal('[UNAVAILABLE] the destination must answer within 5000 ms, got nothing');
    kit.writer().answer = () => undefined;
    await kit.clock.advance(1000);
    expect(kit.writer().messages).to.deep.equal(['a 1', 'a 2']);
  });
});
