/** A config that changes while its proxy runs: files, links and signals are real, the proxy is in this process. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import pino from 'pino';
import { formatAddress } from '../../proxy/address.ts';
import { checkConfig, loadConfig } from '../../proxy/config.ts';
import { runProxy, type Bound } from '../../proxy/proxy.ts';
import type { ProxyStatus } from '../../proxy/status.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 30_000;

interface Line {
  readonly msg: string;
  readonly level: number;
  readonly [fact: string]: unknown;
}

describe('a config that changes while the proxy runs', function () {
  this.timeout(120_000);
  let folder: string;
  let file: string;
  let remove: () => Promise<void>;
  let logged: Line[];
  let bound: Bound;
  let hangup: () => void;
  let end: () => Promise<void>;
  let next: number;

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    file = join(folder, 'etc', 'fondaco.yaml');
    mkdirSync(join(folder, 'etc'));
    logged = [];
    next = 1;
    end = async () => undefined;
  });
  afterEach(async () => {
    await end();
    await remove();
  });

  const head = (): string => `site: plant-7\ndata: ${folder}/data\nlisten: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }\nwriters:\n`;
  /** A writer to a file of its own. */
  const to = (name: string, more = ''): string =>
    `  - { name: ${name}, kind: file, path: ${folder}/${name}.ndjson, batch: { interval: 0ms }${more} }\n`;
  const write = (...writers: string[]): void => writeFileSync(file, head() + writers.join(''));

  async function start(isWatched = true): Promise<void> {
    const surroundings = { env: {}, cwd: folder };
    const config = await loadConfig(file, surroundings);
    const stop = new AbortController();
    const logger = pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line) as Line) });
    const source = { check: async () => checkConfig(file, surroundings), isWatched };
    const onHangup = (listener: () => void): (() => void) => ((hangup = listener), () => undefined);
    let running: Promise<void> = Promise.resolve();
    bound = await new Promise((resolve, reject) => {
      running = runProxy(config, { logger, source, onHangup, ready: resolve }, stop.signal);
      running.catch(reject);
    });
    end = async () => {
      end = async () => undefined;
      stop.abort();
      await running;
    };
  }

  const ask = async (path: string): Promise<unknown> => (await fetch(`http://${formatAddress(bound.http)}${path}`)).json();
  const status = async (): Promise<ProxyStatus> => (await ask('/v1/status')) as ProxyStatus;
  const taken = (): Line[] => logged.filter(({ msg }) => msg === 'the config was taken over');
  const refused = (): Line[] => logged.filter(({ msg }) => msg === 'the config is not taken over, what ran goes on');
  const takenOver = (times: number): Promise<void> => until(`it was taken over ${times} times`, () => taken().length >= times, LIMIT_MS);

  async function record(type = 'a.B'): Promise<void> {
    const body = JSON.stringify({ type, severity: 'info', message: `${type} ${next++}` });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`http://${formatAddress(bound.http)}/v1/events`, { method: 'POST', body, headers });
    assert.equal(answer.status, 202, await answer.text());
  }

  function linesOf(path: string): string[] {
    try {
      const lines = readFileSync(join(folder, path), 'utf8').trimEnd().split('\n');
      return lines.map((line) => JSON.parse(line) as { message: string; type: string }).flatMap(({ type, message }) => (type.startsWith('fondaco.') ? [] : [message])); // prettier-ignore
    } catch {
      return [];
    }
  }
  const has = (path: string, ...messages: string[]): Promise<void> =>
    until(
      `${path} has ${messages.join(', ')}, it has ${linesOf(path).join(', ')}`,
      () => linesOf(path).join() === messages.join(),
      LIMIT_MS,
    );

  it('changes, adds and keeps writers, each from its cursor', async () => {
    write(to('ops'), to('same'));
    await start();
    await record();
    await has('ops.ndjson', 'a.B 1');
    const before = await status();
    write(to('ops', ', filter: { types: [b.*] }'), to('same'), to('new'));
    await takenOver(1);
    assert.deepInclude(taken()[0], { why: 'the file has changed', added: ['new'], changed: ['ops'], removed: [] });
    await record();
    await record('b.C');
    await has('ops.ndjson', 'a.B 1', 'b.C 3');
    await has('new.ndjson', 'a.B 2', 'b.C 3');
    await has('same.ndjson', 'a.B 1', 'a.B 2', 'b.C 3');
    const { config, writers } = await status();
    assert.equal(config.file, file);
    assert.isAtLeast(Date.parse(config.loadedAt), Date.parse(before.config.loadedAt));
    const seriesOf = ({ writers: all }: ProxyStatus, name: string): unknown => all.find((each) => each.name === name)?.lanes.normal.series;
    assert.equal(writers.find(({ name }) => name === 'same')?.lanes.normal.series, seriesOf(before, 'same'));
    const listed = (await ask('/v1/writers')) as { writers: { name: string; kind: string; filter: object }[] };
    assert.deepEqual(
      listed.writers.map(({ name, kind, filter }) => [name, kind, filter]),
      [
        ['ops', 'file', { types: ['b.*'] }],
        ['same', 'file', {}],
        ['new', 'file', {}],
      ],
    );
  });

  it('changes nothing for a file with a mistake, says why, and takes it over when it is mended', async () => {
    write(to('ops'));
    await start();
    write(to('ops', ', filter: { tipes: [b.*] }'), to('new'));
    await until('it is refused', () => refused().length === 1, LIMIT_MS);
    const { config } = await status();
    assert.lengthOf(config.problems ?? [], 1);
    assert.match(config.problems![0]!, /fondaco\.yaml:5:\d+: writers\[0\]\.filter\.tipes is unknown, expected any of minSeverity/);
    await record();
    await has('ops.ndjson', 'a.B 1');
    assert.deepEqual(linesOf('new.ndjson'), []);
    rmSync(file);
    await until('it is refused for that, too', () => refused().length === 2, LIMIT_MS);
    write(to('ops'), to('new'));
    await takenOver(1);
    assert.deepInclude(taken()[0], { added: ['new'], changed: [], removed: [] });
    assert.notProperty((await status()).config, 'problems');
  });

  it('asks what is to become of a writer that is gone: kept, or purged', async () => {
    write(to('ops'), to('other'));
    await start(false);
    await record();
    await has('ops.ndjson', 'a.B 1');
    write(to('other'));
    hangup();
    await until('it is refused', () => refused().length === 1, LIMIT_MS);
    assert.include(
      (await status()).config.problems![0],
      'writers must name ops, which runs, or say what becomes of it: { name: ops, removed: keep }',
    );
    write(to('other'), '  - { name: ops, removed: keep }\n');
    hangup();
    await takenOver(1);
    await record();
    await has('other.ndjson', 'a.B 1', 'a.B 2');
    write(to('other'), to('ops'));
    hangup();
    await takenOver(2);
    await has('ops.ndjson', 'a.B 1', 'a.B 2');
    write(to('other'), '  - { name: ops, removed: purge }\n');
    hangup();
    await takenOver(3);
    await record();
    await has('other.ndjson', 'a.B 1', 'a.B 2', 'a.B 3');
    assert.deepEqual(
      ((await ask('/v1/ledger')) as { writers: { name: string }[] }).writers.map(({ name }) => name),
      ['other'],
    );
    write(to('other'), to('ops'));
    hangup();
    await takenOver(4);
    await record();
    await has('ops.ndjson', 'a.B 1', 'a.B 2', 'a.B 4');
    assert.lengthOf(refused(), 1);
  });

  it('purges what the config of a start removes, and says what it does not name', async () => {
    write(to('ops'), to('gone'), to('forgotten'));
    await start();
    await record();
    await has('gone.ndjson', 'a.B 1');
    await end();
    write(to('ops'), '  - { name: gone, removed: purge }\n');
    await start();
    await until('it is purged', async () => ((await ask('/v1/ledger')) as { writers: object[] }).writers.length === 2, LIMIT_MS);
    const warning = logged.find(({ msg }) => msg.startsWith('writers that the config does not name any more keep what they had'));
    assert.deepEqual(warning?.writers, ['forgotten']);
  });

  it('says what needs a restart, and takes the rest over', async () => {
    write(to('ops'));
    await start();
    writeFileSync(file, `${head().replace('127.0.0.1:0, http', '127.0.0.1:7, http')}${to('ops')}${to('new')}dedup: { interval: 1s }\n`);
    await takenOver(1);
    await until('that is said', () => logged.some(({ msg }) => msg === 'some of the config will be in effect after a restart'), LIMIT_MS);
    assert.deepEqual((await status()).config.needsRestart, ['listen', 'dedup']);
    write(to('ops'), to('new'));
    await takenOver(2);
    assert.notProperty((await status()).config, 'needsRestart');
  });

  it('sees a file that an editor puts in its place', async () => {
    write(to('ops'));
    await start();
    writeFileSync(`${file}.new`, `${head()}${to('ops')}${to('new')}`);
    renameSync(`${file}.new`, file);
    await takenOver(1);
    renameSync(file, `${file}~`);
    writeFileSync(file, `${head()}${to('ops')}${to('new')}${to('third')}`);
    await takenOver(2);
    assert.deepInclude(taken()[1], { added: ['third'] });
  });

  it('sees the swap of a mounted ConfigMap', async () => {
    const folderOf = (name: string, ...writers: string[]): void => {
      mkdirSync(join(folder, 'etc', name));
      writeFileSync(join(folder, 'etc', name, 'fondaco.yaml'), head() + writers.join(''));
    };
    folderOf('..2026_1', to('ops'));
    symlinkSync('..2026_1', join(folder, 'etc', '..data'));
    symlinkSync('..data/fondaco.yaml', file);
    await start();
    for (const [at, writers] of [
      [to('ops'), to('new')],
      [to('ops'), to('new'), to('third')],
    ].entries()) {
      folderOf(`..2026_${at + 2}`, ...writers);
      symlinkSync(`..2026_${at + 2}`, join(folder, 'etc', '..data_tmp'));
      renameSync(join(folder, 'etc', '..data_tmp'), join(folder, 'etc', '..data'));
      rmSync(join(folder, 'etc', `..2026_${at + 1}`), { recursive: true });
      await takenOver(at + 1);
    }
    assert.deepInclude(taken()[1], { added: ['third'], changed: [], removed: [] });
  });

  it('lets go of files at SIGHUP', async () => {
    write(to('ops'));
    await start();
    await record();
    await has('ops.ndjson', 'a.B 1');
    const open = (): string[] => openFiles().filter((path) => path.startsWith(join(folder, 'ops.ndjson')));
    assert.lengthOf(open(), 1);
    renameSync(join(folder, 'ops.ndjson'), join(folder, 'ops.ndjson.1'));
    hangup();
    await until('the renamed file is let go', () => open().length === 0, LIMIT_MS);
    await record();
    await has('ops.ndjson', 'a.B 2');
    assert.deepEqual(linesOf('ops.ndjson.1'), ['a.B 1']);
  });
});

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // it is closed by now
    }
  });
}
