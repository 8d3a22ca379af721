/** Delivery series, cursors and filters across lives, holes and failures. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import type { Filter } from '../../../dispatcher/feed/filter.ts';
import type { DiskOperation } from '../../../journal/disk.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import { DispatchKit, numbered, Sender, type ScriptedWriter } from '../../support/dispatch-kit.ts';
import { auditStore, damage } from '../../support/store-audit.ts';

const hang: ScriptedWriter['answer'] = () => new Promise(() => undefined);

function payloads(deliveries: readonly Delivery[]): unknown[] {
  return deliveries.map(({ event, delivery, entry }) => ({ event: JSON.stringify(event), text: event.attributesText, delivery, entry }));
}

describe('a feed across epochs', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after = 0;
  let settings: Partial<FeedSettings>;
  /** All that any life of the writer was sent, the requests that were never answered included. */
  let sent: Delivery[];

  async function open(ops: Partial<FeedSettings> = {}): Promise<void> {
    settings = ops;
    sent = [];
    kit = await DispatchKit.open({ writers: { ops } });
    sender = new Sender();
    after = 0;
  }

  async function nextLife(ops = settings, answer: ScriptedWriter['answer'] = () => undefined, recentBytes = 1 << 22): Promise<void> {
    sent.push(...kit.writer().requests.flatMap(({ deliveries }) => deliveries));
    await kit.kill();
    kit = await DispatchKit.open({ storage: kit.storage, clock: kit.clock, writers: { ops }, answers: { ops: answer }, recentBytes });
    settings = ops;
  }

  async function record(text: string, first: number, last: number, more: Record<string, unknown> = {}): Promise<void> {
    await kit.dispatcher.accept(sender.batch(after, numbered(text, first, last, more)));
    after += last - first + 1;
    await kit.settle();
  }

  const taken = (): string[] => kit.writer().taken.map(({ event, delivery }) => `${event.message} ${delivery.seq}`);
  const seriesOf = (message: string): string => kit.writer().taken.find(({ event }) => event.message === message)!.delivery.series;
  const linesOf = async (lane: 'urgent' | 'normal' = 'normal'): Promise<Record<string, number>> => ({
    ...(await kit.ledger()).writers.find(({ name }) => name === 'ops')!.lanes[lane],
  });

  afterEach(async () => {
    expect((await kit.ledger()).isBalanced).to.equal(true);
    await kit.kill();
  });

  it('keeps series and seq of what was pending, and numbers the new epoch from 1 in a fresh one', async () => {
    await open();
    await record('a', 1, 2);
    kit.writer().answer = hang;
    await record('a', 3, 5);
    const old = kit.writer().taken[0]!.delivery.series;
    await nextLife();
    await record('b', 1, 2);
    await kit.clock.advance(100);
    expect(taken()).to.deep.equal(['a 3 3', 'a 4 4', 'a 5 5', 'b 1 1', 'b 2 2']);
    expect(seriesOf('a 3')).to.equal(old);
    expect(seriesOf('b 1')).not.to.equal(old);
    for (const { deliveries } of kit.writer().requests) expect(new Set(deliveries.map(({ entry }) => entry.epoch)).size).to.equal(1);
  });

  it('takes a fresh series for each of several epochs that were all pending', async () => {
    await open();
    kit.writer().answer = hang;
    for (let life = 1; life <= 4; life++) {
      await record(`${life}`, 1, 3);
      await nextLife(settings, hang);
    }
    await nextLife();
    await kit.clock.advance(100);
    expect(kit.writer().sizes).to.deep.equal([3, 3, 3, 3]);
    expect(kit.writer().taken.map(({ delivery }) => delivery.seq)).to.deep.equal([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
    expect(new Set(kit.writer().taken.map(({ delivery }) => delivery.series)).size).to.equal(4);
  });

  it('never uses the key of an entry for another one, also when an older copy of the store is restored', async () => {
    await open();
    await record('a', 1, 3);
    const older = kit.storage.copy();
    const first = kit.writer().taken;
    await record('a', 4, 6);
    const lost = kit.writer().taken;
    await kit.kill();
    kit.clock.wall -= 86_400_000; // and the wall clock is a day behind
    kit = await DispatchKit.open({ storage: older, clock: kit.clock, writers: { ops: {} } });
    await kit.dispatcher.accept(new Sender().batch(0, numbered('z', 1, 3)));
    await kit.clock.advance(100);
    const names = new Map<string, string>();
    for (const { event, entry, delivery } of [...first, ...lost, ...kit.writer().taken]) {
      for (const key of [`${delivery.lane} ${entry.birth}-${entry.position}`, `${delivery.series} ${delivery.seq}`]) {
        expect(names.get(key) ?? event.message, key).to.equal(event.message);
        names.set(key, event.message);
      }
    }
    expect(kit.writer().taken.map(({ entry }) => entry.position)).to.deep.equal([4, 5, 6]);
  });

  it('goes on in a fresh series when the journal was opened again under a running feed', async () => {
    await open();
    await record('a', 1, 2);
    kit.storage.fate = () => 'failed';
    await kit.dispatcher.accept(sender.batch(after, numbered('x', 1, 1))).catch(() => undefined);
    kit.storage.fate = () => 'taken';
    await kit.clock.advance(500);
    await record('a', 3, 4);
    expect(taken()).to.deep.equal(['a 1 1', 'a 2 2', 'a 3 1', 'a 4 2']);
    expect(seriesOf('a 1')).not.to.equal(seriesOf('a 3'));
  });

  describe('with a hole', () => {
    async function holed(): Promise<{ from: number; to: number }> {
      await open();
      kit.writer().answer = hang;
      for (const [text, count] of [
        ['a', 3],
        ['b', 4],
        ['c', 2],
      ] as const)
        await record(text, 1, count); // a blob each
      const hole = damage(kit.storage, 'normal', 5);
      expect(hole).to.deep.equal({ from: 4, to: 8 });
      await nextLife(settings, () => undefined, 0);
      await kit.clock.advance(3000);
      return hole;
    }

    it('counts what is damaged as dropped, ends the series before it and begins one after it', async () => {
      await holed();
      const normal = kit.writer().taken.filter(({ delivery }) => delivery.lane === 'normal');
      expect(normal.map(({ event, delivery }) => `${event.message} ${delivery.seq}`)).to.deep.equal([
        'a 1 1',
        'a 2 2',
        'a 3 3',
        'c 1 1',
        'c 2 2',
      ]);
      expect(seriesOf('a 1')).not.to.equal(seriesOf('c 1'));
      expect(await linesOf()).to.include({ delivered: 5, dropped: 4, pending: 0, discrepancy: 0 });
    });

    it('announces it once, with positions, count and both series', async () => {
      await holed();
      const notices = kit.writer().taken.filter(({ event }) => event.type === 'fondaco.Loss');
      expect(notices).to.have.lengthOf(1);
      expect(notices[0]!.event.attributes).to.deep.equal({
        count: 4,
        losses: [
          {
            origin: { kind: 'writer', id: 'ops/normal', series: [seriesOf('a 1'), seriesOf('c 1')] },
            cause: 'corrupt',
            count: 4,
            ranges: [[4, 7]],
          },
        ],
      });
    });
  });

  it('at the end of an epoch, names in the notice of a hole the very series that goes on after it', async () => {
    await open();
    kit.writer().answer = hang;
    await record('a', 1, 3);
    await record('b', 1, 4);
    await nextLife(settings, hang, 0);
    await record('c', 1, 2);
    damage(kit.storage, 'normal', 5);
    await nextLife(settings, () => undefined, 0);
    await kit.clock.advance(3000);
    const notice = kit.writer().taken.find(({ event }) => event.type === 'fondaco.Loss')!;
    const [loss] = notice.event.attributes.losses as Loss[];
    expect(loss!.origin.series).to.deep.equal([seriesOf('a 1'), seriesOf('c 1')]);
  });

  describe('with another filter', () => {
    const all: Filter = {};
    const warn: Filter = { minSeverity: 'warn' };
    const mixed = async (text: string): Promise<void> => {
      await record(text, 1, 2);
      await record(text, 3, 4, { severity: 'warn' });
    };

    it('sends what may have been in flight once more as it was, and goes by the new one from there on, in a new series', async () => {
      await open({ filter: all, batch: { intervalMs: 0, eventsMax: 2, bytesMax: 1 << 20 } });
      kit.writer().answer = hang;
      await mixed('a');
      await mixed('b');
      await nextLife({ ...settings, filter: warn }, () => undefined);
      await kit.clock.advance(100);
      expect(taken()).to.deep.equal(['a 1 1', 'a 2 2', 'a 3 3', 'a 4 4', 'b 3 1', 'b 4 2']);
      expect(seriesOf('a 1')).to.equal(sent[0]!.delivery.series);
      expect(seriesOf('b 3')).not.to.equal(seriesOf('a 1'));
      expect(await linesOf()).to.include({ delivered: 6, filtered: 2, pending: 0 });
    });

    it('goes on like that across a crash in the middle of it', async () => {
      await open({ filter: all, batch: { intervalMs: 0, eventsMax: 2, bytesMax: 1 << 20 } });
      kit.writer().answer = hang;
      await mixed('a');
      await mixed('b');
      await nextLife({ ...settings, filter: warn }, hang);
      await kit.clock.advance(100);
      const again = kit.writer().requests[0]!.deliveries;
      await nextLife();
      await kit.clock.advance(100);
      expect(payloads(kit.writer().taken.slice(0, again.length))).to.deep.equal(payloads(again));
      expect(taken().slice(-2)).to.deep.equal(['b 3 1', 'b 4 2']);
    });

    it('takes effect for good before anything is sent by it, whatever the filter of the life after a crash', async () => {
      await open({ filter: all, batch: { intervalMs: 0, eventsMax: 2, bytesMax: 1 << 20 } });
      kit.writer().answer = hang;
      await mixed('a');
      await mixed('b');
      const { storage } = kit;
      const isFeeds = (operations: readonly DiskOperation[]): boolean => operations.some(({ key }) => key.toString() === 'feed:ops');
      storage.fate = (operations) => (kit.writer().taken.length === 4 && isFeeds(operations) ? 'hangs' : 'taken');
      await nextLife({ ...settings, filter: warn });
      await kit.clock.advance(100);
      expect(taken()).to.deep.equal(['a 1 1', 'a 2 2', 'a 3 3', 'a 4 4']);
      storage.fate = () => 'taken';
      await nextLife({ ...settings, filter: all });
      await kit.clock.advance(100);
      expect(taken()).to.deep.equal(['a 3 3', 'a 4 4', 'b 1 1', 'b 2 2', 'b 3 3', 'b 4 4']);
      expect(seriesOf('a 3')).to.equal(sent[0]!.delivery.series);
    });

    it('goes by the new one at once where nothing can have been in flight', async () => {
      await open({ filter: all });
      await mixed('a');
      expect(taken()).to.have.lengthOf(4);
      await nextLife({ filter: warn });
      await mixed('b');
      expect(taken()).to.deep.equal(['b 3 1', 'b 4 2']);
      expect(await linesOf()).to.include({ filtered: 2, pending: 0 });
    });

    it('of types goes by globs, in which a dot is a dot', async () => {
      await open({ filter: { types: ['cluster.*', 'disk.Full'] } });
      for (const type of ['cluster.A', 'clusterXA', 'disk.Full', 'diskXFull', 'disk.FullNow', 'cluster.B.C']) {
        await record(type, 1, 1, { type });
      }
      expect(kit.writer().taken.map(({ event }) => event.type)).to.deep.equal(['cluster.A', 'disk.Full', 'cluster.B.C']);
      expect(kit.writer().taken.map(({ delivery }) => delivery.seq)).to.deep.equal([1, 2, 3]);
    });

    it('lets loss notices pass, unless it was told not to', async () => {
      for (const notices of [true, false]) {
        await open({ filter: { types: ['nothing'] }, notices });
        await kit.dispatcher.accept(sender.batch(0, [], { lost: [{ first: 1, last: 3, cause: 'memory-full' }] }));
        await kit.clock.advance(2000);
        expect(kit.writer().taken.map(({ event }) => event.type)).to.deep.equal(notices ? ['fondaco.Loss'] : []);
        expect(await linesOf('urgent')).to.include({ made: 1, delivered: notices ? 1 : 0, filtered: notices ? 0 : 1 });
        if (notices) await kit.kill();
      }
    });

    it('does not take an agent for the proxy: an event that only calls itself a loss notice, or a heartbeat, is rejected', async () => {
      await open();
      for (const type of ['fondaco.Loss', 'fondaco.Heartbeat']) {
        const other = new Sender();
        const { rejections } = await kit.dispatcher.accept(other.batch(0, numbered('a', 1, 1, { type, severity: 'critical' })));
        expect(rejections).to.deep.equal([{ seq: 1, reason: `type must be another than those that proxies record, got ${type}` }]);
      }
      await record('b', 1, 1, { type: 'fondaco.SpoolDamaged' });
      await kit.clock.advance(2000);
      expect(kit.writer().taken.map(({ event }) => event.message))
        .to.include('b 1')
        .and.not.include('a 1');
    });
  });

  describe('of a writer that is added later', () => {
    it('begins at the head, and its books balance from there', async () => {
      await open();
      await record('a', 1, 3);
      const late = await kit.addWriter('late');
      await record('a', 4, 5);
      expect(late.taken.map(({ event, delivery }) => `${event.message} ${delivery.seq}`)).to.deep.equal(['a 4 1', 'a 5 2']);
    });

    it('balances also when it comes while a commit is in flight', async () => {
      await open();
      let release = (): void => undefined;
      kit.storage.delay = () => new Promise((resolve) => (release = resolve));
      const reply = kit.dispatcher.accept(sender.batch(0, numbered('a', 1, 3)));
      await kit.settle();
      const adding = kit.addWriter('late');
      await kit.settle();
      kit.storage.delay = () => Promise.resolve();
      release();
      await Promise.all([reply, adding]);
      await kit.clock.advance(100);
      const late = (await kit.ledger()).writers.find(({ name }) => name === 'late')!;
      expect(late.lanes.normal).to.include({ discrepancy: 0, pending: 0 });
    });

    it('and goes on where it was when it is gone for a life', async () => {
      await open();
      await kit.addWriter('late');
      await record('a', 1, 2);
      await nextLife(); // without it
      await record('a', 3, 4);
      const late = await kit.addWriter('late');
      await kit.clock.advance(100);
      expect(late.taken.map(({ event }) => event.message)).to.deep.equal(['a 3', 'a 4']);
    });
  });

  it('passes over a long stretch that nobody wants in pieces, and counts each entry once', async () => {
    await open({ filter: { minSeverity: 'error' } });
    for (let i = 0; i < 25; i++) await record('a', i * 1000 + 1, (i + 1) * 1000);
    await record('last', 1, 1, { severity: 'error' });
    await kit.clock.advance(1000);
    expect(taken()).to.deep.equal(['last 1 1']);
    expect(await linesOf()).to.include({ filtered: 25_000, delivered: 1, pending: 0 });
    expect(auditStore(kit.storage).accepted).to.equal(25_001);
  });

  it('keeps series, seq and keys of what was sent when settling it fails and the process is killed', async () => {
    await open();
    kit.storage.fate = (operations) => (operations.some(({ key }) => key.toString() === 'feed:ops') ? 'failed' : 'taken');
    await record('a', 1, 4);
    const first = kit.writer().requests[0]!.deliveries;
    await kit.clock.advance(300);
    kit.storage.fate = () => 'taken';
    await nextLife();
    await kit.clock.advance(1000);
    expect(payloads(kit.writer().taken)).to.deep.equal(payloads(first));
    kit.writer().answer = () => new FondacoError('UNAVAILABLE', 'away');
  });
});
