/** While a writer was away: what it is told when it is back, exactly once. */
import { assert } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import { LANES } from '../../../core/lane.ts';
import type { Delivery } from '../../../core/writer.ts';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import { readOutages, type KeptOutage } from '../../../dispatcher/feed/outage-rows.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { DispatchKit, numbered, Sender, type KitOptions } from '../../support/dispatch-kit.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { testSeed, seeded } from '../../support/seeded.ts';
import { rowOf, rowsOf } from '../../support/store-audit.ts';

const away = (): FondacoError => new FondacoError('UNAVAILABLE', '503', { status: '503' });
const CRITICAL = { severity: 'critical' };
const MINUTE = 60_000;
/** More of them take longer. */
const LIVES = Number(process.env.FONDACO_LIVES ?? 3);

const outagesIn = (deliveries: readonly Delivery[]): KeptOutage[] =>
  deliveries.filter(({ event }) => event.type === 'fondaco.Outage').map(({ event }) => JSON.parse(event.attributesText) as KeptOutage);

const lossesIn = (deliveries: readonly Delivery[]): Loss[] =>
  deliveries
    .filter(({ event }) => event.type === 'fondaco.Loss')
    .flatMap(({ event }) => (JSON.parse(event.attributesText) as { losses: Loss[] }).losses);

describe('an outage', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after: number;

  const open = async (ops: Partial<FeedSettings> = {}, more: KitOptions = {}): Promise<void> => {
    const settings = { retry: { policy: 'constant', intervalMs: 1000 }, ...ops } as const;
    kit = await DispatchKit.open({ writers: { ops: settings, other: {} }, ...more });
    sender = new Sender();
    after = 0;
  };
  const restart = async (ops: Partial<FeedSettings> = {}, answer = kit.writer().answer): Promise<void> => {
    const { storage, clock } = kit;
    await kit.kill();
    const settings = { retry: { policy: 'constant', intervalMs: 1000 }, ...ops } as const;
    kit = await DispatchKit.open({ storage, clock, answers: { ops: answer }, writers: { ops: settings, other: {} } });
  };
  const record = async (first: number, last: number, more: object = {}): Promise<void> => {
    await kit.dispatcher.accept(sender.batch(after, numbered('a', first, last, { ...more })));
    after += last - first + 1;
    await kit.settle();
  };
  const back = async (): Promise<void> => {
    kit.writer().answer = () => undefined;
    await kit.clock.advance(2000);
  };
  const balanced = async (): Promise<void> => assert.isTrue((await kit.ledger()).isBalanced);

  afterEach(async () => kit.kill());

  it('of more than a minute is told to its writer alone, before the normal backlog, and kept', async () => {
    await open({ batch: { intervalMs: 0, eventsMax: 10, bytesMax: 1e6 } }, { dedupMs: 10_000 });
    kit.writer().answer = away;
    await record(1, 5, { attributes: { x: 1 } });
    await kit.clock.advance(30_000);
    await record(6, 105, { type: 'test.Other', severity: 'warn' });
    await record(200, 202, CRITICAL);
    await record(300, 300, { type: 'test.Same' });
    for (let i = 0; i < 7; i++) await record(300, 300, { type: 'test.Same' });
    await kit.clock.advance(90_000);
    await back();
    const { taken, messages } = kit.writer();
    const [told, ...more] = outagesIn(taken);
    assert.lengthOf(more, 0);
    const at = taken.findIndex(({ event }) => event.type === 'fondaco.Outage');
    assert.equal(taken[at]!.delivery.lane, 'urgent');
    assert.isAtMost(messages.slice(0, at).filter((message) => /^a ([1-9]|[1-9]\d|10\d)$/.test(message)).length, 10, 'a batch at most');
    assert.deepInclude(told, {
      writer: 'ops',
      from: '2026-11-22T08:00:00Z',
      status: '503',
      deliveries: 110,
      folded: 7,
      bySeverity: { info: 7, warn: 100, critical: 3 },
      lost: { expired: 0, dropped: 0, corrupt: 0 },
      dead: 0,
      toCome: { urgent: 0, normal: 107 },
      uncounted: 0,
    });
    assert.deepEqual(told!.byType, { top: [{ type: 'test.Other', deliveries: 100 }, { type: 'test.Event', deliveries: 8 }, { type: 'test.Same', deliveries: 2 }], others: 0 }); // prettier-ignore
    assert.deepEqual(told!.bySource.top, [{ node: 'n1', component: 'c1', deliveries: 110 }]);
    assert.isAbove(told!.durationMs, 120_000);
    assert.isAbove(told!.attempts, 100);
    assert.deepEqual(outagesIn(kit.writer('other').taken), []);
    await balanced();
    const { outages } = await readOutages(kit.journal, { limit: 10, now: kit.clock.now() });
    assert.deepEqual(outages, [told!]);
    assert.deepEqual(rowsOf(kit.storage, 'away:'), []);
  });

  it('of a minute or less is not told', async () => {
    await open();
    kit.writer().answer = away;
    await record(1, 3);
    await kit.clock.advance(58_500);
    await back();
    assert.lengthOf(kit.writer().taken, 3);
    assert.deepEqual((await readOutages(kit.journal, { limit: 10, now: 0 })).outages, []);
  });

  it('is shown while it lasts, and goes on through a restart, a pause and a suspension', async () => {
    await open({ retry: { policy: 'suspend', attempts: 3, initialMs: 1000, maxMs: 1000 } });
    kit.writer().answer = away;
    await record(1, 3);
    await kit.clock.advance(20_000);
    await kit.feed().pause();
    await kit.clock.advance(20_000);
    const { outages } = await readOutages(kit.journal, { limit: 10, now: kit.clock.now() });
    assert.deepInclude(outages[0], { isOpen: true, attempts: 3 } as object);
    await restart();
    await kit.clock.advance(30_000);
    kit.writer().answer = () => undefined;
    await kit.feed().resume();
    await kit.clock.advance(1000);
    const [told] = outagesIn(kit.writer().taken);
    assert.deepInclude(told, { deliveries: 5, attempts: 3, toCome: { urgent: 0, normal: 0 }, toComeMs: 0 });
    assert.approximately(told!.durationMs, 70_000, 100);
    await balanced();
  });

  it('lasts as long as clocks can tell: no jump of the wall clock makes it longer or shorter, but for 24 h of a downtime', async () => {
    await open();
    kit.writer().answer = away;
    await record(1, 1);
    kit.clock.wall += 40 * 86_400_000;
    await kit.clock.advance(30_000);
    kit.clock.wall -= 80 * 86_400_000;
    await kit.clock.advance(10_000);
    await restart(); // the wall clock has not moved since
    kit.clock.wall -= 86_400_000;
    await restart();
    await kit.clock.advance(30_000);
    kit.clock.wall += 5 * 86_400_000;
    const { clock } = kit;
    await restart();
    await clock.advance(1000);
    await back();
    assert.approximately(outagesIn(kit.writer().taken)[0]!.durationMs, 71_000 + 86_400_000, 2500);
  });

  it('is told once where the commit that ends it fails, and where a kill comes before or after it', async () => {
    for (const fate of ['failed', 'failed-but-stored'] as const) {
      await open();
      kit.writer().answer = away;
      await record(1, 3);
      await kit.clock.advance(2 * MINUTE);
      const { storage } = kit;
      storage.fate = () => {
        if (kit.writer().taken.length === 0) return 'taken';
        storage.fate = () => 'taken';
        return fate;
      };
      await back();
      await kit.clock.advance(5000);
      assert.lengthOf(rowsOf(kit.storage, 'outage:ops/'), 1);
      await restart();
      await kit.clock.advance(2 * MINUTE);
      assert.lengthOf(rowsOf(kit.storage, 'outage:ops/'), 1);
      await balanced();
      await kit.kill();
    }
  });

  it('is told past the filter, but for a writer that wants no notices and nothing of that type', async () => {
    for (const notices of [true, false]) {
      await open({ notices, filter: { types: ['test.*'] } });
      kit.writer().answer = away;
      await record(1, 2);
      await kit.clock.advance(2 * MINUTE);
      await back();
      assert.lengthOf(outagesIn(kit.writer().taken), notices ? 1 : 0);
      assert.lengthOf(rowsOf(kit.storage, 'outage:ops/'), 1);
      await balanced();
      await kit.kill();
    }
  });

  it('names the most frequent types and sources, and sums the others', async () => {
    await open();
    kit.writer().answer = away;
    const types = Array.from({ length: 1300 }, (_, i) => ({ type: `test.T${i}`, message: 'm' }));
    const sources = Array.from({ length: 40 }, (_, i) => ({ type: 'test.T7', source: { node: `n${i}\u0001${'x'.repeat(200)}` } }));
    await kit.dispatcher.accept(sender.batch(0, [...types, ...sources]));
    await kit.clock.advance(2 * MINUTE);
    await back();
    const [told] = outagesIn(kit.writer().taken);
    assert.equal(told!.deliveries, 1340);
    assert.deepEqual(told!.byType.top[0], { type: 'test.T7', deliveries: 41 });
    assert.lengthOf(told!.byType.top, 20);
    assert.equal(told!.byType.others, 1340 - 41 - 19);
    const { top, others } = told!.bySource;
    assert.equal(top.reduce((sum, { deliveries }) => sum + deliveries, others), 1340); // prettier-ignore
    assert.isBelow(Buffer.byteLength(JSON.stringify(told)), 20_000);
  });

  it('keeps the last 100', async () => {
    await open();
    const old = { to: '2026-01-01T00:00:00Z' };
    kit.feed().row.outages = 100;
    await kit.journal.commit((draft) => {
      for (let n = 1; n <= 100; n++) draft.put(`outage:ops/${String(n).padStart(16, '0')}`, () => old);
    });
    for (let i = 0; i < 2; i++) {
      kit.writer().answer = away;
      await record(i, i);
      await kit.clock.advance(61_500);
      await back();
    }
    assert.lengthOf(rowsOf(kit.storage, 'outage:ops/'), 100);
    const told = outagesIn(kit.writer().taken);
    const page = await readOutages(kit.journal, { limit: 3, now: 0 });
    assert.deepEqual(page, { outages: [told[1]!, told[0]!, old as KeptOutage], more: 97 });
  });

  describe('longer than ageMax', () => {
    const BACKLOG = { bytesMax: Infinity, ageMaxMs: 30_000, whenFull: 'drop-oldest' } as const;
    const BUDGET = { bytesMax: 1024 ** 3, retentionMs: 3_600_000 };

    it('tells its writer in the end all that it has lost, though the notices of it have expired, too', async () => {
      await open({ backlog: BACKLOG }, { budget: BUDGET });
      kit.writer().answer = away;
      for (let i = 0; i < 9; i++) {
        await record(10 * i, 10 * i + 9);
        if (i % 5 === 0) await record(1000 + i, 1000 + i, CRITICAL);
        await kit.clock.advance(20_000);
      }
      await kit.dispatcher.accept(
        sender.batch(after, [{ message: 'later' }], {
          lost: [{ first: after + 1, last: after + 3, cause: 'spool-full' }],
        }),
      );
      await kit.clock.advance(100_000);
      await kit.dispatcher.accept(new Sender('normal', 2).batch(0, [{ message: 'last' }]));
      await back();
      await kit.clock.advance(5000);
      const ledger = await kit.ledger();
      assert.isTrue(ledger.isBalanced);
      const lanes = ledger.writers.find(({ name }) => name === 'ops')!.lanes;
      const [told] = outagesIn(kit.writer().taken);
      const losses = lossesIn(kit.writer().taken);
      const own = losses.filter(({ origin }) => origin.kind === 'writer').reduce((sum, { count }) => sum + count, 0);
      assert.equal(told!.lost.expired, own, 'what the notices say in the end');
      const { noticesLost } = rowOf(kit.storage, 'ledger') as { noticesLost: number };
      assert.equal(lanes.urgent.expired + lanes.normal.expired - own, noticesLost, 'only notices are not announced');
      const accepted = own - losses.filter(({ origin }) => origin.id === 'ops/urgent').reduce((sum, { count }) => sum + count, 0);
      assert.equal(accepted, 91, 'every event of the normal lane, that of `later` too');
      assert.deepInclude(losses.map(({ cause, count }) => ({ cause, count })), { cause: 'spool-full', count: 3 }); // prettier-ignore
      assert.isBelow(losses.length, 12, 'gaps that follow each other are one');
      const others = lossesIn(kit.writer('other').taken);
      assert.equal(others.filter(({ origin }) => origin.id === 'ops/normal').reduce((sum, { count }) => sum + count, 0), 91); // prettier-ignore
    });
  });

  it(`of two writers, with two lanes, kills and faults at random, is told exactly once and exactly`, async () => {
    const seed = testSeed;
    const random = seeded(seed);
    for (let life = 0; life < LIVES; life++) await randomLife(random, `seed ${seed}, life ${life}`);
  }).timeout(60_000);

  async function randomLife(random: () => number, what: string): Promise<void> {
    const storage = new MemoryStorage();
    const clock = new FakeClock();
    const log: { deliveries: readonly Delivery[]; at: number }[] = [];
    let isAway = false;
    const start = async (): Promise<void> => {
      const answer = async (batch: readonly Delivery[]): Promise<FondacoError | undefined> => {
        await clock.sleep(batch[0]!.delivery.lane === 'urgent' ? 2 : 3);
        if (isAway) return random() < 0.5 ? away() : new FondacoError('REFUSED', '401');
        log.push({ deliveries: batch, at: clock.now() });
        return undefined;
      };
      const batch = { intervalMs: 0, eventsMax: 7, bytesMax: 1e6 };
      const settings = { batch, filter: { types: ['test.*'] }, retry: { policy: 'backoff', initialMs: 500, maxMs: 4000 } } as const;
      kit = await DispatchKit.open({
        storage,
        clock,
        random,
        dedupMs: 5000,
        answers: { ops: answer },
        writers: { ops: settings, other: {} },
      });
    };
    await start();
    const from = new Sender();
    let sent = 0;
    for (let i = 0; i < 40; i++) {
      const luck = random();
      if (luck < 0.45) {
        const events = Array.from({ length: 1 + Math.floor(random() * 20) }, () => {
          const [type, severity] = [['test.A', 'test.B', 'not.C'][Math.floor(random() * 3)], random() < 0.2 ? 'critical' : 'info'];
          return { type, severity, message: `m ${Math.floor(random() * 50)}` };
        });
        await kit.dispatcher.accept(from.batch(sent, events));
        sent += events.length;
      } else if (luck < 0.6) isAway = random() < 0.7;
      else if (luck < 0.66) {
        await kit.kill();
        await start();
      } else await clock.advance(Math.floor(random() * 40_000));
      await clock.advance(1);
    }
    isAway = false;
    await clock.advance(20_000);
    const taken = log.flatMap(({ deliveries, at }) => deliveries.map((each) => ({ each, at })));
    const told = new Map(taken.filter(({ each }) => each.event.type === 'fondaco.Outage').map(({ each }) => [each.entry.position, each]));
    const kept = rowsOf(storage, 'outage:ops/').map(({ value }) => value as KeptOutage);
    assert.deepEqual(outagesIn([...told.values()]), kept, what);
    assert.isTrue((await kit.ledger()).isBalanced, what);
    assert.deepEqual(outagesIn(kit.writer('other').taken), [], what);
    for (const { event } of told.values()) {
      const outage = JSON.parse(event.attributesText) as KeptOutage;
      const sum = Object.values(outage.bySeverity).reduce((a, b) => a + b, 0);
      assert.equal(sum, outage.deliveries, what);
      const at = Date.parse(event.receivedTime);
      for (const lane of LANES) {
        const later = taken.filter(({ each }) => each.delivery.lane === lane && Date.parse(each.event.receivedTime) < at);
        const positions = (isIn: (at: number) => boolean): number =>
          new Set(later.filter(({ at: t }) => isIn(t)).map(({ each }) => each.entry.position)).size;
        assert.isAtLeast(outage.toCome[lane], positions((t) => t > at), `${what}, ${lane}`); // prettier-ignore
        assert.isAtMost(outage.toCome[lane], positions((t) => t >= at), `${what}, ${lane}`); // prettier-ignore
      }
    }
    await kit.kill();
  }
});
