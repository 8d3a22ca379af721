/** An event that a writer wants never folds into one that it does not. */
import { assert } from 'chai';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import type { Filter } from '../../../dispatcher/feed/filter.ts';
import { DispatchKit, Sender, type KitOptions } from '../../support/dispatch-kit.ts';

const WINDOW_MS = 10_000;

describe('dedup of what filters name', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after = 0;

  async function open(writers: Record<string, Partial<FeedSettings>>, options: KitOptions = {}): Promise<void> {
    kit = await DispatchKit.open({ writers, dedupMs: WINDOW_MS, ...options });
  }

  async function nextLife(writers: Record<string, Partial<FeedSettings>>, options: KitOptions = {}): Promise<void> {
    await kit.stop();
    await open(writers, { storage: kit.storage, clock: kit.clock, ...options });
  }

  /** Events with one dedupKey. */
  async function record(...events: Record<string, unknown>[]): Promise<void> {
    await kit.dispatcher.accept(sender.batch(after, events.map((event) => ({ dedupKey: 'k', ...event })))); // prettier-ignore
    after += events.length;
    await kit.settle();
  }

  const got = (name = 'ops'): string[] => kit.writer(name).taken.map(({ event }) => `${event.message} ×${event.count}`);
  const filter = (given: Filter): Partial<FeedSettings> => ({ filter: given });

  beforeEach(() => {
    sender = new Sender();
    after = 0;
  });
  afterEach(async () => {
    assert.isTrue((await kit.ledger()).isBalanced);
    await kit.stop();
  });

  it('keeps apart what an attribute test keeps apart, although the dedupKey is the same', async () => {
    await open({ ops: filter({ attributes: { 'disk.used': { min: 90 } } }), all: {} });
    await record({ message: 'low', attributes: { disk: { used: 10 } } }, { message: 'high', attributes: { disk: { used: 95 } } });
    await kit.clock.advance(WINDOW_MS);
    assert.deepEqual(got(), ['high ×1']);
    assert.deepEqual(got('all'), ['low ×1', 'high ×1']);
  });

  it('still folds what differs elsewhere only', async () => {
    await open({ ops: filter({ attributes: { disk: '*' }, object: { kind: 'Disk' } }) });
    const event = { object: { kind: 'Disk', name: 'a' }, attributes: { disk: 'sda', n: 1 } };
    await record({ ...event, message: '1' }, { ...event, message: '2', attributes: { disk: 'sda', n: 2 } });
    await record({ ...event, message: '3', object: { kind: 'Disk', name: 'b' } });
    await kit.clock.advance(WINDOW_MS + 100);
    assert.deepEqual(got(), ['1 ×1', '1 ×3']);
  });

  it('keeps apart what `not` names, and what another writer names', async () => {
    await open({ ops: filter({ not: { object: { name: 'test*' } } }), eu: filter({ object: { tenant: 'a' } }) });
    await record({ message: 'test', object: { name: 'test1' } }, { message: 'real', object: { name: 'sda', tenant: 'a' } });
    await record({ message: 'tenant b', object: { name: 'sda', tenant: 'b' } });
    assert.deepEqual(got(), ['real ×1', 'tenant b ×1']);
    assert.deepEqual(got('eu'), ['real ×1']);
  });

  it('folds by the dedupKey alone where nobody names anything else', async () => {
    await open({ ops: filter({ minSeverity: 'info', types: ['*'], source: { node: '*' } }) });
    await record({ message: '1', object: { name: 'a' } }, { message: '2', object: { name: 'b' } });
    await kit.clock.advance(WINDOW_MS + 100);
    assert.deepEqual(got(), ['1 ×1', '1 ×2']);
  });

  it('does so from the moment on at which a writer that names something is added', async () => {
    await open({ all: {} });
    await record({ message: 'low', attributes: { used: 1 } });
    await kit.addWriter('ops', filter({ attributes: { used: { min: 90 } } }));
    await record({ message: 'high', attributes: { used: 95 } });
    assert.deepEqual(got(), ['high ×1']);
  });

  it('does so after a restart with a filter that was changed, into a window that is still open', async () => {
    await open({ ops: {} });
    await record({ message: '1', attributes: { used: 1 } }, { message: '2', attributes: { used: 2 } });
    await nextLife({ ops: filter({ attributes: { used: { min: 90 } } }) });
    await record({ message: 'high', attributes: { used: 95 } });
    await kit.clock.advance(100);
    assert.deepEqual(got(), ['high ×1']);
  });

  it('does so for what the filter before the change names, which may still go for some, and for a writer that is away', async () => {
    const named = { attributes: { used: { min: 90 } } };
    await open({ ops: filter(named), away: filter({ object: { kind: 'Disk' } }) });
    await nextLife({ ops: {} });
    await record({ message: 'low', attributes: { used: 1 } }, { message: 'high', attributes: { used: 95 } });
    await record({ message: 'disk', attributes: { used: 1 }, object: { kind: 'Disk' } });
    assert.deepEqual(got(), ['low ×1', 'high ×1', 'disk ×1']);
  });

  it('goes on in windows that were open at a restart', async () => {
    const writers = { ops: filter({ attributes: { used: { min: 90 } } }) };
    await open(writers);
    await record({ message: 'low', attributes: { used: 1 } }, { message: 'high', attributes: { used: 95 } });
    await record({ message: 'low', attributes: { used: 1 } }, { message: 'high', attributes: { used: 95 } });
    await nextLife(writers);
    await record({ message: 'high', attributes: { used: 95 } });
    await kit.clock.advance(WINDOW_MS + 100);
    assert.deepEqual(got(), ['high ×3']);
  });

  it('ends a window with the site and the labels of its first', async () => {
    const writers = {
      eu: filter({ labels: { region: 'eu' } }),
      us: filter({ labels: { region: 'us' } }),
      lab: filter({ source: { site: 'lab' } }),
    };
    await open(writers, { stamp: { site: 'plant-7', labels: { region: 'eu', old: '1' } } });
    await record({ message: 'm' }, { message: 'm' });
    await nextLife(writers, { stamp: { site: 'lab', labels: { region: 'us' } } });
    await record({ message: 'm' }, { message: 'm' });
    await kit.clock.advance(WINDOW_MS + 100);
    assert.deepEqual(got('eu'), ['m ×2']);
    const [summary] = kit.writer('eu').taken;
    assert.deepEqual(summary!.event.labels, { region: 'eu', old: '1' });
    assert.equal(summary!.event.source.site, 'plant-7');
    assert.deepEqual(got('us'), ['m ×1', 'm ×2']);
    assert.deepEqual(got('lab'), ['m ×1', 'm ×2']);
  });
});
