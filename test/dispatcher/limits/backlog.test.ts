/** Limits of the journal and of backlogs, in the order in which they are kept. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Lane } from '../../../core/lane.ts';
import type { Budget } from '../../../dispatcher/limits/backlog.ts';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import type { LaneLedger } from '../../../dispatcher/ledger/ledger.ts';
import { verifyLedger } from '../../../dispatcher/ledger/ledger-verify.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import { DispatchKit, numbered, Sender, type KitOptions, type ScriptedWriter } from '../../support/dispatch-kit.ts';

const KIB = 1024;
const TEXT = 'x'.repeat(KIB);
const DAY_MS = 86_400_000;
const AWAY = (): FondacoError => new FondacoError('UNAVAILABLE', 'nobody is there');
const HANGS: ScriptedWriter['answer'] = () => new Promise(() => undefined);

describe('the limits of a backlog', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after = 0;

  async function open(
    budget: Partial<Budget>,
    writers: Record<string, Partial<FeedSettings>>,
    more: Partial<KitOptions> = {},
  ): Promise<void> {
    kit = await DispatchKit.open({ budget: { bytesMax: 1e12, retentionMs: Infinity, ...budget }, writers, recentBytes: 0, ...more });
    sender = new Sender();
    after = 0;
  }

  /** `count` events of about 1 KiB, ten a batch. Resolves with how many were taken before something was refused. */
  async function record(count: number, more: Record<string, unknown> = {}): Promise<number> {
    for (let at = 0; at < count; at += 10) {
      const reply = await kit.dispatcher.accept(sender.batch(after, numbered(TEXT, after + 1, after + 10, more)));
      if (reply.throttleMs !== undefined) return at;
      after += 10;
    }
    await kit.settle();
    return count;
  }

  const laneOf = async (name: string, lane: Lane = 'normal'): Promise<LaneLedger> =>
    (await kit.ledger()).writers.find((writer) => writer.name === name)!.lanes[lane];
  const numbers = (name: string): number[] =>
    kit
      .writer(name)
      .taken.filter(({ event }) => event.message.startsWith('x'))
      .map(({ event }) => Number(event.message.split(' ')[1]));
  const losses = (name: string): Loss[] =>
    kit
      .writer(name)
      .taken.filter(({ event }) => event.type === 'fondaco.Loss')
      .flatMap(({ event }) => (event.attributes as { losses: Loss[] }).losses);
  const seconds = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at++) await kit.clock.advance(1000);
    await kit.settle();
  };

  afterEach(async () => {
    expect((await kit.ledger()).isBalanced).to.equal(true);
    await kit.kill();
  });

  it('trims what was delivered and is older than the retention, not before, whatever the wall clock does', async () => {
    await open({ retentionMs: 100_000 }, { ops: {} });
    await record(100);
    kit.clock.wall += 40 * DAY_MS;
    await seconds(95);
    expect(kit.journal.tail('normal')).to.equal(1);
    await record(100);
    kit.clock.wall -= 80 * DAY_MS;
    await seconds(10);
    expect(kit.journal.tail('normal')).to.be.within(95, 101);
    expect((await kit.journal.read('normal', kit.journal.tail('normal'), 1)).entries).to.not.equal(0);
    await seconds(200);
    expect(kit.journal.bytes('normal')).to.equal(0);
    expect(await laneOf('ops')).to.include({ delivered: 200, dropped: 0, expired: 0 });
  });

  it('never trims what a writer has not settled, nor what an open window needs', async () => {
    await open({ retentionMs: 10_000 }, { ops: {}, slow: {} }, { dedupMs: 300_000 });
    kit.writer('slow').answer = AWAY;
    await record(20);
    await kit.dispatcher.accept(sender.batch(after, [...numbered(TEXT, 1, 1)])); // folds into the first
    await seconds(60);
    expect(kit.journal.tail('normal')).to.equal(1);
    kit.writer('slow').answer = () => undefined;
    await seconds(60);
    expect(kit.journal.tail('normal'), 'the window').to.equal(1);
    await seconds(300);
    expect(kit.journal.tail('normal')).to.be.above(20);
    expect(numbers('slow')).to.have.length(21);
  });

  it('gives the age of what waited on across restarts, a day for each downtime at most', async () => {
    await open({}, { ops: { backlog: { bytesMax: Infinity, ageMaxMs: 3 * DAY_MS, whenFull: 'drop-oldest' } } });
    kit.writer().answer = AWAY;
    await record(10);
    await seconds(3);
    const again = async (): Promise<void> => {
      await kit.kill();
      kit.clock.wall += 400 * DAY_MS;
      const options = { budget: { bytesMax: 1e12, retentionMs: Infinity }, answers: { ops: AWAY } };
      kit = await DispatchKit.open({
        ...options,
        storage: kit.storage,
        clock: kit.clock,
        writers: { ops: { backlog: { bytesMax: Infinity, ageMaxMs: 3 * DAY_MS, whenFull: 'drop-oldest' } } },
      });
      await seconds(3);
    };
    // What came after the last mark counts from the next opening on.
    for (let life = 0; life < 3; life++) await again();
    expect(await laneOf('ops')).to.include({ expired: 0, pending: 10 });
    await again();
    expect(await laneOf('ops')).to.include({ expired: 10, pending: 0 });
  });

  it('lets a writer expire what is too old for it, announces it to all, and numbers what comes after in a fresh series', async () => {
    await open({}, { ops: { backlog: { bytesMax: Infinity, ageMaxMs: 60_000, whenFull: 'drop-oldest' } }, other: {} });
    kit.writer('ops').answer = AWAY;
    await record(100);
    await seconds(30);
    await record(50);
    await seconds(33);
    kit.writer('ops').answer = () => undefined;
    await seconds(40);
    expect(await laneOf('ops')).to.include({ expired: 100, dropped: 0, pending: 0, delivered: 50 });
    expect(numbers('ops')).to.deep.equal(Array.from({ length: 50 }, (_, i) => 101 + i));
    expect(
      kit
        .writer('ops')
        .taken.filter(({ event }) => event.message.startsWith('x'))
        .map(({ delivery }) => delivery.seq),
    ).to.deep.equal(Array.from({ length: 50 }, (_, i) => i + 1));
    const [loss] = losses('other');
    expect(loss).to.include({ cause: 'age', count: 100 });
    expect(loss?.ranges).to.deep.equal([[1, 100]]);
    expect(loss?.origin.series?.[1]).to.equal(kit.writer('ops').taken.find(({ event }) => event.message.startsWith('x'))!.delivery.series);
  });

  it('announces nothing when notices of losses are too old for a dead writer themselves: that would never end', async () => {
    await open({}, { dead: { backlog: { bytesMax: Infinity, ageMaxMs: 60_000, whenFull: 'drop-oldest' } }, well: {} });
    kit.writer('dead').answer = AWAY;
    await record(10);
    await seconds(300);
    expect(losses('well').map(({ cause, count }) => [cause, count])).to.deep.equal([['age', 10]]);
    expect(await laneOf('dead', 'urgent')).to.include({ made: 1, expired: 1, pending: 0 });
    expect((await verifyLedger(kit.journal, new AbortController().signal)).checks.filter(({ isGood }) => !isGood)).to.deep.equal([]);
    await record(10, { severity: 'critical' });
    await seconds(300);
    expect(losses('well').map(({ count }) => count)).to.deep.equal([10, 10]);
  });

  it('drops the oldest of a dead writer beyond its own limit, normal lane before urgent, while the others notice nothing', async () => {
    await open({}, { dead: { backlog: { bytesMax: 300 * KIB, ageMaxMs: Infinity, whenFull: 'drop-oldest' } }, well: {} });
    kit.writer('dead').answer = AWAY;
    for (let round = 0; round < 10; round++) {
      expect(await record(90)).to.equal(90);
      expect(await record(10, { severity: 'critical' })).to.equal(10);
      await seconds(1);
    }
    await seconds(2);
    expect(numbers('well')).to.have.length(1000);
    const { urgent, normal } = { urgent: await laneOf('dead', 'urgent'), normal: await laneOf('dead', 'normal') };
    expect(urgent.dropped, 'critical is kept while something lower is').to.equal(0);
    expect(normal.dropped + normal.pending).to.equal(900);
    expect(normal.pending).to.be.within(100, 200);
    const counted = losses('well').reduce((sum, loss) => sum + loss.count, 0);
    expect(counted).to.equal(normal.dropped);
    kit.writer('dead').answer = () => undefined;
    await seconds(90);
    const got = numbers('dead');
    expect(got).to.have.length(100 + normal.pending);
    expect((await kit.ledger()).writers.every((writer) => writer.lanes.normal.pending === 0)).to.equal(true);
  });

  it('drops critical events of a writer only when nothing lower is left', async () => {
    await open({}, { dead: { backlog: { bytesMax: 100 * KIB, ageMaxMs: Infinity, whenFull: 'drop-oldest' } } });
    kit.writer('dead').answer = AWAY;
    await record(30);
    for (let round = 0; round < 20; round++) {
      await record(10, { severity: 'critical' });
      await seconds(1);
    }
    const [urgent, normal] = [await laneOf('dead', 'urgent'), await laneOf('dead', 'normal')];
    expect(normal).to.include({ dropped: 30, pending: 0 });
    expect(urgent.dropped).to.be.above(0);
    expect(urgent.pending).to.be.above(50);
  });

  it('lets go a write that hangs in what is given up', async () => {
    await open({}, { dead: { backlog: { bytesMax: 100 * KIB, ageMaxMs: Infinity, whenFull: 'drop-oldest' }, writeTimeoutMs: 1e9 } });
    kit.writer('dead').answer = HANGS;
    await record(200);
    await seconds(20);
    const { dropped, pending } = await laneOf('dead');
    expect(dropped + pending).to.equal(200);
    expect(pending).to.be.below(110);
  });

  it('keeps to the limit of a backlog however fast events come, between two looks at the clock', async () => {
    for (const whenFull of ['refuse', 'drop-oldest'] as const) {
      await open({}, { archive: { backlog: { bytesMax: 100 * KIB, ageMaxMs: Infinity, whenFull } } });
      kit.writer('archive').answer = AWAY;
      const taken = await record(1000);
      if (whenFull === 'refuse') expect(taken).to.be.within(90, 150);
      else expect(taken).to.equal(1000);
      expect((await laneOf('archive')).pending, whenFull).to.be.at.most(150);
      if (whenFull === 'refuse') await kit.kill();
    }
  });

  it('has nothing taken in, from anybody, while a writer that refuses to drop is beyond its limit, and says whose backlog it is', async () => {
    await open({}, { archive: { backlog: { bytesMax: 100 * KIB, ageMaxMs: Infinity, whenFull: 'refuse' } }, well: {} });
    kit.writer('archive').answer = AWAY;
    const taken = await record(120);
    await seconds(2);
    expect(await record(10)).to.equal(0);
    expect(kit.backlog.status().refusal).to.equal(`the backlog of writer archive has reached its bytesMax of ${100 * KIB}`);
    kit.writer('archive').answer = () => undefined;
    await seconds(120);
    expect(kit.backlog.status().refusal).to.equal(undefined);
    expect(await record(10)).to.equal(10);
    expect(numbers('archive')).to.deep.equal(Array.from({ length: taken + 10 }, (_, i) => i + 1));
  });

  describe('when the budget of the journal is spent', () => {
    it('trims delivered history first, oldest first, and nobody notices', async () => {
      await open({ bytesMax: 500 * KIB }, { ops: {} });
      for (let round = 0; round < 20; round++) {
        expect(await record(100)).to.equal(100);
        await seconds(1);
      }
      expect(kit.backlog.status().bytes).to.be.within(200 * KIB, 500 * KIB);
      expect(numbers('ops')).to.have.length(2000);
      expect(await laneOf('ops')).to.include({ dropped: 0, delivered: 2000 });
    });

    it('closes windows early whose firsts are in the way', async () => {
      await open({ bytesMax: 300 * KIB }, { ops: {} }, { dedupMs: DAY_MS });
      await record(10);
      await kit.dispatcher.accept(sender.batch(after, numbered(TEXT, 1, 10)));
      after += 10;
      for (let round = 0; round < 10; round++) {
        await record(100);
        await seconds(1);
      }
      expect(kit.journal.tail('normal')).to.be.above(20);
      expect(kit.dispatcher.status().windows.closedEarly).to.be.above(9);
    });

    it('lets the writers furthest behind pay: the others, and ingest, notice nothing', async () => {
      await open({ bytesMax: 500 * KIB }, { dead: {}, slow: {}, well: {} });
      kit.writer('dead').answer = AWAY;
      for (let round = 0; round < 12; round++) {
        expect(await record(100), `round ${round}`).to.equal(100);
        await seconds(1);
      }
      expect(numbers('well')).to.have.length(1200);
      expect(numbers('slow')).to.have.length(1200);
      const { dropped, pending } = await laneOf('dead');
      expect(dropped + pending).to.equal(1200);
      expect(dropped).to.be.above(600);
      expect(losses('well').every(({ cause }) => cause === 'budget')).to.equal(true);
    });

    it('takes nothing from a writer that is a little behind, while the urgent events of a dead one spend the budget', async () => {
      await open({ bytesMax: 300 * KIB }, { dead: {}, slow: {} });
      kit.writer('dead').answer = AWAY;
      let release: (() => void) | undefined;
      kit.writer('slow').answer = async ([first]) => {
        if (first?.delivery.lane === 'normal') await new Promise<void>((resolve) => (release = resolve));
        return undefined;
      };
      await record(10);
      expect(await record(600, { severity: 'critical' })).to.equal(600);
      await seconds(12);
      expect((await laneOf('dead', 'urgent')).dropped).to.be.above(300);
      release!();
      await seconds(3);
      expect((await laneOf('slow')).dropped).to.equal(0);
      expect((await laneOf('slow', 'urgent')).dropped).to.equal(0);
      expect(numbers('slow')).to.have.length(610);
    });

    for (const severity of ['info', 'critical']) {
      it(`refuses nothing, however fast ${severity} events come, while a writer can still pay`, async () => {
        await open({ bytesMax: 500 * KIB }, { dead: {}, well: {} });
        kit.writer('dead').answer = AWAY;
        expect(await record(2000, { severity }), 'one after the other, and no time passes').to.equal(2000);
        const senders = Array.from({ length: 40 }, () => new Sender('normal', 2));
        const batch = numbered(TEXT, 1, 50, { severity });
        const replies = await Promise.all(senders.map(async (each) => kit.dispatcher.accept(each.batch(0, batch))));
        expect(replies.map(({ settled, throttleMs }) => [settled, throttleMs])).to.deep.equal(senders.map(() => [50, undefined]));
        await seconds(3);
        expect(kit.backlog.status().refusal).to.equal(undefined);
        expect(kit.backlog.status().bytes).to.be.at.most(500 * KIB);
        expect(numbers('well')).to.have.length(4000);
        const lane = severity === 'info' ? 'normal' : 'urgent';
        const { dropped, pending } = await laneOf('dead', lane);
        expect(dropped).to.be.above(3000);
        if (lane === 'normal') expect(dropped + pending).to.equal(4000);
      });
    }

    it('waits for a writer that pays only when its hanging write has ended', async () => {
      await open({ bytesMax: 300 * KIB }, { dead: { writeTimeoutMs: 1e9 } });
      kit.writer('dead').answer = HANGS;
      const recording = record(600);
      await seconds(60);
      expect(await recording).to.equal(600);
      expect((await laneOf('dead')).dropped).to.be.above(300);
    });

    it('refuses ingest for a writer that will not pay, drops nothing of the others for it, and goes on when it is back', async () => {
      await open(
        { bytesMax: 300 * KIB },
        { archive: { backlog: { bytesMax: Infinity, ageMaxMs: Infinity, whenFull: 'refuse' } }, dead: {} },
      );
      kit.writer('archive').answer = AWAY;
      kit.writer('dead').answer = AWAY;
      let taken = 0;
      for (let round = 0; round < 10; round++) {
        taken += await record(100);
        await seconds(1);
      }
      expect(taken).to.be.within(200, 300);
      expect(kit.backlog.status().refusal).to.include('by the backlog of writer archive, which refuses to drop');
      expect(await laneOf('dead')).to.include({ dropped: 0 });
      for (const name of ['archive', 'dead']) kit.writer(name).answer = () => undefined;
      await seconds(120);
      expect(await record(100)).to.equal(100);
      expect(numbers('archive')).to.have.length(taken + 100);
    });
  });

  it('on a full disk takes nothing in, trims history, then lets writers pay, and goes on when there is room', async () => {
    const reserve = {
      isHeld: true,
      hasRoom: false,
      give: async () => void (reserve.isHeld = false),
      take: async () => (reserve.isHeld ||= reserve.hasRoom),
    };
    await open({ bytesMax: 1e9 }, { ops: {}, dead: {} }, { reserve });
    await record(300);
    kit.writer('dead').answer = AWAY;
    await record(300);
    kit.storage.fate = () => 'failed';
    await kit.dispatcher.accept(sender.batch(after, numbered(TEXT, 1, 1))).then(
      () => expect.fail('it must not be taken'),
      (error: unknown) => expect((error as FondacoError).code).to.equal('FULL'),
    );
    kit.storage.fate = () => 'taken';
    await seconds(2);
    expect(kit.journal.isLow).to.equal(true);
    expect(await record(10)).to.equal(0);
    expect(kit.backlog.status()).to.include({ isLow: true, refusal: 'the disk is full' });
    expect(kit.journal.tail('normal'), 'history').to.be.within(30, 301);
    expect((await laneOf('dead')).dropped).to.equal(0);
    await seconds(120);
    expect((await laneOf('dead')).dropped, 'the writers').to.be.above(0);
    expect((await laneOf('ops')).dropped).to.equal(0);
    reserve.hasRoom = true;
    await seconds(3);
    expect(kit.backlog.status().isLow).to.equal(false);
    expect(await record(100)).to.equal(100);
    expect(numbers('ops')).to.have.length(700);
  });
});
