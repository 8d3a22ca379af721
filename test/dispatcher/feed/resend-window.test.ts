import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';
import type { Filter } from '../../../dispatcher/feed/filter.ts';
import { Unconfirmed } from '../../../dispatcher/feed/unconfirmed.ts';

const broken = (): FondacoError => new FondacoError('UNAVAILABLE', 'the connection broke');

describe('a writer without acknowledgements, with a resendWindow of 10 events', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let recorded = 0;
  const open = async (options: Parameters<typeof DispatchKit.open>[0] = {}): Promise<void> => {
    kit = await DispatchKit.open({
      resendWindow: 10,
      writers: { ops: { batch: { intervalMs: 0, eventsMax: 4, bytesMax: 1e6 } } },
      ...options,
    });
  };
  const record = async (count: number, more: Record<string, unknown> = {}): Promise<void> => {
    await kit.dispatcher.accept(sender.batch(recorded, numbered('a', recorded + 1, recorded + count, more)));
    recorded += count;
    await kit.settle();
  };
  const lane = async (): Promise<{ delivered: number; pending: number; dead: number; dropped: number }> =>
    (await kit.ledger()).writers[0]!.lanes.normal;
  const sent = (): string[] => kit.writer().requests.flatMap(({ messages }) => messages);
  const range = (first: number, last: number): string[] => numbered('a', first, last).map(({ message }) => message as string);

  beforeEach(async () => {
    recorded = 0;
    sender = new Sender();
    await open();
  });
  afterEach(async () => kit.stop());

  it('settles so far behind what was sent', async () => {
    await record(24);
    expect(sent()).to.deep.equal(range(1, 24));
    expect(await lane()).to.include({ delivered: 12, pending: 12 }); // the smallest whole batches that leave 10 or more
    expect((await kit.ledger()).isBalanced).to.equal(true);
  });

  it('settles the rest 10 s after the last write, not before', async () => {
    await record(6);
    await kit.clock.advance(9_000);
    expect(await lane()).to.include({ delivered: 0, pending: 6 });
    await record(1);
    await kit.clock.advance(9_000);
    expect(await lane()).to.include({ delivered: 0, pending: 7 });
    await kit.clock.advance(1_000);
    expect(await lane()).to.include({ delivered: 7, pending: 0 });
    expect(sent()).to.deep.equal(range(1, 7));
  });

  it('sends all that may have been under way once more as it was, where the filter is changed meanwhile', async () => {
    await kit.stop();
    const ops = { batch: { intervalMs: 0, eventsMax: 4, bytesMax: 1e6 } };
    await open({ writers: { ops: { ...ops, filter: { minSeverity: 'warn' } } } });
    for (let i = 0; i < 12; i++) await record(2, { severity: i % 2 === 0 ? 'warn' : 'info' });
    const before = kit.writer().taken.map(({ event, delivery }) => `${event.message} ${delivery.series} ${delivery.seq}`);
    expect(before).to.have.lengthOf(12);
    expect((await lane()).delivered).to.be.lessThan(4);
    const { storage, clock } = kit;
    await kit.kill();
    await open({ storage, clock, writers: { ops: { ...ops, filter: {} } } });
    await kit.settle();
    await record(4);
    await kit.clock.advance(11_000); // it takes effect when what was before it is settled
    const again = kit.writer().taken.map(({ event, delivery }) => `${event.message} ${delivery.series} ${delivery.seq}`);
    expect(again.slice(0, before.length - 2)).to.deep.equal(before.slice(2));
    expect(kit.writer().messages.slice(-4)).to.deep.equal(range(25, 28));
  });

  it('sends what lies within the window again when the connection breaks, under the same numbers, and settled never moves back', async () => {
    await record(24);
    kit.writer().answer = broken;
    await record(1);
    expect(await lane()).to.include({ delivered: 12, pending: 13 });
    kit.writer().answer = () => undefined;
    await kit.clock.advance(5_000);
    const again = kit.writer().taken.slice(24);
    expect(again.map(({ event }) => event.message)).to.deep.equal(range(13, 25));
    for (const { delivery } of again) {
      const before = kit.writer().taken.find((each) => each.delivery.seq === delivery.seq)!;
      expect(delivery).to.deep.equal(before.delivery);
    }
    await kit.clock.advance(10_000);
    expect(await lane()).to.include({ delivered: 25, pending: 0 });
    expect((await kit.ledger()).isBalanced).to.equal(true);
  });

  it('sends it again when the connection ended after the last write, though nothing more is written', async () => {
    await record(6);
    kit.writer().isBroken = true;
    await kit.clock.advance(9_000);
    kit.writer().answer = () => ((kit.writer().isBroken = false), undefined);
    await kit.clock.advance(2_000);
    expect(sent()).to.deep.equal([...range(1, 6), ...range(1, 6)]);
    expect(await lane()).to.include({ delivered: 0, pending: 6 });
    await kit.clock.advance(10_000);
    expect(await lane()).to.include({ delivered: 6, pending: 0 });
    expect((await kit.ledger()).isBalanced).to.equal(true);
  });

  it('sends it again after a crash, too', async () => {
    await record(24);
    await kit.kill();
    await open({ storage: kit.storage, clock: kit.clock });
    await kit.clock.advance(11_000);
    expect(kit.writer().taken.map(({ event }) => event.message)).to.deep.equal(range(13, 24));
    expect(await lane()).to.include({ delivered: 24, pending: 0 });
  });

  describe('over several lives, none of which is confirmed', () => {
    const ops = { batch: { intervalMs: 0, eventsMax: 4, bytesMax: 1e6 } };
    const told = (): string[] => kit.writer().taken.map(({ event, delivery }) => `${event.message} ${delivery.series} ${delivery.seq}`);
    const nextLife = async (filter: Filter = {}): Promise<void> => {
      await kit.kill();
      await open({ storage: kit.storage, clock: kit.clock, writers: { ops: { ...ops, filter } } });
      await kit.settle();
    };
    const twoEpochs = async (): Promise<string[]> => {
      await record(3);
      await nextLife();
      await record(2);
      return told();
    };

    it('sends all of it again under the same series and numbers', async () => {
      const before = await twoEpochs();
      expect(before).to.have.lengthOf(5);
      await nextLife();
      expect(told()).to.deep.equal(before);
      await record(1);
      const more = told();
      await nextLife();
      expect(told()).to.deep.equal(more);
      await kit.clock.advance(11_000);
      expect(await lane()).to.include({ delivered: 6, pending: 0 });
    });

    it('does so within a life, too, when the connection breaks', async () => {
      const before = await twoEpochs();
      kit.writer().answer = broken;
      await record(1);
      kit.writer().answer = () => undefined;
      kit.writer().taken.length = 0;
      await kit.clock.advance(5_000);
      expect(told().slice(0, 5)).to.deep.equal(before);
    });

    it('goes by another filter behind all that may have been sent, and sends nothing by it before that is settled', async () => {
      const before = await twoEpochs();
      await nextLife({ minSeverity: 'warn' });
      expect(told()).to.deep.equal(before);
      await record(20);
      await record(1, { severity: 'warn' });
      await kit.clock.advance(5_000);
      expect(told()).to.deep.equal(before);
      await nextLife();
      expect(told()).to.deep.equal(before);
      await kit.clock.advance(22_000);
      expect(sent()).to.deep.equal(range(1, 26));
      expect(await lane()).to.include({ delivered: 26, pending: 0 });
      expect((await kit.ledger()).isBalanced).to.equal(true);
    });
  });

  it('sets aside only the one at fault, and counts it when what was sent before it is settled', async () => {
    kit.writer().answer = (batch) =>
      batch.some(({ event }) => event.message === 'a 7') ? new FondacoError('REJECTED', 'too long') : undefined;
    await record(12);
    await kit.clock.advance(10_000);
    expect(await lane()).to.include({ delivered: 11, dead: 1, pending: 0 });
    expect(kit.writer().messages).to.deep.equal(range(1, 12).filter((message) => message !== 'a 7'));
    expect(kit.writer().taken.map(({ delivery }) => delivery.seq)).to.deep.equal([1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12]);
    expect((await kit.ledger()).isBalanced).to.equal(true);
  });

  it('gives nothing up for a broken connection by a dead-letter policy but what stands at the cursor', async () => {
    await kit.stop();
    await open({
      writers: {
        ops: {
          batch: { intervalMs: 0, eventsMax: 4, bytesMax: 1e6 },
          retry: { policy: 'dead-letter', attempts: 2, initialMs: 1000, maxMs: 1000 },
        },
      },
    });
    await record(8);
    kit.writer().answer = (batch) => (batch.some(({ event }) => event.message === 'a 9') ? broken() : undefined);
    await record(1);
    await kit.clock.advance(60_000);
    expect(await lane()).to.include({ delivered: 8, dead: 1, pending: 0 });
    expect((await kit.ledger()).isBalanced).to.equal(true);
  });

  it('is known to be back at once, though settled later', async () => {
    kit.writer().answer = () => new FondacoError('REFUSED', 'go away');
    await record(2);
    expect(kit.feed().status().state).to.equal('refused');
    kit.writer().answer = () => undefined;
    await kit.clock.advance(2_000);
    expect(kit.feed().status().state).to.equal('delivering');
    expect(await lane()).to.include({ delivered: 0 });
    await kit.clock.advance(11_000);
    expect((await lane()).pending).to.equal(0);
    expect((await kit.ledger()).isBalanced).to.equal(true);
  });

  it('loses its place, not its events, when the journal is opened again', async () => {
    await record(24);
    kit.storage.fate = () => 'failed';
    await kit.dispatcher.accept(sender.batch(24, numbered('a', 25, 25))).catch(() => undefined);
    kit.storage.fate = () => 'taken';
    await kit.clock.advance(10_000);
    await record(1);
    await kit.clock.advance(11_000);
    expect(new Set(kit.writer().messages)).to.deep.equal(new Set(range(1, 25)));
    expect(await lane()).to.include({ delivered: 25, pending: 0 });
    expect((await kit.ledger()).isBalanced).to.equal(true);
  });
});

describe('what is unconfirmed', () => {
  const move = (events: number, dead = 0) => ({ events, dead, apply: () => undefined });

  it('may be settled from the first on, as far as the window lies behind it', () => {
    const unconfirmed = new Unconfirmed(() => 5);
    const moves = [move(3), move(0), move(3), move(2)];
    for (const each of moves) unconfirmed.add(each, 0);
    expect(unconfirmed.settleable(0)).to.deep.equal(moves.slice(0, 2)); // 5 events were sent after them
    unconfirmed.settled(moves.slice(0, 2));
    expect(unconfirmed.settleable(0)).to.deep.equal([]);
    expect(unconfirmed.dueInMs(4_000)).to.equal(6_000);
    expect(unconfirmed.settleable(10_000)).to.deep.equal(moves.slice(2));
  });
});
