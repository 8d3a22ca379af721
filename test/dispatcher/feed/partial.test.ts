/** Writers that say how far they got in a batch that failed. */
import { expect } from 'chai';
import { FondacoError, type ErrorCode, type ErrorFacts } from '../../../core/errors.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';
import { rowsOf } from '../../support/store-audit.ts';

const error = (code: ErrorCode, facts: ErrorFacts = {}): FondacoError => new FondacoError(code, 'no', facts);

describe('a batch that was taken in part', () => {
  let kit: DispatchKit;
  let sender: Sender;
  /** What the destination has, in the order in which it came, also from batches that failed. */
  let arrived: string[];

  async function open(ops: Partial<FeedSettings> = {}): Promise<void> {
    kit = await DispatchKit.open({ writers: { ops } });
    sender = new Sender();
    arrived = [];
  }

  /** The events of a batch one by one, until one that `fails`. */
  function answerWith(fails: (message: string, nth: number) => FondacoError | undefined): void {
    let nth = 0;
    kit.writer().answer = (batch: readonly Delivery[]) => {
      for (const [taken, { event }] of batch.entries()) {
        const failure = fails(event.message, nth++);
        if (failure) return error(failure.code, { ...failure.facts, taken });
        arrived.push(event.message);
      }
      return undefined;
    };
  }

  const record = async (count: number): Promise<void> => {
    await kit.dispatcher.accept(sender.batch(0, numbered('a', 1, count)));
    await kit.settle();
  };
  const all = (count: number): string[] => Array.from({ length: count }, (_, i) => `a ${i + 1}`);
  const lane = () => kit.feed().status().lanes.normal;
  const dead = (): unknown[] => rowsOf(kit.storage, 'dead:ops/').map(({ key }) => key);

  afterEach(async () => {
    expect((await kit.ledger()).isBalanced).to.equal(true);
    await kit.stop();
  });

  it('is settled as far as it was taken, also through a kill: nothing of that comes again', async () => {
    await open();
    answerWith((message) => (message === 'a 4' ? error('UNAVAILABLE') : undefined));
    await record(9);
    expect(lane()).to.include({ pending: 6, seq: 3, attempts: 1 });
    const { storage, clock } = kit;
    await kit.kill();
    kit = await DispatchKit.open({ storage, clock, writers: { ops: {} } });
    answerWith(() => undefined);
    await kit.clock.advance(60_000);
    expect(arrived).to.deep.equal(all(9));
    expect(lane()).to.include({ pending: 0, seq: 9, attempts: 0 });
  });

  it('counts attempts from the last progress on, and waits by the policy', async () => {
    await open({ retry: { policy: 'suspend', attempts: 2, initialMs: 1000, maxMs: 1000 } });
    answerWith((_, nth) => (nth % 3 === 2 ? error('UNAVAILABLE') : undefined)); // two of three go through
    await record(9);
    await kit.clock.advance(60_000);
    expect(kit.feed().status().state).to.equal('delivering');
    expect(arrived).to.deep.equal(all(9));
    const gaps = kit.writer().requests.map(({ at }, i, requests) => at - (requests[i - 1]?.at ?? at - 550));
    expect(gaps.every((gap) => gap >= 550)).to.equal(true);
  });

  it('sets aside the one at fault alone, without looking for it', async () => {
    await open();
    answerWith((message) => (message === 'a 4' || message === 'a 7' ? error('REJECTED', { status: '422' }) : undefined));
    await record(9);
    await kit.clock.advance(10);
    expect(arrived).to.deep.equal(all(9).filter((message) => message !== 'a 4' && message !== 'a 7'));
    expect(dead()).to.have.lengthOf(2);
    expect(kit.writer().requests).to.have.lengthOf(3);
  });

  it('gives up by a dead-letter policy the one event that was tried so often, and no other', async () => {
    await open({ retry: { policy: 'dead-letter', attempts: 3, initialMs: 1000, maxMs: 1000 } });
    answerWith((message) => (message === 'a 1' || message === 'a 5' ? error('UNAVAILABLE') : undefined));
    await record(9);
    await kit.clock.advance(60_000);
    expect(arrived).to.deep.equal(all(9).filter((message) => message !== 'a 1' && message !== 'a 5'));
    expect(dead()).to.have.lengthOf(2);
    expect(kit.writer().requests).to.have.lengthOf(7);
  });

  it('pauses as refused behind what was taken', async () => {
    await open();
    let isOpen = false;
    answerWith((message) => (message === 'a 4' && !isOpen ? error('REFUSED') : undefined));
    await record(9);
    expect(kit.feed().status().state).to.equal('refused');
    expect(lane()).to.include({ seq: 3 });
    isOpen = true;
    await kit.clock.advance(60_000);
    expect(arrived.filter((message) => message.startsWith('a'))).to.deep.equal(all(9));
  });

  it('is taken for a whole failure where the number makes no sense', async () => {
    await open();
    for (const taken of [-1, 1.5, 9, 100, NaN, '3' as unknown as number]) {
      kit.writer().answer = () => error('UNAVAILABLE', { taken });
      if (kit.writer().requests.length === 0) await record(9);
      await kit.clock.advance(60_000);
      expect(lane(), String(taken)).to.include({ pending: 9, seq: 0 });
    }
    kit.writer().answer = () => undefined;
    await kit.clock.advance(60_000);
    expect(lane()).to.include({ pending: 0, seq: 9 });
  });

  it('says nothing of the other lane, which is not tried where the place cannot be reached', async () => {
    await open();
    let isAway = true;
    kit.writer().answer = (batch) => {
      if (isAway && batch[0]!.delivery.lane === 'urgent') return error('UNAVAILABLE', { unreachable: true, taken: 2 });
      arrived.push(...batch.map(({ event }) => event.message));
      return undefined;
    };
    const events = [...numbered('u', 1, 4, { severity: 'critical' }), ...numbered('a', 1, 5)];
    await kit.dispatcher.accept(sender.batch(0, events));
    await kit.settle();
    expect(lane()).to.include({ pending: 5, seq: 0 });
    expect(kit.feed().status().lanes.urgent).to.include({ pending: 2, seq: 2 });
    isAway = false;
    await kit.clock.advance(60_000);
    expect(arrived).to.deep.equal(['u 3', 'u 4', ...all(5)]);
  });

  it('in a replay: what was taken is no dead letter any more, the one at fault stays one', async () => {
    await open();
    kit.writer().answer = (batch) => (batch.some(({ event }) => event.message.startsWith('a')) ? error('REJECTED') : undefined);
    await record(6);
    await kit.clock.advance(1000);
    expect(dead()).to.have.lengthOf(6);
    answerWith((message) => (message === 'a 3' ? error('REJECTED', { status: '422' }) : undefined));
    await kit.feed().replay.start();
    await kit.clock.advance(60_000);
    expect(arrived.filter((message) => message.startsWith('a'))).to.deep.equal(all(6).filter((message) => message !== 'a 3'));
    expect(dead()).to.have.lengthOf(1);
  });
});
