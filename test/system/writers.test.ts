import { expect } from 'chai';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import type { ServerOptions } from 'node:https';
import { join } from 'node:path';
import { Authority, missingOpenssl, pems } from '../support/certificates.ts';
import { sharedLines } from '../support/fixtures.ts';
import { Child, ProxyProcess } from '../support/processes.ts';
import type { Delivered } from '../support/record-book.ts';
import { Subscriber } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

/** So many events, all different; or, to try real streams, the lines of these files of ../shared/data. */
const EVENTS = 600;
const STREAMS = (process.env.FONDACO_TEST_STREAMS ?? '').split(',').filter((name) => name !== '');

interface CloudEventJson {
  readonly id: string;
  readonly type: string;
  readonly sequence: string;
  readonly data: { readonly added: number; readonly delivery: { readonly lane: string; readonly series: string } };
}

const missing = missingOpenssl();

(missing === undefined ? describe : describe.skip)('a file and a subscriber over TLS', function () {
  this.timeout(300_000);
  let folder: { path: string; remove: () => Promise<void> };
  let tls: ServerOptions;
  let subscriber: Subscriber;
  let proxy: ProxyProcess;
  /** What the subscriber answered with 2xx, repeats included. */
  let taken: CloudEventJson[];

  beforeEach(async () => {
    folder = await tempDirectory();
    const authority = new Authority(folder.path);
    authority.issue('client');
    const server = pems(authority.issue('server'));
    tls = { ...server, ca: await readFile(authority.ca), requestCert: true };
    taken = [];
    await listen(0);
    await mkdir(join(folder.path, 'out'));
    proxy = await ProxyProcess.start(
      folder.path,
      `
dedup: { interval: 0s }
writers:
  - { name: archive, kind: file, path: out/events.ndjson, rotate: { bytesMax: 32KiB, keep: 10000 }, batch: { interval: 50ms, eventsMax: 40 } }
  - name: ops
    kind: http
    url: ${subscriber.url}
    format: cloudevents
    auth: { bearer: secret }
    tls: { ca: ca.pem, cert: client.pem, key: client.key }
    retry: { policy: backoff, initial: 50ms, max: 200ms }
`,
    );
  });

  afterEach(async () => {
    await proxy.kill();
    await subscriber.close();
    await folder.remove();
  });

  const listen = async (port: number): Promise<void> => {
    subscriber = await Subscriber.open(port, tls);
    subscriber.answer = ({ headers, body }) => {
      if (headers.authorization !== 'Bearer secret') return { status: 401 };
      if (taken.length % 97 === 96 && Math.random() < 0.5) return 'cut';
      taken.push(JSON.parse(body.toString()) as CloudEventJson);
      return { status: 200 };
    };
  };

  /** All lines of all files, oldest first. */
  const archived = async (): Promise<Delivered[]> => {
    const directory = join(folder.path, 'out');
    const names = await readdir(directory);
    const number = (name: string): number => Number(name.split('.')[2] ?? 0);
    const texts = names.sort((a, b) => number(b) - number(a)).map(async (name) => readFile(join(directory, name), 'utf8'));
    return (await Promise.all(texts)).flatMap((text) =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Delivered),
    );
  };

  const record = async (lines: readonly string[]): Promise<void> => {
    const file = join(folder.path, 'events');
    await writeFile(file, lines.map((line) => `${line}\n`).join(''));
    const spool = join(folder.path, 'spool');
    const child = Child.cli('record', '--file', file, '--proxy', proxy.address, '--component', 'test', '--spool', spool, '--json');
    const { code, stderr } = await child.ended;
    expect(code, stderr).to.equal(0);
  };

  const generated = (): string[] =>
    Array.from({ length: EVENTS }, (_, n) =>
      JSON.stringify({ type: 'test.Tick', severity: n % 50 === 7 ? 'critical' : 'info', message: `tick ${n} ${'x'.repeat(n % 300)}` }),
    );

  it('get every event, though the subscriber and the proxy are killed in the middle, and the ledger balances', async () => {
    const lines = STREAMS.length > 0 ? STREAMS.flatMap((name) => sharedLines(name) ?? []) : generated();
    const recording = record(lines);
    await until('the subscriber takes events', () => taken.length > lines.length / 10, 60_000);
    const { port } = subscriber;
    await subscriber.close();
    await until('the writer knows', async () => (await proxy.status()).writers[1]?.state === 'retrying', 20_000);
    await recording;
    await proxy.kill();
    await proxy.start();
    await listen(port);

    const pending = async (): Promise<number> => {
      const { writers } = await proxy.ledger();
      return writers.reduce((sum, { lanes }) => sum + lanes.urgent.pending + lanes.normal.pending, 0);
    };
    await until('nothing is pending', async () => (await pending()) === 0, 120_000);
    const ledger = await proxy.ledger();
    expect(ledger).to.include({ isBalanced: true, lost: 0, rejected: 0 });

    const inFiles = await archived();
    expect((await readdir(join(folder.path, 'out'))).length).to.be.greaterThan(3);
    const own = (type: string): boolean => type.startsWith('fondaco.');
    const ids = new Set(inFiles.filter(({ type }) => !own(type)).map(({ id }) => id));
    expect(ids.size).to.equal(lines.length);
    const received = new Set(taken.filter(({ type }) => !own(type)).map(({ id }) => id));
    expect([...received].sort()).to.deep.equal([...ids].sort());

    // Within a lane and its series numbers only go on, but for the batch that a kill or a cut repeats.
    for (const [name, numbers] of [
      ['file', inFiles.map(({ delivery }) => ({ ...delivery }))],
      ['subscriber', taken.map(({ sequence, data }) => ({ ...data.delivery, seq: Number(sequence) }))],
    ] as const) {
      const last = new Map<string, number>();
      for (const { lane, series, seq } of numbers) {
        const key = `${lane}/${series}`;
        expect(seq, `${name}, ${key}`).to.be.at.most((last.get(key) ?? 0) + 1);
        last.set(key, Math.max(seq, last.get(key) ?? 0));
      }
    }
  });
});
