import { assert } from 'chai';
import type { Draft, Journal } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';
import { newLife, writeBack } from '../../recorder/life.ts';
import type { SeriesRow, SpoolLane } from '../../recorder/spool.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('recorder, writing back what is settled', () => {
  it('keeps what its row does not say is settled, though it was while the row was written', async () => {
    const events = { changed: () => undefined, rejected: () => undefined, unreadable: () => undefined, damaged: () => undefined };
    const life = newLife('', 0, { clock: new FakeClock(), events });
    const store = life.stores.normal;
    const reply = (settled: number) => ({ series: store.window.series, settled, journal: 'j', rejections: [] });
    store.last = 10;
    store.window.send(5);
    store.window.send(10);
    store.window.reply(reply(5));
    let row: SeriesRow | undefined;
    const trimmed: number[] = [];
    const commit = async (build: (draft: Draft) => void): Promise<void> => {
      build({ put: (key: string, value: () => unknown) => void (key.endsWith('normal') && (row = value() as SeriesRow)) } as Draft);
      await Promise.resolve();
      store.window.reply(reply(10));
    };
    const trim = async (lane: Lane, position: number): Promise<void> => void trimmed.push(position);
    life.journal = { commit, trim, tail: () => 1 } as unknown as Journal;
    store.spool = { last: 10, forget: () => 0, positionToKeep: (seq: number) => seq + 1 } as unknown as SpoolLane;
    await writeBack(life);
    assert.strictEqual(row?.settled, 5);
    assert.deepEqual(trimmed, [6]);
  });
});
