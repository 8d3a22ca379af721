import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import pino from 'pino';
import { systemClock } from '../../core/clock.ts';
import { isFondacoError, type FondacoError } from '../../core/errors.ts';
import { formatAddress } from '../../proxy/address.ts';
import { loadConfig } from '../../proxy/config.ts';
import { runProxy, type Bound } from '../../proxy/proxy.ts';
import type { ProxyStatus } from '../../proxy/status.ts';
import { WRITER_KINDS } from '../../proxy/writer-kinds.ts';
import { Recorder } from '../../recorder/recorder.ts';
import { arrayMembers, fromNative } from '../support/received.ts';
import { Subscriber } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('proxy', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let subscriber: Subscriber;
  let stop: AbortController;
  let running: Promise<void>;
  let logged: { msg: string; level: number }[];

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    subscriber = await Subscriber.open();
    logged = [];
  });
  afterEach(async () => {
    stop.abort();
    await running.catch(() => {});
    await subscriber.close();
    await remove();
  });

  async function start(text: string): Promise<Bound> {
    const file = join(folder, 'fondaco.yaml');
    writeFileSync(file, text);
    const config = await loadConfig(file, { env: {}, cwd: folder });
    stop = new AbortController();
    const logger = pino(
      { level: 'info' },
      { write: (line: string) => void logged.push(JSON.parse(line) as { msg: string; level: number }) },
    );
    return new Promise((resolve, reject) => {
      const parts = { clock: systemClock(), random: () => 0.5, logger, version: '0.0.0', stdout: process.stderr, env: {} };
      running = runProxy(config, { ...parts, ready: resolve }, stop.signal);
      running.catch(reject);
    });
  }
  const writer = (url: string): string => `  - { name: ops, kind: http, url: "${url}", format: json, batch: { interval: 10ms } }\n`;
  const text = (more = ''): string =>
    `site: plant-7\nlisten: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }\nwriters:\n${writer(subscriber.url)}${more}`;
  const ask = async (bound: Bound, path: string): Promise<unknown> => (await fetch(`http://${formatAddress(bound.http)}${path}`)).json();
  const record = async (bound: Bound, count: number): Promise<void> => {
    const recorder = await Recorder.open({ component: 'test', proxy: formatAddress(bound.grpc), spool: false });
    for (let i = 1; i <= count; i++) recorder.event('test.Tick', 'info', `tick ${i}`);
    await recorder.flush();
    await recorder.close();
  };
  const delivered = (): string[] =>
    subscriber.taken.flatMap((body) => arrayMembers(body.toString()).map((event) => fromNative(event).message));

  it('takes events, delivers them, and tells of it', async () => {
    const bound = await start(text());
    await record(bound, 100);
    await subscriber.until(() => delivered().length === 100);
    assert.deepEqual(
      delivered(),
      Array.from({ length: 100 }, (_, i) => `tick ${i + 1}`),
    );
    const status = (await ask(bound, '/v1/status')) as ProxyStatus;
    assert.deepInclude(status, {
      site: 'plant-7',
      isReady: true,
      accepted: { urgent: 0, normal: 100 },
      acceptedSinceStart: 100,
      isBalanced: true,
    });
    assert.deepEqual(await ask(bound, '/readyz'), { status: 'ready' });
    assert.deepInclude((await ask(bound, '/v1/ledger')) as object, { isBalanced: true });
  });

  it('takes and refuses event types by its catalogs, whichever way they come, and keeps what it refused', async () => {
    writeFileSync(join(folder, 'port.proto'), 'enum Types { Up = 0; Down = 1; }');
    const bound = await start(text().replace('writers:', 'catalogs: [./port.proto]\nunknownTypes: reject\nwriters:'));
    const problems: string[] = [];
    const onError = (error: FondacoError): void => void problems.push(error.text);
    const recorder = await Recorder.open({ component: 'test', proxy: formatAddress(bound.grpc), spool: false, onError });
    recorder.event('port.Up', 'info', 'up');
    const id = recorder.event('port.Dwn', 'info', 'down');
    await recorder.flush();
    await recorder.close();
    const reason = 'type must be one of the catalogs, such as port.Down, got "port.Dwn"';
    assert.deepEqual(problems, [`event ${id}: ${reason}`]);
    const body = JSON.stringify({ type: 'port.Uup', severity: 'info', message: 'm' });
    const headers = { 'content-type': 'application/json' };
    const posted = await fetch(`http://${formatAddress(bound.http)}/v1/events`, { method: 'POST', headers, body });
    assert.equal(posted.status, 400);
    const { rejections } = (await ask(bound, '/v1/rejections')) as { rejections: { type: string; input: string; id: string | null }[] };
    assert.deepEqual(
      rejections.map(({ type, input, id: of }) => [type, input, of]),
      [
        ['port.Uup', 'http', null],
        ['port.Dwn', 'grpc', id],
      ],
    );
    assert.deepInclude((await ask(bound, '/v1/catalogs')) as object, { unknownTypes: 'reject' });
    await subscriber.until(() => delivered().includes('up'));
  });

  it('stays ready when a destination is dead, and logs that once', async () => {
    const bound = await start(
      text(`  - { name: dead, kind: http, url: "http://127.0.0.1:1/", retry: { policy: constant, interval: 10ms } }\n`),
    );
    await record(bound, 10);
    await subscriber.until(() => delivered().length === 10);
    let status = (await ask(bound, '/v1/status')) as ProxyStatus;
    while (status.writers[1]?.state !== 'retrying') status = (await ask(bound, '/v1/status')) as ProxyStatus;
    assert.equal(status.writers[0]?.state, 'delivering');
    assert.equal(status.writers[1].lanes.normal.pending, 10);
    assert.deepEqual(await ask(bound, '/readyz'), { status: 'ready' });
    stop.abort();
    await running;
    assert.isAtMost(logged.filter(({ msg }) => msg.startsWith('writer does not take')).length, 1);
  });

  it('stops cleanly on abort and goes on where it was', async () => {
    subscriber.answer = () => ({ status: 503 });
    const first = await start(text());
    await record(first, 20);
    stop.abort();
    await running;
    assert.include(
      logged.map(({ msg }) => msg),
      'proxy stopped',
    );
    assert.deepEqual(
      logged.filter(({ level }) => level >= 50),
      [],
    );
    subscriber.answer = () => ({ status: 200 });
    await start(text());
    await subscriber.until(() => delivered().length === 20);
  });

  it('runs many writers without a warning of Node', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', warned);
    const many = Array.from({ length: 12 }, (_, i) => `  - { name: w${i}, kind: file, path: ./w${i}.ndjson }\n`);
    await start(text(many.join('')));
    stop.abort();
    await running;
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', warned);
    assert.deepEqual(warnings, []);
  });

  it('frees the journal and its addresses when something cannot be opened', async () => {
    const bound = await start(text());
    const other = text()
      .replace('grpc: 127.0.0.1:0', `grpc: "${formatAddress(bound.grpc)}"`)
      .replace('site:', 'data: ./other\nsite:');
    const [before, stopBefore] = [running, stop];
    let failure: FondacoError | undefined;
    await start(other).catch((error: unknown) => {
      if (isFondacoError(error)) failure = error;
    });
    assert.equal(failure?.code, 'UNAVAILABLE');
    assert.notInclude(
      logged.map(({ msg }) => msg),
      'proxy stopped',
      'it never ran',
    );
    stopBefore.abort();
    await before;
    await start(other);
    assert.include(readdirSync(folder), 'other');
  });

  it('runs from an object like a config, with nothing else given', async () => {
    const config = await loadConfig(
      {
        site: 'plant-7',
        listen: { grpc: '127.0.0.1:0', http: '127.0.0.1:0' },
        writers: [{ name: 'ops', kind: 'http', url: '${URL}', format: 'json', batch: { interval: '10ms' } }],
      },
      { env: { URL: subscriber.url }, cwd: folder },
    );
    assert.deepInclude(config, { file: undefined, directory: folder, data: join(folder, 'data') });
    stop = new AbortController();
    const bound = await new Promise<Bound>((ready, reject) => {
      running = runProxy(config, { ready }, stop.signal);
      running.catch(reject);
    });
    await record(bound, 3);
    await subscriber.until(() => delivered().length === 3);
  });

  it('names what is wrong with such an object by its keys', async () => {
    let failure: FondacoError | undefined;
    await loadConfig({ sitee: 'x', writers: [{ name: 'a', kind: 'pigeon' }] }, { env: {}, cwd: folder }).catch((error: unknown) => {
      if (isFondacoError(error)) failure = error;
    });
    running = Promise.resolve();
    assert.match(failure!.message, /^\[CONFIG\] 2 problems in the config\n {2}config: sitee is unknown/);
    assert.include(failure!.message, `\n  config: writers[0].kind must be one of ${WRITER_KINDS.join(', ')}, got "pigeon"`);
  });

  it('names a data directory that cannot be made', async () => {
    writeFileSync(join(folder, 'data'), 'a file');
    let failure: FondacoError | undefined;
    await start(text()).catch((error: unknown) => {
      if (isFondacoError(error)) failure = error;
    });
    assert.equal(failure?.code, 'CONFIG');
    assert.include(failure?.message, 'data must be a directory');
  });
});
