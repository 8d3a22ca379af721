/** Where Redis may be: behind TLS and an ACL, in a cluster, behind sentinels, at a unix socket. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { freePorts } from '../../../demo/free-ports.ts';
import { failure } from '../../contract/writer-contract.ts';
import { Authority, missingOpenssl } from '../../support/certificates.ts';
import { NORMAL, numbered, numbersOf, openRedis, range } from '../../support/redis-kit.ts';
import { missingRedis, RedisServer } from '../../support/redis-server.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

const never = new AbortController().signal;
const LIMIT_MS = 60_000;
const missing = missingRedis() ?? missingOpenssl();

(missing === undefined ? describe : describe.skip)(`redis writer, places${missing === undefined ? '' : ` (${missing})`}`, function () {
  this.timeout(120_000);
  let folder: string;
  let remove: () => Promise<void>;
  let servers: RedisServer[];

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    servers = [];
  });
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await remove();
  });

  async function start(name: string, ...args: string[]): Promise<RedisServer> {
    const server = await RedisServer.start({ folder: join(folder, name), args });
    servers.push(server);
    return server;
  }

  it('logs in as the user of an ACL who may do what docs/redis.md says, and is refused as another', async () => {
    const server = await start('acl', '--unixsocket', join(folder, 'redis.sock'));
    const { redis } = server;
    const rights = '~fondaco:{plant-7}:* +evalsha +eval +exists +xinfo +xrange +xadd +hmget +hset +xpending +xtrim +select'.split(' ');
    await redis.acl('SETUSER', 'fondaco', 'on', '>s3cret-word', ...rights);
    await redis.acl('SETUSER', 'reader', 'on', '>s3cret-word', '~*', '+eval', '+evalsha', '+exists', '+xinfo', '+hmget');
    const login = { user: 'fondaco', password: 's3cret-word' };
    for (const address of [server.address, `unix:${join(folder, 'redis.sock')}`]) {
      const writer = await openRedis({ address, ...login, trim: { acknowledged: true, entriesMax: 1000 } });
      await writer.write(numbered(1, 3), never);
      await writer.write(numbered(2, 4), never);
      await writer.close();
    }
    assert.deepEqual(numbersOf(await server.ids(NORMAL)), range(1, 4));
    for (const [wrong, status] of [
      [{ ...login, password: 'another-word' }, 'WRONGPASS'],
      [{ user: 'reader', password: 's3cret-word' }, 'ERR'],
      [{ ...login, prefix: 'elsewhere' }, 'NOPERM'],
      [{ ...login, database: 99 }, 'ERR'],
    ] as const) {
      const writer = await openRedis({ address: server.address, ...wrong });
      const error = await failure(writer.write(numbered(5), never));
      assert.equal(error.code, 'REFUSED', error.message);
      assert.equal(error.facts.status, status);
      assert.notInclude(error.message, '-word');
      await writer.close();
    }
    await redis.config('SET', 'requirepass', 'p');
    const nobody = await openRedis({ address: server.address });
    assert.match((await failure(nobody.write(numbered(5), never))).message, /\[REFUSED\].*NOAUTH/);
    await nobody.close();
  });

  it('speaks TLS with a CA of its own and a client certificate, and says what is wrong with either', async () => {
    const authority = new Authority(folder);
    const [own, client] = [authority.issue('server'), authority.issue('client')];
    const files = ['--tls-cert-file', own.cert, '--tls-key-file', own.key, '--tls-ca-cert-file', authority.ca];
    const server = await RedisServer.reserve({ folder: join(folder, 'tls'), args: [...files, '--tls-auth-clients', 'yes'] });
    servers.push(server);
    const [tlsPort] = await freePorts(1, Math.random);
    await server.start({ args: ['--tls-port', String(tlsPort)] });
    const address = `127.0.0.1:${tlsPort}`;
    const tls = { ca: authority.ca, cert: client.cert, key: client.key };
    const writer = await openRedis({ address, tls });
    await writer.write(numbered(1, 3), never);
    await writer.close();
    assert.deepEqual(numbersOf(await server.ids(NORMAL)), [1, 2, 3]);
    for (const [wrong, says] of [
      [{ cert: client.cert, key: client.key }, /CA that is not trusted here/],
      [{ ca: authority.ca }, /client certificate|closed|ECONNRESET|ended/i],
      [{ ...tls, serverName: 'elsewhere.example' }, /altnames|does not match/],
    ] as const) {
      const refused = await openRedis({ address, tls: wrong });
      const error = await failure(refused.write(numbered(4), never));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.match(error.message, says);
      await refused.close();
    }
    const plain = await openRedis({ address });
    assert.equal((await failure(plain.write(numbered(4), never))).code, 'UNAVAILABLE');
    await plain.close();
  });

  it('finds the node of a cluster that has its slot, also when the slot has moved', async () => {
    const all = await Promise.all(['a', 'b'].map((name) => start(name, '--cluster-enabled', 'yes', '--cluster-node-timeout', '2000')));
    const [one, two] = all as [RedisServer, RedisServer];
    const slot = await one.redis.cluster('KEYSLOT', NORMAL);
    await one.redis.cluster('ADDSLOTSRANGE', 0, slot);
    if (slot < 16_383) await two.redis.cluster('ADDSLOTSRANGE', slot + 1, 16_383);
    await two.redis.call('CLUSTER', 'SET-CONFIG-EPOCH', '2');
    await one.redis.cluster('MEET', '127.0.0.1', two.port);
    const isWhole = async (): Promise<boolean> =>
      (await Promise.all(all.map(({ redis }) => redis.cluster('INFO')))).every((text) => text.includes('cluster_state:ok'));
    await until('the cluster is whole', isWhole, LIMIT_MS);
    const writer = await openRedis({ cluster: [two.address, one.address] });
    await writer.write(numbered(1, 3), never);
    assert.deepEqual(numbersOf(await one.ids(NORMAL)), [1, 2, 3]);

    const [from, to] = await Promise.all(all.map(async ({ redis }) => redis.cluster('MYID')));
    await two.redis.cluster('SETSLOT', slot, 'IMPORTING', from!);
    await one.redis.cluster('SETSLOT', slot, 'MIGRATING', to!);
    await one.redis.call('MIGRATE', '127.0.0.1', String(two.port), '', '0', '5000', 'KEYS', NORMAL, `${NORMAL}:written`);
    const asking = await failure(writer.write(numbered(3, 5), never));
    assert.equal(asking.code, 'UNAVAILABLE');
    assert.equal(asking.facts.status, 'ASK');
    for (const { redis } of [two, one]) await redis.cluster('SETSLOT', slot, 'NODE', to!);
    await writer.write(numbered(3, 5), never);
    await writer.write(numbered(6), never);
    await writer.close();
    assert.deepEqual(numbersOf(await two.ids(NORMAL)), range(1, 6));
  });

  it('goes where sentinels say the master is, over a failover', async () => {
    const master = await start('master', '--repl-diskless-sync-delay', '0');
    const replica = await start('replica', '--replicaof', '127.0.0.1', String(master.port), '--repl-diskless-sync-delay', '0');
    const online = async (): Promise<boolean> => (await master.redis.info('replication')).includes('state=online');
    await until('the replica is there', online, LIMIT_MS);
    const sentinelFolder = join(folder, 'sentinel');
    mkdirSync(sentinelFolder);
    const conf = join(sentinelFolder, 'sentinel.conf');
    const watched = [`monitor main 127.0.0.1 ${master.port} 1`, 'down-after-milliseconds main 1000', 'failover-timeout main 10000'];
    writeFileSync(conf, watched.map((line) => `sentinel ${line}\n`).join(''));
    const sentinel = await RedisServer.sentinel({ folder: sentinelFolder, conf });
    servers.push(sentinel);
    const writer = await openRedis({ sentinel: { addresses: ['127.0.0.1:1', sentinel.address], name: 'main' }, replicas: 1 });
    await until(
      'the first is on both',
      async () =>
        writer.write(numbered(1, 5), never).then(
          () => true,
          () => false,
        ),
      LIMIT_MS,
    );
    await until(
      'the sentinel knows the replica',
      async () => String(await sentinel.redis.call('SENTINEL', 'REPLICAS', 'main')).includes(String(replica.port)),
      LIMIT_MS,
    );
    await master.stop('SIGKILL');
    await writer.close();
    const after = await openRedis({ sentinel: { addresses: [sentinel.address], name: 'main' } });
    await until(
      'it has found the new master',
      async () =>
        after.write(numbered(3, 8), never).then(
          () => true,
          () => false,
        ),
      LIMIT_MS,
    );
    await after.close();
    assert.deepEqual(numbersOf(await replica.ids(NORMAL)), range(1, 8));
    const unknown = await openRedis({ sentinel: { addresses: [sentinel.address], name: 'other' } });
    const error = await failure(unknown.write(numbered(9), never));
    assert.equal(error.code, 'UNAVAILABLE');
    assert.match(error.message, /sentinel/);
    await unknown.close();
  });
});
