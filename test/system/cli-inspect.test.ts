import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { parse } from 'yaml';
import { CliScene } from '../support/cli-scene.ts';
import { plainLines } from '../support/deliveries.ts';

describe('command line: doctor, config, ledger verify, status', function () {
  this.timeout(60_000);
  let scene: CliScene;

  beforeEach(async () => {
    scene = await CliScene.open();
  });
  afterEach(async () => scene.end());

  it('doctor finds nothing wrong with a healthy proxy, and leaves nothing behind', async () => {
    await scene.startProxy();
    const before = readdirSync(join(scene.folder, 'data'));
    const { code, stdout } = await scene.run(['doctor']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^ok {4}config +\S+fondaco\.yaml$/m);
    assert.match(stdout, /^ok {4}data +\S+data; a synced write takes \d/m);
    assert.match(stdout, /^ok {4}proxy +site plant-7 answers at http/m);
    assert.match(stdout, /^ok {4}writer ops +delivering$/m);
    assert.match(stdout, /\nall is well\n$/);
    assert.deepEqual(readdirSync(join(scene.folder, 'data')), before);
    const json = JSON.parse((await scene.run(['doctor', '--json'])).stdout) as { isHealthy: boolean; checks: { level: string }[] };
    assert.isTrue(json.isHealthy);
    assert.isTrue(json.checks.every(({ level }) => level === 'ok'));
  });

  it('doctor works without a proxy, and makes no data directory', async () => {
    scene.write('fondaco.yaml', 'listen: { grpc: 127.0.0.1:1, http: 127.0.0.1:0 }\nwriters: []\n');
    const { code, stdout } = await scene.run(['doctor', '--api', 'http://127.0.0.1:1']);
    assert.equal(code, process.getuid?.() === 0 ? 0 : 1, stdout); // port 1 is root's
    assert.match(stdout, /^warn {2}proxy +no proxy answers at http:\/\/127\.0\.0\.1:1: connection refused\n +→ Is it running/m);
    assert.notInclude(readdirSync(scene.folder), 'data');
  });

  it('doctor fails for a bad config, a refused writer, an address that another has taken', async () => {
    const bad = scene.write('bad.yaml', 'dedup: { interval: soon }\n');
    const config = await scene.run(['doctor', '--config', bad]);
    assert.equal(config.code, 1);
    assert.include(config.stdout, 'dedup.interval must be a duration');
    const taken = scene.write('taken.yaml', `listen: { grpc: "127.0.0.1:${scene.subscriber.port}", http: 127.0.0.1:0 }\nwriters: []\n`);
    const port = await scene.run(['doctor', '--config', taken, '--api', 'http://127.0.0.1:1']);
    assert.equal(port.code, 1);
    assert.match(port.stdout, /^fail {2}grpc port +127\.0\.0\.1:\d+ is in use, and not by a proxy that answers$/m);
    scene.subscriber.answer = () => ({ status: 401, body: 'who are you' });
    await scene.startProxy();
    await scene.run(['record', '-t', 'a.B', '-m', 'm']);
    const refused = await scene.runUntil(['doctor'], ({ stdout }) => stdout.includes('refused'));
    assert.equal(refused.code, 1);
    assert.match(refused.stdout, /^fail {2}writer ops +refused; .*401.*\n +→ mend its settings/m);
  });

  it('config show prints a config, config schema its schema', async () => {
    const file = scene.write('fondaco.yaml', 'writers: [{ name: a, kind: http, url: "http://u:secret@h/", headers: { x-key: secret } }]\n');
    const shown = await scene.run(['config', 'show']);
    assert.equal(shown.code, 0);
    assert.isTrue(shown.stdout.startsWith(`# ${file}, `), shown.stdout);
    assert.notInclude(shown.stdout, 'secret');
    assert.deepNestedInclude(parse(shown.stdout) as object, { 'writers[0].timeout': '30s', 'dedup.interval': '10s' });
    const json = JSON.parse((await scene.run(['config', 'show', '--json'])).stdout) as { file: string };
    assert.equal(json.file, file);
    const bad = await scene.run(['config', 'show', scene.write('bad.yaml', 'sight: x\n')]);
    assert.equal(bad.code, 78);
    assert.include(bad.stderr, 'sight is unknown');
    assert.propertyVal(JSON.parse((await scene.run(['config', 'schema'])).stdout), 'type', 'object');
  });

  it('ledger verify adds the books of a real proxy up', async () => {
    await scene.startProxy();
    await scene.run(['record'], plainLines(1, 7).join('\n'));
    const { code, stdout } = await scene.run(['ledger', 'verify']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^ok +events +7 accepted = 7 sent on$/m);
    assert.match(stdout, /^ok +ops normal +7 accepted \+ \d made = /m);
    assert.match(stdout, /\nevery count is right\n$/);
    assert.propertyVal(JSON.parse((await scene.run(['ledger', 'verify', '--json'])).stdout), 'isGood', true);
  });

  it('a writer that is not there exits 64 and names those that are', async () => {
    await scene.startProxy(scene.writer('ops') + scene.writer('archive'));
    for (const verb of ['resume', 'pause']) {
      const { code, stderr } = await scene.run(['writer', verb, 'opz']);
      assert.equal(code, 64);
      assert.equal(stderr, 'fondaco: there is no writer called "opz", there are ops, archive\n');
    }
  });

  it('status says what a refused writer said and what to type', async () => {
    scene.subscriber.answer = () => ({ status: 403, body: '\u001b]0;owned\u0007 no' });
    await scene.startProxy();
    await scene.run(['record', '-t', 'a.B', '-m', 'm']);
    const { code, stdout } = await scene.runUntil(['status'], (ran) => ran.stdout.includes('refused'));
    assert.equal(code, 1);
    assert.match(stdout, /it answered: \S+owned\S+ no/);
    for (const char of ['\u001b', '\u0007']) assert.notInclude(stdout, char);
    assert.include(stdout, "→ mend its settings or the destination's, then fondaco writer resume ops");
    const watch = await scene.run(['status', '--watch']);
    assert.equal(watch.code, 64);
    assert.include(watch.stderr, '--watch needs a terminal');
  });

  it('an answer of another shape is said to be one, by every verb that asks', async () => {
    scene.subscriber.answer = () => ({ status: 200, headers: { 'content-type': 'application/json' }, body: '{}' });
    const api = new URL(scene.subscriber.url).origin;
    const verbs = ['status', 'writer list', 'ledger show', 'ledger verify', 'event list', 'event show x', 'dead-letter list'];
    for (const verb of [...verbs, 'dead-letter show ops/normal/1', 'dead-letter replay --all', 'dead-letter purge --all --yes']) {
      const { code, stderr } = await scene.run([...verb.split(' '), '--api', api]);
      assert.equal(code, 69, `${verb}: ${stderr}`);
      assert.match(stderr, /is that a proxy of this version\?\n$/, verb);
    }
  });

  it('a config that is a directory is said to be one, without a stack', async () => {
    mkdirSync(join(scene.folder, 'empty'));
    const { code, stderr } = await scene.run(['config', 'show', join(scene.folder, 'empty')]);
    assert.equal(code, 78);
    assert.notInclude(stderr, '    at ');
  });
});
