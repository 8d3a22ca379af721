/**
 * Mistakes in a config, one rule each, at the real command: exit 78, and one line with file, line, column, key, expected and got; nothing is
 * made on the disk; and the same file, with that mistake mended, starts and delivers. More of them, without processes: test/proxy/config.test.ts.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { fondaco, startProxy } from '../support/fondaco.ts';
import { arrayMembers, fromNative } from '../support/received.ts';
import { Subscriber } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/** Good lines of a config, by the place where a mistake goes. */
const GOOD = [
  'site: plant-7',
  'data: ./data',
  'listen: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }',
  'dedup: { interval: 1s }',
  'writers:',
  '  - name: ops',
  '    kind: http',
  '    url: http://127.0.0.1:9/',
  '    format: json',
  '    batch: { interval: 10ms }',
];

/** The line that is wrong (from 1), what is in its place, and what is said: `line:column: …`. */
const MISTAKES: [line: number, text: string, says: string][] = [
  [1, 'site: ""', '1:7: site must be 1 to 256 bytes without control characters, got ""'],
  [1, 'sight: plant-7', '1:1: sight is unknown, expected any of '],
  [1, 'site: ${PLANT}', '1:7: site: ${PLANT} must be an environment variable that is set, PLANT is not'],
  [1, 'site: [a', 'the config file must be YAML:'],
  [3, 'listen: { grpc: 127.0.0.1, http: 127.0.0.1:0 }', '3:17: listen.grpc must be host:port, [IPv6]:port or unix:/path, got "127.0.0.1"'],
  [3, 'listen: { grpc: 127.0.0.1:0, http: 0.0.0.0:0 }', '3:36: listen.http must be'],
  [4, 'dedup: { interval: 10 }', '4:20: dedup.interval must be a duration from 0s to 1d, got 10'],
  [5, 'wirters:', '5:1: wirters is unknown, expected any of '],
  [6, '  - name: Ops', '6:11: writers[0].name must be 1 to 63 of a-z, 0-9 and -, got "Ops"'],
  [7, '    kind: htpp', '7:11: writers[0].kind must be one of '],
  [8, '    url: "ftp://127.0.0.1/"', '8:10: writers[0].url must be an http:// or https:// URL, got "ftp://127.0.0.1/"'],
  [9, '    formt: json', '9:5: writers[0].formt is unknown, expected any of '],
  [10, '    batch: { eventsMax: 10001 }', '10:25: writers[0].batch.eventsMax must be a whole number from 1 to 10000, got 10001'],
  [
    10,
    '    retry: { policy: give-up }',
    '10:22: writers[0].retry.policy must be one of backoff, constant, suspend, dead-letter, got "give-up"',
  ],
  [
    10,
    '    filter: { minSeverity: fatal }',
    '10:28: writers[0].filter.minSeverity must be one of debug, info, warn, error, critical, got "fatal"',
  ],
];

const replaced = (lines: readonly string[], line: number, text: string): string[] => [
  ...lines.slice(0, line - 1),
  text,
  ...lines.slice(line),
];

describe('bad config, at the real command', function () {
  this.timeout(60_000);
  let folder: string;
  let remove: () => Promise<void>;

  beforeEach(async () => ({ path: folder, remove } = await tempDirectory()));
  afterEach(() => remove());

  const write = (lines: readonly string[], name = 'fondaco.yaml'): string => {
    const file = join(folder, name);
    writeFileSync(file, `${lines.join('\n')}\n`);
    return file;
  };

  /** Four at a time: each is a process that compiles TypeScript. */
  for (let at = 0; at < MISTAKES.length; at += 4) {
    const some = MISTAKES.slice(at, at + 4);
    it(some.map(([, text]) => text.trim()).join(' | '), async () => {
      const runs = some.map(async ([line, text, says], i) => {
        const file = write(replaced(GOOD, line, text), `bad-${i}.yaml`);
        const { code, stderr, stdout } = await fondaco(['proxy', '--config', file], { cwd: folder });
        assert.equal(code, 78, stderr);
        assert.equal(stdout, '');
        const said = stderr.trimEnd().split('\n');
        assert.equal(said[0], 'fondaco: 1 problem in the config', stderr);
        const problems = said.filter((text) => text.includes(`${file}:`));
        assert.lengthOf(problems, 1, stderr);
        const place = problems[0]!.slice(problems[0]!.indexOf(file) + file.length + 1);
        if (/^\d/.test(says)) assert.isTrue(place.startsWith(says), `${place}\nmust begin with\n${says}`);
        else assert.match(place, new RegExp(`^\\d+:\\d+: ${says}`));
        assert.isFalse(existsSync(join(folder, 'data')), 'the data directory was made');
      });
      await Promise.all(runs);
    });
  }

  it('mended, the same file starts and delivers', async () => {
    const subscriber = await Subscriber.open();
    const good = replaced(GOOD, 8, `    url: ${subscriber.url}`);
    const file = write(replaced(good, 4, 'dedup: { interval: 10 }'));
    const refused = await fondaco(['proxy'], { cwd: folder });
    assert.equal(refused.code, 78, refused.stderr);
    assert.include(refused.stderr, `${file}:4:20: dedup.interval must be`);
    write(good);
    const proxy = await startProxy([], { cwd: folder });
    try {
      const env = { FONDACO_PROXY: proxy.grpc, FONDACO_SPOOL_DIR: join(folder, 'spool') };
      const recorded = await fondaco(['record', '-t', 'a.Good', '-m', 'at last'], { cwd: folder, env });
      assert.equal(recorded.code, 0, recorded.stderr);
      await subscriber.until(({ taken }) => taken.length === 1);
      const [event] = arrayMembers(subscriber.taken[0]!.toString()).map(fromNative);
      assert.include(event, { type: 'a.Good', message: 'at last' });
    } finally {
      proxy.child.kill('SIGTERM');
      await proxy.ended;
      await subscriber.close();
    }
  });
});
