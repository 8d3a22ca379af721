import { assert } from 'chai';
import type { Delivery } from '../../../core/writer.ts';
import { redisSettings } from '../../../writers/redis/settings.ts';
import { RedisWriter } from '../../../writers/redis/writer.ts';
import { failure, writerContract } from '../../contract/writer-contract.ts';
import { deliveries, eventOf, plainLines } from '../../support/deliveries.ts';
import { BIRTH, idOf, NORMAL, numbered, numbersOf, openRedis, range, receivedOf, SITE, URGENT } from '../../support/redis-kit.ts';
import { missingRedis, RedisServer, type StreamEntry } from '../../support/redis-server.ts';
import { tapHooks, type Tapped } from '../../support/tap-hooks.ts';
import { TcpTap } from '../../support/tcp-tap.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

const never = new AbortController().signal;
const EVENT = '$5\r\nevent\r\n';
const OTHER_SERIES = '0199e0c4-7b1e-7000-8000-0000000000aa';

const missing = missingRedis();
(missing === undefined ? describe : describe.skip)(`redis writer${missing === undefined ? '' : ` (${missing})`}`, () => {
  let server: RedisServer;
  let remove: () => Promise<void>;

  before(async function () {
    this.timeout(90_000);
    const { path, remove: removeFolder } = await tempDirectory();
    remove = removeFolder;
    server = await RedisServer.start({ folder: path, args: ['--appendfsync', 'no'] });
  });
  beforeEach(async () => void (await server.redis.flushall()));
  after(async () => {
    await server.stop();
    await remove();
  });

  writerContract('redis', {
    ...tapHooks<Tapped>((sent) => sent.includes(EVENT)),
    resend: 'once',
    open: async () => {
      await server.redis.flushall();
      return { tap: await TcpTap.open(server.port) };
    },
    openWriter: async ({ tap }) => openRedis({ address: tap.address }),
    payloads: ({ tap }) => entriesIn(Buffer.concat(tap.sent)),
    received: async () => [...(await server.entries(NORMAL)), ...(await server.entries(URGENT))].map(receivedOf),
    openUnreachable: async () => {
      const closed = await TcpTap.open(server.port);
      const { address } = closed;
      await closed.close();
      return openRedis({ address });
    },
  });

  /** Of each write that was sent, what stands behind the names of the fields. */
  function entriesIn(sent: Buffer): string[] {
    const commands = sent.toString('latin1').split(/\*\d+\r\n\$7\r\nevalsha\r\n/);
    return commands.filter((command) => command.includes(EVENT)).map((command) => command.slice(command.indexOf(EVENT)));
  }

  describe('what is in the streams', () => {
    let writer: RedisWriter;
    beforeEach(async () => (writer = await openRedis({ address: server.address })));
    afterEach(async () => writer.close());

    it('gives an entry plain fields, always the same, and the whole event', async () => {
      const full = eventOf(
        '{"type":"cluster.LeaderElected","severity":"info","time":"2026-11-22T08:00:00Z","message":"node n2 leads","object":{"kind":"Node","name":"n2"}}',
        7,
      );
      await writer.write(deliveries([full, eventOf(plainLines(1, 1)[0]!)], { first: 3 }), never);
      const [first, second] = (await server.entries(NORMAL)) as [StreamEntry, StreamEntry];
      assert.equal(first.entry, `${BIRTH}-3`);
      const { event, ...plain } = first.fields;
      assert.deepEqual(plain, {
        id: '0199e0c4-7b1e-7000-8000-000000000001-7',
        type: 'cluster.LeaderElected',
        severity: 'info',
        time: '2026-11-22T08:00:00Z',
        source: '//plant-7/n1/test',
        object: 'Node/n2',
        message: 'node n2 leads',
        count: '1',
      });
      assert.deepInclude(JSON.parse(event!), { id: plain.id, delivery: { ...deliveries([full])[0]!.delivery, seq: 3 } });
      assert.deepEqual(Object.keys(second.fields), Object.keys(first.fields));
    });

    it('has a stream for each lane, whose keys are in one slot of a cluster', async () => {
      await writer.write(numbered(1, 2), never);
      await writer.write(numbered(1, 3, { lane: 'urgent' }), never);
      assert.deepEqual([await server.redis.xlen(NORMAL), await server.redis.xlen(URGENT)], [2, 3]);
      assert.deepEqual((await server.redis.keys('*')).sort(), [NORMAL, URGENT, `${NORMAL}:written`, `${URGENT}:written`].sort());
    });

    it('puts them where the prefix says', async () => {
      const other = await openRedis({ address: server.address, prefix: 'ops' });
      await other.write(numbered(1, 2), never);
      await other.close();
      assert.equal(await server.redis.xlen('ops:normal'), 2);
    });

    it('delivers dead letters again in a stream of their own, each once', async () => {
      await writer.write([...numbered(1, 4), ...numbered(6, 8)], never);
      const replay = (positions: number[], series: string): Delivery[] =>
        positions.map((position, i) => ({
          ...numbered(position)[0]!,
          isReplay: true,
          delivery: { ...numbered(1)[0]!.delivery, series, seq: i + 1 },
        }));
      const five = replay([5], OTHER_SERIES);
      await writer.write(five, never);
      await writer.write(five, never);
      await writer.write(replay([2, 3], OTHER_SERIES.replace('aa', 'bb')), never);
      assert.deepEqual(await numbers(`${NORMAL}:replayed`), [5, 2, 3]);
      assert.deepEqual(await numbers(), [1, 2, 3, 4, 6, 7, 8]);
    });
  });

  describe('a batch that comes again', () => {
    let writer: RedisWriter;
    beforeEach(async () => (writer = await openRedis({ address: server.address })));
    afterEach(async () => writer.close());

    it('is there once, whatever its cuts, also from another life of the writer', async () => {
      await writer.write(numbered(1, 10), never);
      for (const [from, to] of [
        [1, 10],
        [3, 5],
        [8, 14],
        [1, 20],
      ] as const) {
        await writer.write(numbered(from, to), never);
      }
      const next = await openRedis({ address: server.address });
      await next.write(numbered(15, 22), never);
      await next.close();
      assert.deepEqual(await numbers(), range(1, 22));
    });

    it('is known although a reader has deleted what it has read, and although the stream was trimmed', async () => {
      await writer.write(numbered(1, 10), never);
      for (const position of [2, 3, 10]) await server.redis.xdel(NORMAL, `${BIRTH}-${position}`);
      await server.redis.xtrim(NORMAL, 'MAXLEN', 5);
      await writer.write(numbered(1, 15), never);
      assert.deepEqual(await numbers(), [5, 6, 7, 8, 9, ...range(11, 15)]);
      await server.redis.xtrim(NORMAL, 'MAXLEN', 0);
      await writer.write(numbered(11, 17), never);
      assert.deepEqual(await numbers(), [16, 17]);
    });

    it('is refused where nothing shows that it was there: a gap in what was written is not filled', async () => {
      await writer.write([...numbered(1, 4), ...numbered(6, 8)], never);
      const error = await failure(writer.write(numbered(5), never));
      assert.equal(error.code, 'REFUSED');
      assert.include(error.message, `${BIRTH}-5 with event ${idOf(5)}`);
      assert.include(error.message, `reaches to ${BIRTH}-8 with event ${idOf(8)}`);
    });

    it('goes into a stream that begins again when somebody has deleted it', async () => {
      await writer.write(numbered(1, 5), never);
      await server.redis.del(NORMAL);
      const error = await failure(writer.write(numbered(6, 8), never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.match(error.message, /Redis has lost it, or somebody has deleted the stream/);
      await writer.write(numbered(6, 8), never);
      assert.deepEqual(await numbers(), [6, 7, 8]);
    });
  });

  describe('a journal that was restored from an older copy', () => {
    let writer: RedisWriter;
    beforeEach(async () => (writer = await openRedis({ address: server.address })));
    afterEach(async () => writer.close());

    it('never makes a new entry look like one that Redis has', async () => {
      await writer.write(numbered(1, 10), never);
      // The copy knew of 1 to 6 and had delivered 4; what it numbers from 7 on is new, in an epoch of its own.
      await writer.write(numbered(5, 6), never);
      const fresh = numbered(7, 9, { birth: BIRTH + 5000, ids: 1000 });
      await writer.write(fresh, never);
      await writer.write(fresh, never);
      assert.deepEqual(await numbers(), [...range(1, 10), 1007, 1008, 1009]);
    });

    it('is refused where its clock made an epoch of before: naming both', async () => {
      await writer.write(numbered(1, 10), never);
      const same = await failure(writer.write(numbered(7, 9, { ids: 1000 }), never));
      assert.equal(same.code, 'REFUSED');
      assert.include(same.message, `${BIRTH}-7 with event ${idOf(1007)}, got event ${idOf(7)} at that id`);
      const before = await failure(writer.write(numbered(7, 9, { birth: BIRTH - 1, ids: 1000, series: OTHER_SERIES }), never));
      assert.equal(before.code, 'REFUSED');
      assert.include(before.message, `${BIRTH - 1}-7 with event ${idOf(1007)}`);
      assert.include(before.message, `reaches to ${BIRTH}-10 with event ${idOf(10)}`);
      assert.deepEqual(await numbers(), range(1, 10));
    });
  });

  describe('a stream that somebody else writes to', () => {
    let writer: RedisWriter;
    beforeEach(async () => (writer = await openRedis({ address: server.address })));
    afterEach(async () => writer.close());

    it('goes on where their entries lie between ours, and is refused where they are ahead', async () => {
      await writer.write(numbered(1, 3), never);
      await server.redis.xadd(NORMAL, `${BIRTH}-4`, 'theirs', 'x');
      await writer.write(numbered(5, 6), never);
      await server.redis.xadd(NORMAL, '*', 'theirs', 'x');
      const top = (await server.entries(NORMAL)).at(-1)!.entry;
      const error = await failure(writer.write(numbered(7, 9), never));
      assert.equal(error.code, 'REFUSED');
      assert.include(error.message, `${BIRTH}-7 with event ${idOf(7)}`);
      assert.include(error.message, `it reaches to ${top} with event (none of ours)`);
      await server.redis.del(NORMAL);
    });

    it('adds nothing of a batch that their entry lies in: never a hole', async () => {
      await writer.write(numbered(1, 3), never);
      await server.redis.xadd(NORMAL, `${BIRTH}-6`, 'theirs', 'x');
      const error = await failure(writer.write(numbered(4, 10), never));
      assert.equal(error.code, 'REFUSED');
      assert.include(error.message, `${BIRTH}-4 with event ${idOf(4)}`);
      assert.deepEqual(
        (await server.entries(NORMAL)).map(({ entry }) => entry),
        [1, 2, 3, 6].map((position) => `${BIRTH}-${position}`),
      );
      await server.redis.xdel(NORMAL, `${BIRTH}-6`);
      assert.equal((await failure(writer.write(numbered(4, 10), never))).code, 'REFUSED');
    });

    it('is refused where their entry has the id of ours', async () => {
      await server.redis.xadd(NORMAL, `${BIRTH}-2`, 'id', 'theirs');
      await writer.close();
      writer = await openRedis({ address: server.address });
      const error = await failure(writer.write(numbered(2, 3), never));
      assert.include(error.message, `${BIRTH}-2 with event ${idOf(2)}, got event theirs at that id`);
    });
  });

  describe('trimming', () => {
    it('keeps about entriesMax, read or not, and knows a repeat of what is trimmed', async () => {
      const writer = await openRedis({ address: server.address, trim: { entriesMax: 200 } });
      await writer.write(numbered(1, 500), never);
      await writer.write(numbered(501, 1000), never);
      await writer.write(numbered(501, 1010), never);
      await writer.close();
      const kept = await numbers();
      assert.isBelow(kept.length, 400);
      assert.deepEqual(kept, range(kept[0]!, 1010));
    });

    it('warns where a group has not read what it takes out, once a minute', async () => {
      const warnings: unknown[] = [];
      const logger = { warn: (facts: object) => void warnings.push(facts) };
      const settings = redisSettings.parse({ address: server.address, trim: { entriesMax: 100 } });
      const writer = await RedisWriter.open(settings, { site: SITE, logger });
      await writer.write(numbered(1, 300), never);
      for (const group of ['quick', 'slow']) await server.redis.xgroup('CREATE', NORMAL, group, '0');
      await read('quick', 1000);
      await read('slow', 1);
      for (let from = 301; from <= 1000; from += 100) {
        await writer.write(numbered(from, from + 99), never);
        await read('quick', 1000);
      }
      await writer.close();
      assert.deepEqual(warnings, [{ stream: NORMAL, groups: ['slow'] }]);
      assert.lengthOf(writer.warnings(), 1);
      assert.match(writer.warnings()[0]!, /out of fondaco:\{plant-7\}:normal that were not read: consumer group slow, last at 2\d{3}-/);
    });

    it('takes out what every group has acknowledged, and nothing else', async () => {
      const writer = await openRedis({ address: server.address, trim: { acknowledged: true } });
      await writer.write(numbered(1, 600), never);
      assert.equal(await server.redis.xlen(NORMAL), 600);
      for (const group of ['one', 'two']) await server.redis.xgroup('CREATE', NORMAL, group, '0');
      await read('one', 600);
      await read('two', 400);
      await server.redis.xack(NORMAL, 'one', ...range(1, 600).map((position) => `${BIRTH}-${position}`));
      await server.redis.xack(
        NORMAL,
        'two',
        ...range(1, 399)
          .filter((n) => n !== 350)
          .map((position) => `${BIRTH}-${position}`),
      );
      await writer.write(numbered(601, 601), never);
      await writer.close();
      const kept = await numbers();
      assert.isAtMost(kept[0]!, 350);
      assert.isAbove(kept[0]!, 100);
      assert.deepEqual(kept, range(kept[0]!, 601));
    });
  });

  describe('a Redis that loses what it had taken', () => {
    it('is noticed, and with a resendWindow gets it again', async () => {
      const writer = await openRedis({ address: server.address, resendWindow: 100 });
      assert.equal(writer.resendWindow, 100);
      await writer.write(numbered(1, 10), never);
      assert.isFalse(writer.hasBroken('normal'));
      const kept = await server.redis.dump(NORMAL);
      assert.isNotNull(kept);
      await server.redis.del(NORMAL);
      await openRedis({ address: server.address }).then(async (other) => {
        await other.write(numbered(1, 7), never);
        await other.close();
      });
      await server.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await until('it has noticed', () => writer.hasBroken('normal'));
      const error = await failure(writer.write(numbered(11, 12), never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.include(error.message, `must reach to ${BIRTH}-10, which it had taken, got its end at ${BIRTH}-7`);
      await writer.write(numbered(4, 12), never); // as the feed does
      assert.isFalse(writer.hasBroken('normal'));
      assert.deepEqual(await numbers(), range(1, 12));
      await writer.close();
    });
  });

  async function numbers(stream = NORMAL): Promise<number[]> {
    return numbersOf(await server.ids(stream));
  }

  async function read(group: string, count: number): Promise<void> {
    await server.redis.xreadgroup('GROUP', group, 'c', 'COUNT', count, 'STREAMS', NORMAL, '>');
  }
});

assert.equal(NORMAL, `fondaco:{${SITE}}:normal`);
