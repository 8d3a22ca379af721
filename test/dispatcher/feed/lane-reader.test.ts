import { expect } from 'chai';
import type { FeedLane } from '../../../dispatcher/feed/feed-row.ts';
import { LaneReader } from '../../../dispatcher/feed/lane-reader.ts';
import type { Journal } from '../../../core/journal.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';

describe('the reader of a lane', () => {
  const limits = { eventsMax: 100, bytesMax: 1 << 20 };
  const row = (cursor: number): FeedLane => ({ cursor, epoch: 1, series: 's', seq: 0 }) as FeedLane;

  async function filled(count: number, more: Record<string, unknown> = {}): Promise<DispatchKit> {
    const kit = await DispatchKit.open({ recentBytes: 0 });
    const sender = new Sender();
    for (let i = 0; i < count; i++) await kit.dispatcher.accept(sender.batch(i, numbered('a', i + 1, i + 1, more)));
    return kit;
  }

  /** The journal, with something done while it is being read. */
  function during(journal: Journal, act: () => void): Journal {
    const read: Journal['read'] = async (...args) => {
      const stretch = await journal.read(...args);
      act();
      return stretch;
    };
    return new Proxy(journal, { get: (target, key) => (key === 'read' ? read : (Reflect.get(target, key, target) as unknown)) });
  }

  it('skips nothing when it is cleared while it waits for the disk: the journal was opened again', async () => {
    const kit = await filled(3);
    let isOn = false;
    const journal = during(kit.journal, () => isOn && reader.clear());
    const reader: LaneReader = new LaneReader(journal, 'ops', 'normal');
    const first = await reader.next(row(1), () => true, { ...limits, eventsMax: 2 });
    expect(first).to.include({ kind: 'write', from: 1, to: 3 });
    const sender = new Sender();
    for (let i = 0; i < 3; i++) await kit.dispatcher.accept(sender.batch(i, numbered('b', i + 1, i + 1)));
    isOn = true;
    const step = await reader.next(row(1), () => true, limits);
    expect(step?.kind === 'write' && step.deliveries.map(({ entry }) => entry.position)).to.deep.equal([1, 2, 3, 4, 5, 6]);
    await kit.stop();
  });

  it('holds a bounded number of bytes, also of what nobody wants', async () => {
    const kit = await filled(20);
    const big = new Sender();
    const events = numbered('big', 1, 100, { attributes: { fill: 'x'.repeat(32_000) } });
    for (let i = 0; i < 8; i++) await kit.dispatcher.accept(big.batch(i * 100, events)); // 25 MB
    const reader = new LaneReader(kit.journal, 'ops', 'normal');
    const step = await reader.next(row(1), () => false, limits);
    expect(step).to.include({ kind: 'pass', from: 1 });
    expect(step?.kind === 'pass' ? step.to : 0).to.be.within(200, 400); // some 8 MiB of it
    await kit.stop();
  });
});
