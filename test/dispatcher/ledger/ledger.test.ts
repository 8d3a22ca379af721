import { expect } from 'chai';
import type { FeedRow } from '../../../dispatcher/feed/feed-row.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';
import { damage, rowsOf, tamper } from '../../support/store-audit.ts';

/** That it balances whatever fails: test/faults/ledger.campaign.ts. */
describe('the ledger', () => {
  it('balances, and says what is missing, where a window cannot be reported because its first occurrence is damaged', async () => {
    const kit = await DispatchKit.open({ dedupMs: 10_000, writers: { ops: {} } });
    const sender = new Sender();
    await kit.dispatcher.accept(sender.batch(0, [{ message: 'a' }, { message: 'b' }]));
    for (let after = 2; after < 5; after++) await kit.dispatcher.accept(sender.batch(after, [{ message: 'b' }]));
    await kit.clock.advance(100);
    await kit.kill();
    damage(kit.storage, 'normal', 1);
    const next = await DispatchKit.open({ storage: kit.storage, clock: kit.clock, dedupMs: 10_000, writers: { ops: {} } });
    await next.clock.advance(12_000);
    expect(await next.ledger()).to.deep.include({ isBalanced: true, unreported: 3, windows: { open: 0, held: 0 }, unannounced: 0 });
    const { attributes } = next.writer().taken.find(({ event }) => event.type === 'fondaco.Loss')!.event;
    expect(attributes.losses).to.deep.equal([
      { origin: { kind: 'window', id: 'normal/0000000000000002' }, cause: 'corrupt', count: 3, ranges: [[1, 3]] },
    ]);
    await next.stop();
  });

  describe('is not balanced any more', () => {
    async function filled(): Promise<DispatchKit> {
      const kit = await DispatchKit.open({ dedupMs: 10_000, writers: { ops: { filter: { minSeverity: 'warn' } } } });
      const sender = new Sender();
      await kit.dispatcher.accept(
        sender.batch(0, [...numbered('a', 1, 4), ...numbered('a', 1, 2), ...numbered('w', 1, 3, { severity: 'warn' })]),
      );
      await kit.clock.advance(100);
      expect(await kit.ledger()).to.include({ isBalanced: true, dedupDiscrepancy: 0 });
      return kit;
    }

    for (const field of [
      'cursor',
      'delivered',
      'filtered',
      'folded',
      'dead',
      'dropped',
      'expired',
      'acceptedBefore',
      'madeBefore',
    ] as const) {
      it(`when ${field} of a feed's row is off by one`, async () => {
        const kit = await filled();
        tamper(kit.storage, 'feed:ops', (value) => {
          const row = value as FeedRow;
          row.lanes.normal[field]++;
          return row;
        });
        const ledger = await kit.ledger();
        expect(ledger.isBalanced).to.equal(false);
        expect(Math.abs(ledger.writers[0]!.lanes.normal.discrepancy)).to.equal(1);
        await kit.stop();
      });
    }

    it('when a window holds one more than was folded', async () => {
      const kit = await filled();
      tamper(kit.storage, 'window:normal/0000000000000001', (value) => ({ ...(value as object), held: 2 }));
      expect(await kit.ledger()).to.include({ isBalanced: false, dedupDiscrepancy: -1 });
      await kit.stop();
    });

    it('when a window is gone', async () => {
      const kit = await filled();
      const [row] = rowsOf(kit.storage, 'window:');
      kit.storage.apply([{ key: Buffer.from(row!.key), value: undefined }]);
      expect(await kit.ledger()).to.include({ isBalanced: false, dedupDiscrepancy: 1 });
      await kit.stop();
    });

    it('when the row of the counts is lost', async () => {
      const kit = await filled();
      kit.storage.apply([{ key: Buffer.from('ledger'), value: undefined }]);
      expect((await kit.ledger()).isBalanced).to.equal(false);
      await kit.stop();
    });
  });
});
