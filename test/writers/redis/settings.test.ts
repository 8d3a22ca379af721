import { assert } from 'chai';
import { parseEndpoint, showEndpoint } from '../../../writers/redis/address.ts';
import { movedTo, refusal } from '../../../writers/redis/answer.ts';
import { ownStreams, redisProblems, redisPromise, redisSettings, resolved } from '../../../writers/redis/settings.ts';
import { Secrets } from '../../../writers/secrets.ts';
import type { RedisInput } from '../../support/redis-kit.ts';

const one = { address: 'h' };
const problems = (settings: RedisInput): string[] =>
  redisProblems(redisSettings.parse(settings)).map(({ key, message }) => `${key.join('.')} ${message}`.trim());

describe('redis settings', () => {
  it('take one place, with the ports that Redis and its sentinels have', () => {
    assert.deepEqual(resolved(redisSettings.parse(one), 'plant-7').endpoints, [{ host: 'h', port: 6379 }]);
    const sentinel = { addresses: ['a', '[::1]:7'], name: 'main' };
    assert.deepEqual(resolved(redisSettings.parse({ sentinel }), 'plant-7').sentinels, [
      { host: 'a', port: 26_379 },
      { host: '::1', port: 7 },
    ]);
    assert.deepEqual(problems({ cluster: ['a', 'b:7'] }), []);
    assert.deepEqual(problems({}), ['must have one of address, cluster and sentinel']);
    assert.deepEqual(problems({ ...one, cluster: ['a'] }), ['must have one of address, cluster and sentinel']);
  });

  const wrong: readonly [settings: RedisInput, says: RegExp][] = [
    [{ ...one, user: 'u' }, /^user must have its password beside it/],
    [{ sentinel: { addresses: ['a'], name: 'm', user: 'u' } }, /^sentinel.user must have its password beside it/],
    [{ ...one, tls: { cert: 'c' } }, /^tls.cert must have its key beside it/],
    [{ address: 'unix:/s', tls: {} }, /^tls must not stand beside a unix socket/],
    [{ ...one, timeout: '1s', connectTimeout: '2s' }, /^connectTimeout must be at most timeout/],
    [{ cluster: ['a'], database: 1 }, /^database must be 0 with cluster/],
    [{ cluster: ['a'], replicas: 1 }, /^replicas must not stand beside cluster/],
    [{ cluster: ['a'], prefix: 'x' }, /^prefix must have a part in \{braces\}/],
    [{ cluster: ['a'], prefix: 'x{}y' }, /^prefix must have a part in \{braces\}/],
  ];
  for (const [settings, says] of wrong) {
    it(`refuse ${JSON.stringify(settings)}`, () => {
      const [first, ...rest] = problems(settings);
      assert.match(first!, says);
      assert.lengthOf(rest, 0);
    });
  }

  it('read addresses, and show them', () => {
    const good = ['h:6379', '10.0.0.1:1', '[fe80::1]:6379', 'unix:/run/redis.sock'];
    for (const text of good) assert.equal(showEndpoint(parseEndpoint(text, 6379)!), text);
    for (const text of ['', 'h:', 'h:0', 'h:65536', 'redis://h', 'unix:relative', 'a b', '[h]:1'])
      assert.isUndefined(parseEndpoint(text, 6379), text);
  });

  it('say what a delivery is worth, and whose streams they are', () => {
    const promise = (more: object): string => redisPromise(redisSettings.parse({ ...one, ...more }));
    assert.equal(promise({}), 'once');
    assert.equal(promise({ replicas: 2 }), 'once, on 2 replicas');
    assert.equal(promise({ trim: { entriesMax: 10 } }), 'once; all but the last 10 are trimmed, read or not');
    assert.equal(ownStreams(redisSettings.parse(one)), 'the streams of this site at h:6379');
    assert.notEqual(ownStreams(redisSettings.parse(one)), ownStreams(redisSettings.parse({ ...one, database: 1 })));
  });
});

describe('what Redis answers', () => {
  const secrets = new Secrets(['s3cret']);
  const rows: readonly [answer: string, code: string][] = [
    ['LOADING Redis is loading the dataset in memory', 'UNAVAILABLE'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'UNAVAILABLE'],
    ["READONLY You can't write against a read only replica.", 'UNAVAILABLE'],
    ['MISCONF Redis is configured to save RDB snapshots', 'UNAVAILABLE'],
    ['NOREPLICAS Not enough good replicas to write.', 'UNAVAILABLE'],
    ['CLUSTERDOWN Hash slot not served', 'UNAVAILABLE'],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'UNAVAILABLE'],
    ['BUSY Redis is busy running a script.', 'UNAVAILABLE'],
    ['ERR max number of clients reached', 'UNAVAILABLE'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'REFUSED'],
    ['NOAUTH Authentication required.', 'REFUSED'],
    ["NOPERM this user has no permissions to run the 'evalsha' command", 'REFUSED'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'REFUSED'],
    ["CROSSSLOT Keys in request don't hash to the same slot", 'REFUSED'],
    ["ERR unknown command 'EVALSHA', with args beginning with: 's3cret'", 'REFUSED'],
  ];
  for (const [answer, code] of rows) {
    it(`${answer}: ${code}`, () => {
      const error = refusal('redis h', answer, secrets);
      assert.equal(error.code, code);
      assert.notInclude(error.message, 's3cret');
      assert.notInclude(error.facts.answer, 's3cret');
    });
  }

  it('says where a slot has moved', () => {
    assert.deepEqual(movedTo('MOVED 1234 10.0.0.7:6379'), { host: '10.0.0.7', port: 6379 });
    assert.deepEqual(movedTo('MOVED 1234 fe80::1:6379'), { host: 'fe80::1', port: 6379 });
    assert.deepEqual(movedTo('MOVED 1234 :6379'), { host: '', port: 6379 });
    assert.isUndefined(movedTo('ASK 1234 10.0.0.7:6379'));
  });
});
