/** examples/redis-worker.js as docs/redis.md tells of it: several instances, one of them killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { NORMAL, numbered, openRedis, SITE, URGENT } from '../../support/redis-kit.ts';
import { missingRedis, RedisServer } from '../../support/redis-server.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

const WORKER = fileURLToPath(new URL('../../../examples/redis-worker.js', import.meta.url));
const GROUP = 'mailer';
const LIMIT_MS = 60_000;
const never = new AbortController().signal;
const missing = missingRedis();

interface Instance {
  readonly child: ChildProcess;
  readonly worked: () => string[];
}

(missing === undefined ? describe : describe.skip)(
  `a work queue on consumer groups${missing === undefined ? '' : ` (${missing})`}`,
  function () {
    this.timeout(4 * LIMIT_MS);
    let server: RedisServer;
    let remove: () => Promise<void>;
    let instances: Instance[];

    before(async () => {
      const { path, remove: removeFolder } = await tempDirectory();
      remove = removeFolder;
      instances = [];
      server = await RedisServer.start({ folder: path, args: ['--appendfsync', 'no'] });
    });
    after(async () => {
      for (const { child } of instances) child.kill('SIGKILL');
      await server.stop();
      await remove();
    });

    function start(name: string, claimMs = 600_000): Instance {
      const env = { PATH: process.env.PATH, REDIS: `redis://${server.address}`, SITE, GROUP, INSTANCE: name, CLAIM_MS: String(claimMs) };
      const child = spawn(process.execPath, [WORKER], { env, stdio: ['ignore', 'pipe', 'inherit'] });
      let text = '';
      child.stdout.on('data', (bytes: Buffer) => (text += String(bytes)));
      const instance = { child, worked: () => [...text.matchAll(/^worked on (\S+) /gm)].map(([, id]) => id!) };
      instances.push(instance);
      return instance;
    }

    const pending = async (name?: string): Promise<number> => {
      const counts = await Promise.all(
        [URGENT, NORMAL].map((stream) => server.redis.call('XPENDING', stream, GROUP, '-', '+', '1000', ...(name ? [name] : []))),
      );
      return counts.reduce((sum: number, entries) => sum + (entries as unknown[]).length, 0);
    };

    /** Every entry was given to somebody. */
    const isRead = async (): Promise<boolean> => {
      const groups = await Promise.all([URGENT, NORMAL].map((stream) => server.redis.xinfo('GROUPS', stream)));
      return groups.every((group) => String(group).includes('lag,0'));
    };

    it('has every event worked on when an instance is killed, each by one of those that live', async () => {
      const [first, second, third] = [start('first'), start('second'), start('third')];
      const writer = await openRedis({ address: server.address });
      let next = 1;
      const write = async (count: number): Promise<void> => {
        await writer.write(numbered(next, next + count - 1), never);
        await writer.write(numbered(next, next, { lane: 'urgent', ids: 10_000 }), never);
        next += count;
      };
      await until(
        'each has worked',
        async () => {
          await write(5);
          return [first, second, third].every(({ worked }) => worked().length > 0);
        },
        LIMIT_MS,
      );
      // What a killed instance had in hand: given to it, and never acknowledged.
      await until(
        'it has something in hand',
        async () => {
          first.child.kill('SIGSTOP');
          await write(5);
          if ((await pending('first')) > 0) return true;
          first.child.kill('SIGCONT'); // it stood between two reads, and was given nothing
          return false;
        },
        LIMIT_MS,
      );
      first.child.kill('SIGKILL');
      await write(200);
      await writer.close();
      await until(
        'nothing is in hand but what it had',
        async () => (await pending()) === (await pending('first')) && (await isRead()),
        LIMIT_MS,
      );
      const fourth = start('fourth', 1);
      await until('nothing is in hand', async () => (await pending()) === 0, LIMIT_MS);
      const written = [...(await server.ids(NORMAL)), ...(await server.ids(URGENT))].sort();
      const all = [first, second, third, fourth];
      await until('all of them have said so', () => new Set(all.flatMap(({ worked }) => worked())).size === written.length, LIMIT_MS);
      const living = [second, third, fourth].flatMap(({ worked }) => worked());
      assert.deepEqual([...new Set([...first.worked(), ...living])].sort(), written);
      assert.lengthOf(living, new Set(living).size, 'worked on by two that live');
      assert.isAbove(fourth.worked().length, 0);
      for (const { child } of [second, third, fourth]) {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        assert.equal(await ended, 0);
      }
    });
  },
);
