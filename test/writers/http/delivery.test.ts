/** Subscribers behind feeds, on a journal that is on disk: what must be the same, and apart, through retries and restarts. */
import { createHash } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { assert } from 'chai';
import type { z } from 'zod';
import type { Journal } from '../../../core/journal.ts';
import { eventOf } from '../../../dispatcher/dead-letters/dead-letters.ts';
import { Dispatch, type WriterSettings } from '../../../dispatcher/index.ts';
import { openJournal } from '../../../journal/index.ts';
import { httpEventsMax, httpSettings } from '../../../writers/http/settings.ts';
import { HttpWriter } from '../../../writers/http/writer.ts';
import { eventsOf } from '../../support/http-scene.ts';
import { Subscriber, type SeenRequest } from '../../support/subscriber.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

const RETRY = { policy: 'backoff', initialMs: 10, maxMs: 20 } as const;
const WAIT_MS = 60_000;
const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'));

describe('subscribers behind feeds', function () {
  this.timeout(120_000);
  let folder: string;
  let remove: () => Promise<void>;
  let journal: Journal;
  let dispatch: Dispatch;
  let stop: AbortController;
  let running: Promise<void>;
  let subscriber: Subscriber;
  let given: WriterSettings[];

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    subscriber = await Subscriber.open();
  });
  afterEach(async () => {
    await end();
    await subscriber.close();
    await remove();
  });

  async function start(): Promise<void> {
    journal = await openJournal(folder, { site: 'plant-7' });
    stop = new AbortController();
    dispatch = await Dispatch.open(journal, { writers: given, component: 'test', node: 'n1' });
    running = dispatch.run(stop.signal);
  }

  async function end(): Promise<void> {
    stop.abort();
    await running;
    await journal.close();
  }

  async function restart(): Promise<void> {
    await end();
    await start();
  }

  function writerTo(name: string, settings: z.input<typeof httpSettings>, more: Partial<WriterSettings> = {}): WriterSettings {
    const parsed = httpSettings.parse(settings);
    const eventsMax = Math.min(httpEventsMax(parsed) ?? 100, 100);
    return { name, writer: async () => HttpWriter.open(parsed), batch: { intervalMs: 0, eventsMax }, retry: RETRY, ...more };
  }

  const pending = (name: string): number => {
    const { lanes } = dispatch.status().writers.find((writer) => writer.name === name)!;
    return lanes.urgent.pending + lanes.normal.pending;
  };
  const sha = ({ headers, body }: SeenRequest): string => {
    const ours = Object.entries(headers).filter(([name]) => name.startsWith('ce-'));
    return createHash('sha256').update(JSON.stringify(ours)).update(body).digest('hex');
  };

  describe('the payload of a lone event', () => {
    const details = {
      object: { kind: 'Path "\\', name: 'узел \u{1f6a2} 100%', uri: '/redfish/v1/Systems/1' },
      attributes: { text: '\u{1f6a2}"\\\u0001\u2028'.repeat(1800), neg: -0.5, 'a "key"': ['\u{10ffff}'] },
    };

    for (const format of ['cloudevents-batch', 'cloudevents', 'cloudevents-binary', 'json', 'ndjson', 'redfish'] as const) {
      it(`${format}: has one SHA-256 through ten retries and a restart, and nobody but the retry sends it`, async () => {
        const answers = [503, 'cut', 500, 429, 'cut', 408, 503, 503, 'cut', 502] as const;
        subscriber.answer = () => {
          const answer = answers[subscriber.requests.length - 1] ?? 200;
          return answer === 'cut' ? 'cut' : { status: answer };
        };
        given = [writerTo('ops', { url: subscriber.url, format, secret: `whsec_${Buffer.alloc(32, 1).toString('base64')}` })];
        await start();
        const message = '\u0001'.repeat(6000) + '"\\é\u{1f6a2}'.repeat(200); // 7.6 kB, six times that as JSON
        const id = await dispatch.record('test.Large', 'warn', message, details);
        await subscriber.until(({ requests }) => requests.length >= 5, WAIT_MS);
        await restart();
        await until('it is settled', () => pending('ops') === 0, WAIT_MS);
        const requests = subscriber.requests.filter((request) => eventsOf(format, request)[0]!.id === id);
        assert.isAtLeast(requests.length, 11);
        assert.lengthOf(new Set(requests.map(sha)), 1);
        assert.lengthOf(new Set(requests.map(({ headers }) => headers['webhook-id'])), 1);
        const [got] = eventsOf(format, requests.at(-1)!);
        assert.equal(got!.message, message);
        assert.deepEqual(JSON.parse(got!.attributesText), details.attributes);
        assert.isAbove(requests[0]!.body.length, 60 * 1024);
      });
    }
  });

  it('whose addresses are alike share nothing: neither what waits, nor dead letters, nor state, also after a restart', async () => {
    const six = hasIpv6 ? await Subscriber.open(subscriber.port, undefined, '::1').catch(() => undefined) : undefined;
    const at = (path: string): string => `http://127.0.0.1:${subscriber.port}${path}`;
    const urls: Record<string, string> = {
      ev: at('/ev'),
      events: at('/events'),
      slash: at('/events/'),
      star: at('/ev*'),
      query: at('/ev?nts'),
      mark: at('/ev%3Fnts'),
      same: at('/events'),
      ...(six && { six: `http://[::1]:${subscriber.port}/events` }),
    };
    let isOpen = false;
    const names = Object.keys(urls);
    const bodies = new Map<string, string[]>();
    const answer = (who: Subscriber) => (request: SeenRequest) => {
      const [event] = eventsOf('ndjson', request);
      const { writer } = (JSON.parse(request.body.toString()) as { delivery: { writer: string } }).delivery;
      const { pathname, search } = new URL(urls[writer]!);
      assert.equal(request.url, pathname + search, `${writer} writes to its own place`);
      assert.equal(who === six, writer === 'six');
      if (!isOpen && writer === 'events') return { status: 503 };
      if (!isOpen && writer === 'star') return { status: 401 };
      if (writer === 'query' && event!.message === 'e 2') return { status: 422 };
      bodies.set(writer, [...(bodies.get(writer) ?? []), event!.message]);
      return { status: 200 };
    };
    subscriber.answer = answer(subscriber);
    if (six) six.answer = answer(six);
    given = names.map((name) =>
      writerTo(
        name,
        { url: urls[name]!, format: 'ndjson' },
        { batch: { intervalMs: 0, eventsMax: 1 }, notices: false, filter: { types: ['test.*'] } },
      ),
    );
    await start();
    const messages = [1, 2, 3, 4].map((n) => `e ${n}`);
    for (const message of messages) await dispatch.record('test.Event', 'info', message);
    const stuck = (name: string): boolean => name === 'events' || name === 'star';
    const settled = (): boolean => names.every((name) => stuck(name) || (bodies.get(name)?.length ?? 0) >= (name === 'query' ? 3 : 4));
    await until('the others have it all', settled, WAIT_MS);
    await restart();
    const stateOf = (name: string): string => dispatch.status().writers.find((writer) => writer.name === name)!.state;
    await until('the rest is settled', () => names.every((name) => stuck(name) || pending(name) === 0), WAIT_MS);
    assert.equal(stateOf('star'), 'refused');
    for (const name of names)
      assert.equal(dispatch.status().writers.find((writer) => writer.name === name)!.dead, name === 'query' ? 1 : 0, name);
    isOpen = true;
    await dispatch.feed('star').resume();
    await until('all is settled', () => names.every((name) => pending(name) === 0), WAIT_MS);
    for (const name of names) {
      assert.deepEqual(
        bodies.get(name),
        messages.filter((message) => name !== 'query' || message !== 'e 2'),
        name,
      );
    }
    await six?.close();
  });

  it('with events side by side: each object in order, poison set aside alone, all of it through restarts in the midst', async () => {
    const settings: z.input<typeof httpSettings> = {
      url: subscriber.url,
      format: 'cloudevents-binary',
      concurrency: 8,
    };
    given = [writerTo('ops', settings, { notices: false, filter: { types: ['test.*'] } })];
    await start();
    let requests = 0;
    subscriber.answer = ({ body }) => {
      requests++;
      if (body.includes('"message":"poison')) return { status: 422 };
      if (requests % 11 === 0) return 'cut'; // it has it, and nobody knows
      return { status: requests % 7 === 0 ? 503 : 200, delayMs: requests % 3 };
    };
    const recorded: string[] = [];
    const record = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const n = recorded.length;
        const name = `n${(n * 7) % 5}`;
        const message = n % 40 === 17 ? `poison ${name} ${n}` : `${name} ${n}`;
        recorded.push(message);
        await dispatch.record('test.Event', 'info', message, { object: { kind: 'Node', name } });
      }
    };
    for (let life = 0; life < 3; life++) {
      await record(60);
      await subscriber.until(({ requests: seen }) => seen.length > life * 80 + 40, WAIT_MS);
      await restart();
    }
    await until('all is settled', () => pending('ops') === 0, WAIT_MS);
    const poison = recorded.filter((message) => message.startsWith('poison'));
    const letters: string[] = [];
    for await (const { letter } of dispatch.deadLetters('ops')) letters.push(eventOf(letter!).message);
    assert.sameMembers(letters, poison);
    // In the order in which they came first.
    const came = [
      ...new Set(
        subscriber.requests
          .filter(({ status }) => status === 200 || status === 0)
          .map((each) => eventsOf('cloudevents-binary', each)[0]!.message),
      ),
    ];
    for (let name = 0; name < 5; name++) {
      const of = (list: readonly string[]): string[] => list.filter((message) => message.startsWith(`n${name} `));
      assert.deepEqual(of(came), of(recorded), `n${name}`);
    }
    const byId = new Map<string, Set<string>>();
    for (const request of subscriber.requests) {
      const id = String(request.headers['webhook-id']);
      byId.set(id, (byId.get(id) ?? new Set()).add(sha(request)));
    }
    assert.isTrue(
      [...byId.values()].every(({ size }) => size === 1),
      'a repeat differs',
    );
    assert.isTrue((await dispatch.ledger()).isBalanced);
  });
});
