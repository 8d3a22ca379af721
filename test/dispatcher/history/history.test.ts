import { assert } from 'chai';
import { LANES } from '../../../core/lane.ts';
import { History, type HistoryItem, type Place } from '../../../dispatcher/history/history.ts';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';
import { damage } from '../../support/store-audit.ts';

const MINUTE = 60_000;

describe('history', () => {
  let kit: DispatchKit;
  let history: History;
  const normal = new Sender('normal', Date.UTC(2026, 10, 22, 8));
  const urgent = new Sender('urgent', Date.UTC(2026, 10, 22, 8));
  const critical = { severity: 'critical' };

  async function open(options: Parameters<typeof DispatchKit.open>[0] = {}, budget?: { bytes: number; ms: number }): Promise<void> {
    kit = await DispatchKit.open(options);
    history = new History(kit.journal, kit.clock, budget && { budget });
  }
  afterEach(async () => kit.stop());

  const messages = (items: readonly HistoryItem[]): string[] => items.map(({ event }) => event.message);
  /** All pages. */
  async function all(
    request: Partial<Parameters<History['page']>[0]> = {},
  ): Promise<{ items: HistoryItem[]; missing: unknown[]; pages: number }> {
    const items: HistoryItem[] = [];
    const missing: unknown[] = [];
    let pages = 0;
    for (let next: Place | undefined, isFirst = true; isFirst || next; isFirst = false) {
      const page = await history.page({ limit: 7, ...request, ...(next && { before: next }) });
      items.push(...page.items);
      missing.push(...page.missing);
      next = page.next;
      if (++pages > 1000) throw new Error('paging must come to an end');
    }
    return { items, missing, pages };
  }

  it('gives entries newest first, both lanes merged by when they came, each once over its pages', async () => {
    await open();
    const expected: string[] = [];
    for (let i = 1; i <= 40; i++) {
      kit.clock.wall += 1000;
      const isUrgent = i % 3 === 0;
      const sender = isUrgent ? urgent : normal;
      const after = isUrgent ? i / 3 - 1 : i - Math.floor(i / 3) - 1;
      await kit.dispatcher.accept(sender.batch(after, numbered('e', i, i, isUrgent ? critical : {})));
      expected.unshift(`e ${i}`);
    }
    const { items, pages } = await all();
    assert.deepEqual(messages(items), expected);
    assert.equal(pages, 6);
    assert.deepEqual(messages((await history.page({ limit: 1000 })).items), expected);
    assert.isUndefined((await history.page({ limit: 40 })).next);
    assert.deepEqual(messages((await history.page({ limit: 3, lanes: ['urgent'] })).items), ['e 39', 'e 36', 'e 33']);
    const { next } = await history.page({ limit: 13, lanes: ['urgent'] });
    assert.isUndefined(next);
  });

  it('keeps to what was asked for: since, until, and what is wanted', async () => {
    await open();
    const start = kit.clock.now();
    for (let i = 0; i < 300; i++) {
      kit.clock.wall = start + i * MINUTE;
      await kit.dispatcher.accept(normal.batch(i, numbered('e', i, i)));
    }
    const { items } = await all({ since: start + 100 * MINUTE, until: start + 103 * MINUTE });
    assert.deepEqual(messages(items), ['e 102', 'e 101', 'e 100']);
    assert.deepEqual(messages((await all({ until: start + 2 * MINUTE })).items), ['e 1', 'e 0']);
    assert.deepEqual(messages((await all({ wants: ({ message }) => message.endsWith('50') })).items), ['e 250', 'e 150', 'e 50']);
    assert.deepEqual(messages((await all({ since: start + 10_000 * MINUTE })).items), []);
    // A clock that was set back by some minutes hides nothing.
    kit.clock.wall = start + 295 * MINUTE;
    await kit.dispatcher.accept(normal.batch(300, numbered('late', 1, 1)));
    assert.include(messages((await all({ since: start + 294 * MINUTE, until: start + 296 * MINUTE })).items), 'late 1');
    assert.include(messages((await all({ since: start + 298 * MINUTE })).items), 'e 299');
  });

  it('makes folded entries whole, and says which first counts for them', async () => {
    await open({ dedupMs: 10_000 });
    const same = { message: 'link is down', object: { kind: 'Link', name: 'l1' }, attributes: { a: 1 } };
    const keyed = { dedupKey: 'k' };
    await kit.dispatcher.accept(
      normal.batch(0, [
        { ...same, traceparent: '00-1', time: '2026-01-01T00:00:01Z' },
        { ...same, time: '2026-01-01T00:00:02Z' },
        { ...keyed, message: 'first', object: { name: 'x' } },
        { ...keyed, message: 'second' },
      ]),
    );
    const { items } = await history.page({ limit: 10 });
    const ids = items.map(({ event }) => event.id);
    assert.deepEqual(
      items.map(({ entry, event, foldedInto }) => [
        entry.kind,
        event.message,
        event.object?.name,
        event.attributesText,
        event.traceparent,
        event.time,
        foldedInto,
      ]),
      [
        ['folded', 'second', undefined, '{}', undefined, '2026-11-22T08:00:00Z', ids[1]],
        ['accepted', 'first', 'x', '{}', undefined, '2026-11-22T08:00:00Z', undefined],
        ['folded', 'link is down', 'l1', '{"a":1}', undefined, '2026-01-01T00:00:02Z', ids[3]],
        ['accepted', 'link is down', 'l1', '{"a":1}', '00-1', '2026-01-01T00:00:01Z', undefined],
      ].map((row, i) => (i < 2 ? [...row.slice(0, 5), items[i]!.event.time, row[6]] : row)),
    );
    await kit.clock.advance(20_000);
    const summary = (await history.page({ limit: 1 })).items[0]!;
    assert.deepEqual([summary.entry.kind, summary.event.revision], ['made', 1]);
    for (const id of [...ids, summary.event.id]) {
      const found = await history.find(id);
      assert.deepInclude('item' in found ? found.item.event : {}, { id });
    }
  });

  it('names what is damaged, once, and goes on; what is trimmed is just not there', async () => {
    const storage = new MemoryStorage();
    await open({ storage, recentBytes: 0 });
    for (let i = 1; i <= 300; i++) await kit.dispatcher.accept(normal.batch(i - 1, numbered('e', i, i)));
    damage(storage, 'normal', 100);
    damage(storage, 'normal', 173);
    damage(storage, 'normal', 300);
    const { items, missing } = await all();
    assert.equal(items.length, 297);
    assert.sameDeepMembers(
      missing,
      [100, 173, 300].map((position) => ({ lane: 'normal', first: position, last: position })),
    );
    const id = (at: number): string => items.find(({ entry }) => entry.position === at)!.event.id;
    const [kept, gone] = [id(299), id(50)];
    await kit.journal.trim('normal', 90);
    assert.deepEqual((await all()).items.length, 208);
    const found = await history.find(kept);
    assert.isTrue('item' in found);
    const lost = await history.find(gone);
    assert.deepEqual(lost, { looked: [{ lane: 'normal', first: 90, last: 300 }], isAll: true });
    const place = { urgent: 1, normal: 20 };
    assert.deepEqual(await history.from(place), {
      items: [],
      missing: [{ lane: 'normal', first: 20, last: 89 }],
      place: { urgent: 1, normal: 90 },
    });
  });

  it('does not lose its way where the first of a folded entry is gone', async () => {
    const storage = new MemoryStorage();
    await open({ storage, dedupMs: 10_000, recentBytes: 0 });
    for (let i = 0; i < 3; i++) await kit.dispatcher.accept(normal.batch(i, [{ message: 'same' }]));
    damage(storage, 'normal', 1);
    const { items, missing } = await all();
    assert.lengthOf(items, 0);
    assert.sameDeepMembers(
      missing,
      [1, 2, 3].map((position) => ({ lane: 'normal', first: position, last: position })),
    );
  });

  it('stops where it has read enough, and goes on from there', async () => {
    await open({ recentBytes: 0 }, { bytes: 20_000, ms: 2000 });
    for (let i = 0; i < 20; i++) await kit.dispatcher.accept(normal.batch(i * 100, numbered('e', i * 100 + 1, i * 100 + 100)));
    const wants = ({ message }: { message: string }): boolean => message === 'e 5';
    const page = await history.page({ limit: 10, wants });
    assert.lengthOf(page.items, 0);
    assert.isDefined(page.next);
    const { items, pages } = await all({ wants });
    assert.deepEqual(messages(items), ['e 5']);
    assert.isAbove(pages, 3);
  });

  it('finds an id among many others, by the birth of its series and the growth of its seqs', async () => {
    await open({}, { bytes: 3 * 1024 * 1024, ms: 1_000_000 });
    const other = new Sender('normal', Date.UTC(2026, 10, 22, 8, 1));
    const text = 'x'.repeat(500);
    for (let i = 0; i < 100; i++) {
      kit.clock.wall += MINUTE;
      await kit.dispatcher.accept(normal.batch(i * 50, numbered(text, 1, 50)));
      await kit.dispatcher.accept(other.batch(i * 50, numbered(text, 1, 50)));
    }
    const { items } = await history.page({ limit: 1000 });
    for (const index of [0, 51, 500, 999]) {
      const { id } = items[index]!.event;
      const found = await history.find(id);
      assert.equal('item' in found && found.item.event.id, id);
    }
    // Its series was born before all others, and so it is at the other end of the lane.
    const id = items.at(-1)!.event.id.replace(/-\d+$/, '-1');
    const found = await history.find(id);
    assert.deepEqual('item' in found && [found.item.event.id, found.item.entry.seq], [id, 1]);
    assert.deepEqual(await history.find('no id'), { looked: [], isAll: true });
    const absent = await history.find(`${id}000000`);
    assert.isFalse('item' in absent);
  });

  it('finds an event whose sender has its clock days ahead', async () => {
    await open();
    const ahead = new Sender('normal', Date.UTC(2026, 11, 24));
    await kit.dispatcher.accept(ahead.batch(0, numbered('e', 1, 3)));
    const { items } = await history.page({ limit: 1 });
    const found = await history.find(items[0]!.event.id);
    assert.isTrue('item' in found);
  });

  it('goes on from a place, urgent first, and stays where there is nothing', async () => {
    await open();
    const place = history.head;
    assert.deepEqual(await history.from(place), { items: [], missing: [], place });
    await kit.dispatcher.accept(normal.batch(0, [...numbered('n', 1, 2), ...numbered('u', 1, 1, critical)]));
    const first = await history.from(place);
    assert.deepEqual([messages(first.items), first.place], [['u 1'], { urgent: 2, normal: 1 }]);
    const second = await history.from(first.place);
    assert.deepEqual([messages(second.items), second.place], [['n 1', 'n 2'], { urgent: 2, normal: 3 }]);
    assert.deepEqual((await history.from(second.place)).place, history.head);
    assert.deepEqual(
      LANES.map((lane) => history.head[lane]),
      [2, 3],
    );
  });
});
