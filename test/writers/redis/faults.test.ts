import { assert } from 'chai';
import type { RedisWriter } from '../../../writers/redis/writer.ts';
import { failure } from '../../contract/writer-contract.ts';
import { NORMAL, numbered, numbersOf, openRedis, range } from '../../support/redis-kit.ts';
import { missingRedis, RedisServer } from '../../support/redis-server.ts';
import { seeded, testSeed } from '../../support/seeded.ts';
import { TcpTap } from '../../support/tcp-tap.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

const never = new AbortController().signal;
const missing = missingRedis();

(missing === undefined ? describe : describe.skip)(`redis writer, faults${missing === undefined ? '' : ` (${missing})`}`, function () {
  this.timeout(120_000);
  let folder: string;
  let remove: () => Promise<void>;
  let server: RedisServer;
  let writer: RedisWriter;

  before(async () => {
    ({ path: folder, remove } = await tempDirectory());
    server = await RedisServer.start({ folder, args: ['--repl-diskless-sync-delay', '0'] });
  });
  beforeEach(async () => {
    await server.redis.flushall();
    writer = await openRedis({ address: server.address });
  });
  afterEach(async () => writer.close());
  after(async () => {
    await server.stop();
    await remove();
  });

  const numbers = async (): Promise<number[]> => numbersOf(await server.ids(NORMAL));

  it('goes on where it was when Redis is killed and started again, and with SIGTERM', async () => {
    for (const [i, signal] of (['SIGKILL', 'SIGTERM'] as const).entries()) {
      await writer.write(numbered(1 + i * 10, 10 + i * 10), never);
      await server.stop(signal);
      const error = await failure(writer.write(numbered(11 + i * 10, 15 + i * 10), never));
      assert.equal(error.code, 'UNAVAILABLE');
      await until(
        'it is known that nobody listens',
        async () => (await failure(writer.write(numbered(1), never))).facts.unreachable === true,
      );
      await server.start();
      await writer.write(numbered(6 + i * 10, 15 + i * 10), never);
    }
    assert.deepEqual(await numbers(), range(1, 25));
  });

  it('is UNAVAILABLE while Redis is loading, and says so', async () => {
    await writer.write(numbered(1, 3), never);
    for (let key = 0; key < 400; key++) await server.redis.set(`large:${key}`, 'x'.repeat(4000));
    await server.redis.call('BGREWRITEAOF');
    await until('the base is written', async () => /aof_rewrite_in_progress:0[^]*aof_rewrite_scheduled:0/.test(await server.redis.info()));
    await server.stop('SIGTERM');
    const slowly = ['--key-load-delay', '50000', '--loading-process-events-interval-bytes', '1024'];
    await server.start({ isLoading: true, args: slowly });
    const error = await failure(writer.write(numbered(4), never));
    assert.equal(error.code, 'UNAVAILABLE');
    assert.equal(error.facts.status, 'LOADING');
    await server.stop('SIGKILL');
    await server.start();
    await writer.write(numbered(1, 6), never);
    assert.deepEqual(await numbers(), range(1, 6));
  });

  it('adds nothing where there is no memory, and all when there is again', async () => {
    await writer.write(numbered(1, 3), never);
    await server.redis.config('SET', 'maxmemory', '1');
    const error = await failure(writer.write(numbered(2, 10), never));
    assert.equal(error.code, 'UNAVAILABLE');
    assert.equal(error.facts.status, 'OOM');
    await server.redis.config('SET', 'maxmemory', '0');
    assert.deepEqual(await numbers(), [1, 2, 3]);
    await writer.write(numbered(2, 10), never);
    assert.deepEqual(await numbers(), range(1, 10));
  });

  it('keeps everything while the server is a replica (READONLY), asks anew, and goes on when it is a master', async () => {
    await writer.write(numbered(1, 3), never);
    await server.redis.replicaof('127.0.0.1', 1);
    for (let i = 0; i < 2; i++) {
      const error = await failure(writer.write(numbered(2, 5), never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.include(['READONLY', 'MASTERDOWN'], error.facts.status);
    }
    await server.redis.replicaof('NO', 'ONE');
    await writer.write(numbered(2, 5), never);
    assert.deepEqual(await numbers(), range(1, 5));
  });

  it('keeps everything while Redis does not write because it has too few replicas, and refuses a key of another kind', async () => {
    await server.redis.config('SET', 'min-replicas-to-write', '1');
    assert.equal((await failure(writer.write(numbered(1), never))).facts.status, 'NOREPLICAS');
    await server.redis.config('SET', 'min-replicas-to-write', '0');
    await server.redis.set(NORMAL, 'a string');
    const error = await failure(writer.write(numbered(1), never));
    assert.equal(error.code, 'REFUSED');
    assert.equal(error.facts.status, 'WRONGTYPE');
    assert.match(error.message, new RegExp(`the wrong kind of value: ${NORMAL}$`));
    await server.redis.del(NORMAL);
    await server.redis.set(`${NORMAL}:written`, 'a string');
    const other = await failure(writer.write(numbered(1), never));
    assert.equal(other.code, 'REFUSED');
    assert.match(other.message, new RegExp(`the wrong kind of value: ${NORMAL}:written$`));
    await server.redis.del(`${NORMAL}:written`);
    await writer.write(numbered(1), never);
    assert.deepEqual(await numbers(), [1]);
  });

  it('is not on so many replicas: UNAVAILABLE, and nothing twice when it comes again', async () => {
    const folderOfReplica = `${folder}/replica`;
    const replica = await RedisServer.start({ folder: folderOfReplica, args: ['--replicaof', '127.0.0.1', String(server.port)] });
    const careful = await openRedis({ address: server.address, replicas: 1, timeout: '1s' });
    try {
      await until('the replica is there', async () => (await server.redis.info('replication')).includes('state=online'), 60_000);
      let tries = 0;
      const written = async (): Promise<boolean> =>
        careful.write(numbered(1, 5), never).then(
          () => true,
          () => ++tries < 0,
        );
      await until('it is on the replica', written, 60_000);
      assert.deepEqual(numbersOf(await replica.ids(NORMAL)), range(1, 5));
      replica.freeze();
      const error = await failure(careful.write(numbered(1, 7), never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.match(error.message, /must be on 1 replicas, got 0|must answer within/);
      replica.thaw();
      await until(
        'it is on the replica',
        async () =>
          careful.write(numbered(6, 7), never).then(
            () => true,
            () => false,
          ),
        60_000,
      );
      assert.deepEqual(await numbers(), range(1, 7));
    } finally {
      replica.thaw();
      await careful.close();
      await replica.stop();
    }
  });

  it('is UNAVAILABLE after its timeout where Redis hangs, and what it did all the same is known', async () => {
    const hasty = await openRedis({ address: server.address, timeout: '300ms' });
    await hasty.write(numbered(1, 3), never);
    server.freeze();
    const error = await failure(hasty.write(numbered(4, 8), never));
    assert.match(error.message, /must answer within 300 ms/);
    const connecting = await failure(hasty.write(numbered(4, 8), never));
    assert.equal(connecting.code, 'UNAVAILABLE');
    server.thaw();
    await until('what was on its way is done', async () => (await server.redis.xlen(NORMAL)) === 8);
    await hasty.close();
    await writer.write(numbered(4, 12), never);
    assert.deepEqual(await numbers(), range(1, 12));
  });

  it('has each entry once and in order, wherever a connection is cut, in requests and in answers', async () => {
    const tap = await TcpTap.open(server.port);
    const random = seeded(testSeed);
    const cutter = await openRedis({ address: tap.address });
    let failures = 0;
    const LAST = 400;
    try {
      for (let next = 1; next <= LAST;) {
        const to = Math.min(LAST, next + Math.floor(random() * 12));
        const cut = (bytes: Buffer): number => Math.floor(random() * (bytes.length + 1));
        const where = Math.floor(random() * 4);
        tap.cutRequest = where === 0 ? cut : undefined;
        tap.cutAnswer = where === 1 ? cut : undefined;
        const isWritten = await cutter.write(numbered(next, to), never).then(
          () => true,
          (error: unknown) => {
            assert.include(String(error), '[UNAVAILABLE]');
            failures++;
            return false;
          },
        );
        // After a failure: the same, in other cuts.
        if (isWritten) next = to + 1;
        else if (random() < 0.2) next = Math.max(1, next - 15);
      }
    } finally {
      await cutter.close();
      await tap.close();
    }
    assert.isAbove(failures, 20);
    assert.deepEqual(await numbers(), range(1, LAST));
  });

  it('opens one connection a lane and attempt, and none by itself', async () => {
    const tap = await TcpTap.open(server.port);
    const tapped = await openRedis({ address: tap.address });
    await tapped.write(numbered(1, 2), never);
    await tapped.write(numbered(3, 4), never);
    assert.equal(tap.connections, 1);
    tap.cut();
    const scripts = async (): Promise<number> => String(await server.redis.call('CLIENT', 'LIST')).split('cmd=evalsha').length - 1;
    await until('the cut is seen', async () => (await scripts()) === 0);
    assert.equal(tap.connections, 1);
    await tapped.close();
    await tap.close();
  });
});
