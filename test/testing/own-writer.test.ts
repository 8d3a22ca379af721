/** docs/own-writer.md, as it stands there: its writer keeps the contract with its own destination, and runs in a proxy. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import pino from 'pino';
import { systemClock } from '../../core/clock.ts';
import { formatAddress } from '../../proxy/address.ts';
import { loadConfig } from '../../proxy/config.ts';
import { runProxy, type Bound } from '../../proxy/proxy.ts';
import type { ProxyStatus } from '../../proxy/status.ts';
import type { ContractCase } from '../../testing/writer-contract.ts';
import { codeBlock, withoutPackages } from '../support/own-writer-page.ts';
import { Subscriber, type SeenRequest } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const LINES_MAX = 40;
/** A busy machine takes its time. */
const WITHIN_MS = 60_000;
const PUT = /^\/events\/_doc\/[0-9a-f-]{36}-\d+$/;

/** The schema of the page without any library. */
const BY_HAND = `{ '~standard': { version: 1, vendor: 'by hand', validate: (given) => typeof given.url === 'string'
    ? { value: given } : { issues: [{ message: 'must be a URL', path: ['url'] }] } } },`;

const writer = withoutPackages(codeBlock('own-writer.mjs'));
const byHand = writer.replace(/^import \{ z \}.*\n/m, '').replace(/(?<=settings: )z\.strictObject\(.*\),\n/, `${BY_HAND}\n`);
const { path: folder, remove } = await tempDirectory();

/** The cases of the page, with a writer that is this text. */
async function casesWith(text: string, where: string): Promise<readonly ContractCase[]> {
  mkdirSync(join(folder, where));
  writeFileSync(join(folder, where, 'own-writer.mjs'), text);
  writeFileSync(
    join(folder, where, 'contract.mjs'),
    withoutPackages(codeBlock('contract.mjs')).replace('writerContract({', `$& withinMs: ${WITHIN_MS},`),
  );
  return ((await import(join(folder, where, 'contract.mjs'))) as { cases: readonly ContractCase[] }).cases;
}

const zodCases = await casesWith(writer, 'zod');
const byHandCases = await casesWith(byHand, 'by-hand');

describe("the page on a writer of one's own", () => {
  after(remove);

  it(`has a whole writer in ${LINES_MAX} lines`, () => {
    assert.isAtMost(codeBlock('own-writer.mjs').trimEnd().split('\n').length, LINES_MAX);
    assert.notInclude(byHand, "'zod'");
    assert.notMatch(byHand, /\bz\./);
  });

  describe('the contract that it shows', () => {
    for (const { name, skip, run } of zodCases) {
      it(name, async () => {
        assert.isFalse(skip);
        await run();
      });
    }
  });

  it('keeps it with a schema by hand', async () => {
    for (const { run } of byHandCases.slice(0, 4)) await run();
  });

  for (const schema of ['zod', 'by-hand'] as const) {
    describe(`in a proxy, with a schema of ${schema}`, () => {
      let store: Subscriber;
      let stop: AbortController;
      let running: Promise<void>;
      let bound: Bound;

      beforeEach(async () => {
        store = await Subscriber.open();
        const url = `http://127.0.0.1:${store.port}/events/_doc`;
        const yaml = codeBlock('fondaco.yaml').replace('http://127.0.0.1:9200/events/_doc', url);
        const more = 'listen: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }\ndedup: { interval: 0s }\n';
        const config = join(folder, schema, 'fondaco.yaml');
        const quick = '    batch: { interval: 0ms }\n    retry: { policy: constant, interval: 20ms }\n';
        writeFileSync(config, `${yaml.trimEnd()}\n${quick}${more}`);
        const loaded = await loadConfig(config, { env: {}, cwd: '/' });
        stop = new AbortController();
        const logger = pino({ level: 'silent' });
        bound = await new Promise<Bound>((ready, reject) => {
          const parts = { clock: systemClock(), random: Math.random, logger, version: '0', stdout: process.stdout, env: {}, ready };
          running = runProxy(loaded, parts, stop.signal);
          running.catch(reject);
        });
      });
      afterEach(async () => {
        stop.abort();
        await running;
        await store.close();
      });

      const api = (): string => `http://${formatAddress(bound.http)}`;

      async function record(types: readonly string[]): Promise<void> {
        const events = types.map((type, i) => ({ type, severity: 'info', message: `event ${i + 1}`, attributes: { i } }));
        const headers = { 'content-type': 'application/json' };
        const { status } = await fetch(`${api()}/v1/events`, { method: 'POST', headers, body: JSON.stringify(events) });
        assert.equal(status, 202);
      }

      const status = async (): Promise<ProxyStatus['writers'][number]> =>
        ((await (await fetch(`${api()}/v1/status`)).json()) as ProxyStatus).writers[0]!;

      it('puts events into its store, those around a bad day once, a poison aside', async () => {
        let requests = 0;
        const documents = new Map<string, { message: string; attributes: { i: number } }>();
        store.answer = ({ url, body, method }: SeenRequest) => {
          assert.match(`${method} ${url}`, new RegExp(`^PUT ${PUT.source.slice(1)}`));
          const { event } = JSON.parse(body.toString()) as {
            event: { id: string; type: string; message: string; attributes: { i: number } };
          };
          if (++requests === 3) return { status: 503 };
          if (event.type === 'test.Poison') return { status: 422, body: 'not this' };
          documents.set(event.id, event);
          return requests === 5 ? { status: 200, isLost: true } : { status: 200 };
        };
        await record(['a.B', 'a.B', 'a.B', 'test.Poison', 'a.B', 'a.B', 'a.B']);
        await until('all but one is there', async () => (await status()).lanes.normal.pending === 0);
        const messages = [...documents.values()].map(({ message, attributes }) => `${message}/${attributes.i}`);
        assert.deepEqual(
          messages,
          [1, 2, 3, 5, 6, 7].map((i) => `event ${i}/${i - 1}`),
        );
        assert.equal((await status()).dead, 1);
        const { isBalanced } = (await (await fetch(`${api()}/v1/ledger`)).json()) as { isBalanced: boolean };
        assert.isTrue(isBalanced);
      });
    });
  }
});
