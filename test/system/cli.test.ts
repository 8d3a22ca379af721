import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { plainLines } from '../support/deliveries.ts';
import { fondaco, start, startProxy, type Ran, type RunningProxy } from '../support/fondaco.ts';
import { arrayMembers, fromNative } from '../support/received.ts';
import { Subscriber } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('command line', function () {
  this.timeout(30_000);
  let folder: string;
  let remove: () => Promise<void>;
  let proxy: RunningProxy | undefined;
  let subscriber: Subscriber;

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    subscriber = await Subscriber.open();
  });
  afterEach(async () => {
    if (proxy) {
      proxy.child.kill('SIGTERM');
      await proxy.ended;
      proxy = undefined;
    }
    await subscriber.close();
    await remove();
  });

  const run = async (args: readonly string[], stdin: string | Buffer = ''): Promise<Ran> =>
    fondaco(args, {
      cwd: folder,
      stdin,
      env: { FONDACO_SPOOL_DIR: join(folder, 'spool'), ...(proxy && { FONDACO_PROXY: proxy.grpc, FONDACO_API: proxy.api }) },
    });
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const config = (more = ''): string =>
    write(
      'fondaco.yaml',
      `site: plant-7
listen: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }
writers:
  - { name: ops, kind: http, url: "${subscriber.url}", format: json, batch: { interval: 10ms } }
${more}`,
    );
  const startOurs = async (): Promise<RunningProxy> => {
    config();
    proxy = await startProxy([], { cwd: folder });
    return proxy;
  };
  const delivered = (): ReturnType<typeof fromNative>[] =>
    subscriber.taken.flatMap((body) => arrayMembers(body.toString()).map(fromNative));

  describe('help and mistakes', () => {
    it('lists the verbs and the exit codes, and each verb has examples', async () => {
      const { code, stdout } = await run(['--help']);
      assert.equal(code, 0);
      for (const word of ['proxy', 'record', 'status', 'ledger', 'config', 'Exit codes', '78']) assert.include(stdout, word);
      const helps = await Promise.all(
        [['proxy'], ['record'], ['status'], ['ledger', 'show'], ['config', 'check']].map((verb) => run([...verb, '--help'])),
      );
      for (const help of helps) {
        assert.equal(help.code, 0);
        assert.include(help.stdout, 'Examples:');
      }
    });

    it('exits 64 for what it does not know', async () => {
      const wrong = [
        ['stats'],
        ['status', '--jason'],
        ['record', '--message', 'no type'],
        ['record', '--object-uri', '/x'],
        ['record', '-t', 'a.B', '-f', 'x'],
        [],
      ];
      const results = await Promise.all(wrong.map((args) => run(args)));
      for (const [i, { code }] of results.entries()) assert.equal(code, 64, wrong[i]!.join(' '));
      assert.include(results[0]?.stderr, "unknown command 'stats'");
    });

    it('prints its version', async () => {
      assert.match((await run(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
    });
  });

  describe('config check', () => {
    it('accepts a good config, by every way to name it', async () => {
      const file = config();
      for (const args of [['config', 'check'], ['configs', 'check', file], ['config', 'check', '--config', file], ['config']]) {
        const { code, stdout } = await run(args);
        assert.equal(code, 0, args.join(' '));
        assert.include(stdout, `${file}: valid (site plant-7`);
      }
    });

    it('names all problems on stderr, or as JSON, and exits 78', async () => {
      const file = write('bad.yaml', 'site: ""\nwriters:\n  - { name: a, kind: smoke }\n');
      const { code, stderr, stdout } = await run(['config', 'check', file]);
      assert.equal(code, 78);
      assert.equal(stdout, '');
      assert.include(stderr, `${file}:1:7: site must be`);
      assert.match(stderr, /bad\.yaml:3:22: writers\[0\]\.kind must be one of http, .*, got "smoke"/);
      const json = await run(['config', 'check', file, '--json']);
      assert.equal(json.code, 78);
      const { problems } = JSON.parse(json.stdout) as { problems: { line: number; key: string }[] };
      assert.deepEqual(
        problems.map(({ line, key }) => [line, key]),
        [
          [1, 'site'],
          [3, 'writers[0].kind'],
        ],
      );
    });
  });

  describe('proxy', () => {
    it('exits 78 for a bad config, before it makes the data directory', async () => {
      const file = write('bad.yaml', 'data: ./here\ndedup: { interval: soon }\n');
      const { code, stderr } = await run(['proxy', '--config', file]);
      assert.equal(code, 78);
      assert.include(stderr, `${file}:2:20: dedup.interval must be a duration`);
      assert.isFalse(existsSync(join(folder, 'here')));
      assert.equal((await run(['proxy', '--config', 'none.yaml'])).code, 78);
    });

    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      it(`stops cleanly on ${signal} and exits 0`, async () => {
        const { child, ended } = await startOurs();
        child.kill(signal);
        const { code, stderr } = await ended;
        assert.equal(code, 0, stderr);
        assert.include(stderr, '"proxy stopped"');
      });
    }

    it('refuses a data directory that another process holds, and an address that is in use', async () => {
      const { grpc, child } = await startOurs();
      const second = await run(['proxy']);
      assert.equal(second.code, 69, second.stderr);
      assert.include(second.stderr, String(child.pid));
      const other = write('other.yaml', `data: ./other\nlisten: { grpc: "${grpc}", http: 127.0.0.1:0 }\nwriters: []\n`);
      const third = await run(['proxy', '-c', other]);
      assert.equal(third.code, 69, third.stderr);
      assert.include(third.stderr, `${grpc} is in use`);
    });

    it('shows what comes in without any config of writers', async () => {
      write('fondaco.yaml', 'listen: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }\n');
      proxy = await startProxy([], { cwd: folder });
      assert.equal((await run(['record', '-t', 'demo.Hello', '-m', 'hi there'])).code, 0);
      const line = await proxy.until(({ stdout }) => stdout.split('\n').find((text) => text.endsWith('}')));
      assert.include(JSON.parse(line) as object, { type: 'demo.Hello', message: 'hi there', severity: 'info' });
    });
  });

  describe('record', () => {
    it('records one event from flags, its attributes as they were typed', async () => {
      await startOurs();
      const flags = [
        '--severity',
        'critical',
        '-m',
        'full',
        '--object-kind',
        'Disk',
        '--object-name',
        'sda1',
        '--node',
        'n9',
        '--component',
        'df',
      ];
      const attributes = '{ "neg": -0.0, "f": 1.10, "$&": "$1" }';
      const { code, stdout } = await run([
        'record',
        '-t',
        'disk.Full',
        ...flags,
        '--attributes',
        attributes,
        '--time',
        '2026-11-22T08:00:00.5Z',
      ]);
      assert.equal(code, 0);
      assert.equal(stdout, 'recorded 1, 1 with the proxy\n');
      await subscriber.until(() => delivered().length === 1);
      const [event] = delivered();
      assert.deepInclude(event, {
        type: 'disk.Full',
        severity: 'critical',
        message: 'full',
        time: '2026-11-22T08:00:00.500Z',
        source: { site: 'plant-7', node: 'n9', component: 'df' },
        object: { kind: 'Disk', name: 'sda1' },
        attributesText: attributes,
      });
    });

    it('exits 65 for a mistake in flags, and says which', async () => {
      await startOurs();
      const wrong: [string[], string][] = [
        [['-t', '9bad'], 'type must be a letter'],
        [['-t', 'a.B', '-s', 'fatal'], 'severity must be one of'],
        [['-t', 'a.B', '-a', '[1]'], 'attributes must be a JSON object'],
        [['-t', 'a.B', '-a', '{"x"'], '--attributes must be a JSON object'],
        [['-t', 'a.B', '-a', '{},"type":"x.Y","z":{}'], '--attributes must be a JSON object'],
        [['-t', 'a.B', '--time', 'yesterday'], 'time must be RFC 3339'],
      ];
      const results = await Promise.all(wrong.map(([args]) => run(['record', ...args])));
      for (const [i, { code, stderr }] of results.entries()) {
        assert.equal(code, 65, stderr);
        assert.include(stderr, wrong[i]![1]);
      }
    });

    it('names every bad line of a file and sends the lines around it', async () => {
      await startOurs();
      const shared = fileURLToPath(new URL('../../../shared/data/rejected.ndjson', import.meta.url));
      const bad = existsSync(shared)
        ? readFileSync(shared, 'utf8').trimEnd().split('\n')
        : ['not json', '[]', 'null', '{}', '{"type":"9","severity":"info","message":""}', '{"type":"a","severity":"x","message":""}'];
      const good = plainLines(1, bad.length + 1);
      const lines = bad.flatMap((line, i) => [good[i]!, line]);
      const file = write('events.ndjson', [...lines, good[bad.length]].join('\n'));
      const { code, stderr, stdout } = await run(['record', '--file', file, '--json']);
      assert.equal(code, 65);
      const named = stderr.trimEnd().split('\n');
      assert.lengthOf(named, bad.length, stderr);
      for (const [i, line] of named.entries()) assert.match(line, new RegExp(`^${file}:${2 * i + 2}: \\S+ (must|has)`), bad[i]);
      const total = good.length + bad.length;
      assert.deepInclude(JSON.parse(stdout) as object, {
        recorded: total,
        settled: good.length,
        rejected: bad.length,
        dropped: 0,
        queued: 0,
      });
      await subscriber.until(() => delivered().length >= good.length);
      assert.deepEqual(
        delivered().map(({ message }) => message),
        good.map((_, i) => `tick ${i + 1}`),
      );
    });

    it('reads NDJSON from stdin and splits it on line feeds only', async () => {
      await startOurs();
      const lines = ['one\u2028line', 'two'].map((message) => JSON.stringify({ type: 'a.B', severity: 'info', message }));
      const { code, stderr } = await run(['record'], `${lines.join('\n')}\nnot json`);
      assert.equal(code, 65);
      assert.match(stderr, /^stdin:3: event must be JSON/);
      await subscriber.until(() => delivered().length === 2);
      assert.equal(delivered()[0]?.message, 'one\u2028line');
    });

    it('keeps events on disk while no proxy answers; the next recorder sends them', async () => {
      const { code, stdout } = await run(['record', '--proxy', '127.0.0.1:1', '-t', 'a.First', '-m', 'first']);
      assert.equal(code, 0);
      assert.include(stdout, '0 with the proxy, 1 on disk in ');
      await startOurs();
      const second = await run(['record', '-t', 'a.Second', '-m', 'second']);
      assert.equal(second.code, 0);
      assert.equal(second.stdout, 'recorded 1, 1 with the proxy, and 1 that had waited in the spool\n');
      await subscriber.until(() => delivered().length >= 1);
      await run(['record', '-t', 'a.Third', '-m', 'third']);
      await subscriber.until(
        () => delivered().some(({ type }) => type === 'a.First') && delivered().some(({ type }) => type === 'a.Third'),
      );
    });

    it('exits 66 for a file that cannot be read, 64 for an address that is none, 78 for a setting that is wrong', async () => {
      const environment = fondaco(['record', '-t', 'a.B'], { cwd: folder, env: { FONDACO_PROXY: 'nohost:abc' } });
      const [missing, folderInstead, address, noPort] = await Promise.all([
        run(['record', '--file', 'none.ndjson']),
        run(['record', '--file', folder]),
        run(['record', '-t', 'a.B', '--proxy', 'nowhere']),
        run(['record', '-t', 'a.B', '--proxy', '127.0.0.1:7070,nohost:abc']),
      ]);
      assert.equal(missing.code, 66);
      assert.include(missing.stderr, 'none.ndjson must be readable');
      assert.equal(folderInstead.code, 66);
      for (const { code, stderr } of [address, noPort]) {
        assert.equal(code, 64);
        assert.include(stderr, '--proxy must be host:port or unix:/path');
      }
      assert.equal((await environment).code, 78);
      assert.include((await environment).stderr, 'proxy must be');
    });
  });

  describe('status and ledger', () => {
    it('show a healthy proxy and exit 0', async () => {
      await startOurs();
      await run(['record'], plainLines(1, 20).join('\n'));
      await subscriber.until(() => delivered().length === 20);
      const [status, ledger, plural] = await Promise.all([run(['status']), run(['ledger', 'show']), run(['ledgers'])]);
      assert.equal(status.code, 0, status.stdout);
      assert.match(status.stdout, /^site {6}plant-7/);
      assert.match(status.stdout, /accepted {2}20 events \(0 urgent\), 20 since the start/);
      assert.match(status.stdout, /\nops +delivering +0 +0 +- +0 +-/);
      assert.equal(ledger.code, 0);
      assert.match(ledger.stdout, /\nops +normal +20 +\d+ +/);
      assert.match(ledger.stdout, /\nbalanced\n$/);
      assert.equal(plural.code, 0);
    });

    it('print JSON', async () => {
      await startOurs();
      await run(['record'], plainLines(1, 5).join('\n'));
      const [status, ledger] = await Promise.all([run(['status', '--json']), run(['ledger', '--json'])]);
      assert.deepInclude(JSON.parse(status.stdout) as object, { site: 'plant-7', accepted: { urgent: 0, normal: 5 }, isBalanced: true });
      assert.deepInclude(JSON.parse(ledger.stdout) as object, { accepted: { urgent: 0, normal: 5 }, isBalanced: true });
    });

    it('show a writer that is stuck, why, and exit 1', async () => {
      subscriber.answer = () => ({ status: 503, body: 'down \u001b[2J for\nmaintenance' });
      await startOurs();
      await run(['record', '-t', 'a.B', '-m', 'm']);
      await subscriber.until(({ requests }) => requests.length >= 1);
      let status = await run(['status']);
      for (let i = 0; i < 5 && !status.stdout.includes('retrying'); i++) status = await run(['status']);
      assert.equal(status.code, 1, status.stdout);
      assert.match(status.stdout, /\nops +retrying/);
      assert.match(status.stdout, /it answered: down \S+\[2J for\S*maintenance/);
      assert.notInclude(status.stdout, '\u001b');
    });

    it('say that no proxy answers, and exit 69', async () => {
      const [status, ledger] = await Promise.all([
        run(['status', '--api', 'http://127.0.0.1:1']),
        run(['ledger', 'show', '--api', `unix:${folder}/none.sock`]),
      ]);
      assert.equal(status.code, 69);
      assert.include(status.stderr, 'no proxy answers at http://127.0.0.1:1: connection refused');
      assert.equal(ledger.code, 69);
      assert.include(ledger.stderr, 'there is no such socket');
      assert.equal((await run(['status', '--api', 'ftp://x'])).code, 64);
      const wrong = await run(['status', '--api', subscriber.url]);
      assert.equal(wrong.code, 69);
      assert.include(wrong.stderr, 'is that a proxy?');
    });
  });

  it('ends quietly when the reader of its stdout goes away', async () => {
    await startOurs();
    const running = start(['status'], { cwd: folder, env: { FONDACO_API: proxy!.api } });
    running.child.stdout?.destroy();
    const { code, stderr } = await running.ended;
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
  });
});
