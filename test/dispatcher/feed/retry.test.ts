/** Retry policies in the row: a restart goes on with the same count and the same time. */
import { expect } from 'chai';
import type { RetryPolicy } from '../../../core/backoff.ts';
import { FondacoError } from '../../../core/errors.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';

const away = (): FondacoError => new FondacoError('UNAVAILABLE', '503', { status: '503' });

/** ODIM's figures: three attempts, a minute between them. */
const ODIM = { policy: 'constant', intervalMs: 60_000, attempts: 3 } as const;
const POLICIES: [policy: RetryPolicy, at: number[], end: string][] = [
  [{ policy: 'backoff', initialMs: 1000, maxMs: 4000 }, [0, 550, 1650, 3850, 6050], 'retrying'],
  [ODIM, [0, 60_000, 120_000], 'suspended'],
  [{ policy: 'constant', intervalMs: 2000 }, [0, 2000, 4000, 6000], 'retrying'],
  [{ policy: 'suspend', attempts: 4, initialMs: 1000, maxMs: 4000 }, [0, 550, 1650, 3850], 'suspended'],
  [{ policy: 'dead-letter', attempts: 4, initialMs: 1000, maxMs: 4000 }, [0, 550, 1650, 3850], 'delivering'],
];

describe('a retry policy', () => {
  let kit: DispatchKit;
  let sender: Sender;

  afterEach(async () => {
    expect((await kit.ledger()).isBalanced).to.equal(true);
    await kit.stop();
  });

  async function open(retry: RetryPolicy): Promise<void> {
    kit = await DispatchKit.open({ writers: { ops: { retry } }, answers: { ops: away } });
    sender = new Sender();
  }

  async function restart(retry: RetryPolicy): Promise<void> {
    const { storage, clock } = kit;
    await kit.kill();
    kit = await DispatchKit.open({ storage, clock, writers: { ops: { retry } }, answers: { ops: away } });
  }

  for (const [retry, at, end] of POLICIES) {
    const { policy, ...rest } = retry;
    it(`${policy} ${JSON.stringify(rest)}: a lone event, tried at the same times whatever restarts lie between`, async () => {
      for (const restarts of [false, true]) {
        await open(retry);
        await kit.dispatcher.accept(sender.batch(0, numbered('a', 1, 1)));
        await kit.settle();
        const tried: number[] = [];
        const look = (): void =>
          void tried.push(
            ...kit
              .writer()
              .requests.splice(0)
              .map(({ at: when }) => when),
          );
        for (let left = at.at(-1)! + 100; left > 0; left -= 50) {
          await kit.clock.advance(50);
          look();
          // In the middle of a wait, and right before an attempt.
          if (restarts && (left % 500 === 0 || left % 1100 === 0)) await restart(retry);
        }
        expect(tried, restarts ? 'with restarts' : 'without').to.deep.equal(at);
        const status = kit.feed().status();
        expect(status.state).to.equal(end);
        if (policy === 'dead-letter') expect(status.dead).to.equal(1);
        else expect(status.lanes.normal.attempts).to.equal(at.length);
        if (!restarts) await kit.stop();
      }
    });
  }

  describe('with an end', () => {
    const critical = { severity: 'critical' };

    it('is not used up by urgent events that bring an attempt forward: those are tried besides, and the plan stays', async () => {
      await open(ODIM);
      for (let i = 0; i < 10; i++) {
        await kit.dispatcher.accept(sender.batch(i, numbered('u', i, i, critical)));
        await kit.clock.advance(1000);
      }
      expect(kit.writer().requests.map(({ at }) => at)).to.deep.equal(Array.from({ length: 10 }, (_, i) => i * 1000));
      expect(kit.feed().status().lanes.urgent).to.include({ attempts: 1, nextAttemptInMs: 50_000 });
      await restart(ODIM);
      await kit.clock.advance(50_000 + 60_000);
      expect(kit.writer().requests.map(({ at }) => at)).to.deep.equal([60_000, 120_000]);
      expect(kit.feed().status().state).to.equal('suspended');
    });

    it('heeds what the destination asks for, also in an attempt that was brought forward', async () => {
      await open(ODIM);
      await kit.dispatcher.accept(sender.batch(0, numbered('u', 1, 1, critical)));
      await kit.clock.advance(5000);
      kit.writer().answer = () => new FondacoError('UNAVAILABLE', '429', { retryAfterMs: 100_000 });
      await kit.dispatcher.accept(sender.batch(1, numbered('u', 2, 2, critical)));
      await kit.clock.advance(99_000);
      expect(kit.writer().requests.map(({ at }) => at)).to.deep.equal([0, 5000]);
      await kit.clock.advance(1000);
      expect(kit.writer().requests.map(({ at }) => at)).to.deep.equal([0, 5000, 105_000]);
    });
  });
});
