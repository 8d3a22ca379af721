import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { assert } from 'chai';
import type { AgentOrder } from '../support/agent.ts';
import { fondaco, start, type Ran, type Running } from '../support/fondaco.ts';
import { Child } from '../support/processes.ts';
import { Subscriber } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const AGENT = new URL('../support/agent.ts', import.meta.url).pathname;

describe('a proxy beyond its machine', () => {
  let folder: string;
  let remove: () => Promise<void>;
  const run = async (args: readonly string[], env: Record<string, string> = {}): Promise<Ran> => fondaco(args, { cwd: folder, env });
  const path = (file: string): string => join(folder, 'tls', file);
  const text = (file: string): string => readFileSync(path(file), 'utf8').trim();
  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
  });
  afterEach(async () => remove());

  it('is refused without certificates and a token, and told how to get them', async () => {
    writeFileSync(join(folder, 'fondaco.yaml'), 'listen: { grpc: "0.0.0.0:0", http: "0.0.0.0:0" }\n');
    const { code, stderr } = await run(['proxy']);
    assert.equal(code, 78);
    assert.include(stderr, 'fondaco tls init');
    assert.isFalse(existsSync(join(folder, 'data')));
  });

  describe('fondaco tls', () => {
    it('makes files that only those who need them can read, and overwrites none', async () => {
      const made = await run(['tls', 'init', '--name', 'proxy.plant-7.example,10.1.2.3', '--name', 'fd00::7']);
      assert.equal(made.code, 0, made.stderr);
      for (const word of ['tls/server.crt', 'clientCa', 'recorder.open', 'proxy.plant-7.example:7070', 'SECRET'])
        assert.include(made.stdout, word);
      assert.notInclude(made.stdout, text('token'));
      assert.isAtLeast(text('token').length, 40);
      for (const file of ['ca', 'server', 'agent']) {
        assert.equal(statSync(path(`${file}.key`)).mode & 0o777, 0o600);
        assert.equal(statSync(path(`${file}.crt`)).mode & 0o777, 0o644);
      }
      assert.equal(statSync(path('token')).mode & 0o777, 0o600);
      const before = text('ca.key');
      const again = await run(['tls', 'init']);
      assert.equal(again.code, 78);
      assert.include(again.stderr, 'tls/ca.crt must not be there yet: --force replaces it');
      assert.equal(text('ca.key'), before);
      assert.equal((await run(['tls', 'init', '--force', '--json'])).code, 0);
      assert.notEqual(text('ca.key'), before);
      assert.equal(statSync(path('ca.key')).mode & 0o777, 0o600);
    });

    it('issues more from the CA that is there, with the names that were there', async () => {
      assert.include(
        (await run(['tls', 'agent', 'pump-3'])).stderr,
        'ca.crt must be the certificate of a CA, as fondaco tls init makes it',
      );
      await run(['tls', 'init', '--name', 'proxy.plant-7.example,fd00::7']);
      const renewed = await run(['tls', 'server', '--force', '--name', '10.1.2.3', '--json', '--days', '5000']);
      assert.include(renewed.stderr, '--days must be a whole number from 1 to 3650, got "5000"');
      const { stdout } = await run(['tls', 'server', '--force', '--name', '10.1.2.3', '--json']);
      assert.includeMembers((JSON.parse(stdout) as { names: string[] }).names, [
        'localhost',
        '::1',
        'proxy.plant-7.example',
        'fd00::7',
        '10.1.2.3',
      ]);
      assert.equal((await run(['tls', 'agent', 'pump-3'])).code, 0);
      assert.equal((await run(['tls', 'agent', 'pump-3'])).code, 78);
      assert.equal((await run(['tls', 'agent', '../pump'])).code, 64);
      writeFileSync(path('ca.key'), text('agent.key'));
      assert.include((await run(['tls', 'agent', 'pump-4'])).stderr, 'ca.key must be the key of ca.crt');
    });

    it('says what is wrong with a name, and makes nothing then', async () => {
      for (const name of ['10.0.0.300', 'h:7070', 'a b', '-x', 'fe80::1%eth0', ''].map((text) => `--name=${text}`)) {
        const { code, stderr } = await run(['tls', 'init', name]);
        assert.equal(code, 64, name);
        assert.include(stderr, '--name must be a host name or an IP address');
      }
      assert.isFalse(existsSync(join(folder, 'tls')));
    });
  });

  describe('with what fondaco tls init makes', () => {
    let subscriber: Subscriber;
    let proxy: Running;
    let host: string;
    let ports: { grpc: string; http: string };
    let credentials: Record<string, string>;

    beforeEach(async () => {
      subscriber = await Subscriber.open();
      // An address of this machine that is not loopback, where there is one.
      host =
        Object.values(networkInterfaces())
          .flat()
          .find((info) => info?.family === 'IPv4' && !info.internal)?.address ?? '127.0.0.1';
      const made = await run(['tls', 'init', '--name', host]);
      // What it says is what is used, but for the ports.
      const listen = /^ {2}listen:\n(?: {4}.*\n)+/m
        .exec(made.stdout)?.[0]
        .replace(/:707\d/g, ':0')
        .replace(/^ {2}/gm, '');
      const writer = `writers:\n  - { name: ops, kind: http, url: "${subscriber.url}", format: json, batch: { interval: 10ms } }\n`;
      writeFileSync(join(folder, 'fondaco.yaml'), `site: plant-7\n${listen}${writer}`);
      proxy = start(['proxy'], { cwd: folder, env: { FONDACO_LOG_LEVEL: 'trace' } });
      const bound = await proxy.until(({ stderr }) => {
        const line = stderr.split('\n').find((entry) => entry.includes('"proxy started"'));
        return line?.endsWith('}') ? (JSON.parse(line) as { grpc: string; http: string }) : undefined;
      });
      ports = { grpc: bound.grpc.split(':')[1]!, http: bound.http.split(':')[1]! };
      credentials = {
        FONDACO_CA: path('ca.crt'),
        FONDACO_CERT: path('agent.crt'),
        FONDACO_KEY: path('agent.key'),
        FONDACO_TOKEN_FILE: path('token'),
      };
    });
    afterEach(async () => {
      proxy.child.kill('SIGTERM');
      const { stdout, stderr, code } = await proxy.ended;
      await subscriber.close();
      assert.equal(code, 0, stderr);
      const secrets = ['ca.key', 'server.key', 'agent.key'].map((file) => text(file).split('\n')[1]!);
      for (const secret of [text('token'), ...secrets]) assert.notInclude(stdout + stderr, secret);
    });

    const flags = (): string[] => [
      '--ca',
      path('ca.crt'),
      '--cert',
      path('agent.crt'),
      '--key',
      path('agent.key'),
      '--token-file',
      path('token'),
    ];
    const api = (): string => `https://${host}:${ports.http}`;

    it('takes events of an agent and of the command line, delivers them, and tells of it', async () => {
      const order: AgentOrder = {
        component: 'agent',
        proxy: `${host}:${ports.grpc}`,
        directory: join(folder, 'spool'),
        count: 200,
        perBurst: 50,
        pauseMs: 5,
      };
      const agent = await Child.script(AGENT, [JSON.stringify(order)], credentials).ended;
      assert.equal(agent.code, 0, agent.stderr);
      assert.notInclude(agent.stderr, 'Warning', 'the host of a recorder sees no warnings');
      const recorded = await run(['record', '-t', 'test.Hello', '-m', 'hi', '--no-spool', '--proxy', `${host}:${ports.grpc}`, ...flags()]);
      assert.equal(recorded.stdout, 'recorded 1, 1 with the proxy\n', recorded.stderr);
      const status = await run(['status', '--api', api(), ...flags()]);
      assert.equal(status.code, 0, status.stdout + status.stderr);
      assert.include(status.stdout, 'accepted  201 events');
      const ofTheEnvironment = await run(['ledger', 'show'], { ...credentials, FONDACO_API: api() });
      assert.equal(ofTheEnvironment.code, 0, ofTheEnvironment.stderr);
      await until('all is delivered', () => subscriber.taken.join('').includes('"hi"'));
    });

    it('lets in nobody else, says why, and goes on', async () => {
      const [ca, cert, key] = [flags().slice(0, 2), flags().slice(2, 4), flags().slice(4, 6)];
      const cases: [flags: string[], code: number, says: RegExp][] = [
        [[...ca, ...cert, ...key], 77, /wants its token, and none was given/],
        [[...ca, ...cert, ...key, '--token', 'x'.repeat(43)], 77, /wants its token, and the one that was given is not it/],
        [[...cert, ...key, '--token-file', path('token')], 69, /certificate of the proxy at .* is not trusted/],
        [[...ca, '--token-file', path('token')], 69, /wants a client certificate, and none was given/],
      ];
      for (const [given, code, says] of cases) {
        const ran = await run(['status', '--api', api(), ...given]);
        assert.match(ran.stderr, says);
        assert.equal(ran.code, code, ran.stderr);
      }
      const to = ['record', '-t', 'test.Hello', '--proxy', `${host}:${ports.grpc}`, '--spool', join(folder, 'spool')];
      const refused = await run([...to, ...ca, ...cert, ...key, '--token', 'x'.repeat(43)]);
      assert.include(refused.stderr, 'it does not let us in: the token is not that of this proxy');
      assert.include(refused.stdout, '1 on disk');
      assert.equal((await run([...to, ...flags()])).code, 0);
      const status = await run(['status', '--api', api(), ...flags()]);
      assert.include(status.stdout, 'accepted  2 events', 'what was kept goes with the next');
    });
  });
});
