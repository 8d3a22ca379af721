/** The table of faults (ARCHITECTURE.md), row by row, with real processes: a scripted subscriber and a second, healthy one beside it. */
import { expect } from 'chai';
import type { LaneLedger } from '../../dispatcher/ledger/ledger.ts';
import { Recorder } from '../../recorder/index.ts';
import { Child, ProxyProcess } from '../support/processes.ts';
import { RecordBook } from '../support/record-book.ts';
import { Subscriber, type Answer, type SeenRequest } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const EVENTS = 500;
const OK: Answer = { status: 200 };

describe('the table of faults, at a real proxy', function () {
  this.timeout(60_000);
  let folder: { path: string; remove: () => Promise<void> };
  let ops: Subscriber;
  let healthy: Subscriber;
  let opsBook: RecordBook;
  let healthyBook: RecordBook;
  let proxy: ProxyProcess;
  let writer: (name: string, url: string, retry?: string) => string;

  beforeEach(async () => {
    folder = await tempDirectory();
    ops = await Subscriber.open();
    healthy = await Subscriber.open();
    [opsBook, healthyBook] = [new RecordBook(), new RecordBook()];
    script(() => OK);
    healthy.answer = ({ body }) => {
      healthyBook.add(body);
      return OK;
    };
    writer = (name, url, retry = 'policy: backoff, initial: 50ms, max: 100ms') =>
      `  - { name: ${name}, kind: http, format: json, url: "${url}", timeout: 400ms, batch: { interval: 50ms, eventsMax: 500 }, retry: { ${retry} } }`;
    proxy = await ProxyProcess.start(
      folder.path,
      `dedup: { interval: 0s }\nwriters:\n${writer('ops', ops.url)}\n${writer('healthy', healthy.url)}`,
    );
  });

  afterEach(async () => {
    await proxy.kill();
    await Promise.all([ops.close(), healthy.close()]);
    await folder.remove();
  });

  /** Answers the scripted subscriber's requests; what it takes goes into its record. */
  const script = (answer: (request: SeenRequest, messages: string[]) => Answer): void => {
    ops.answer = (request) => {
      const messages = (JSON.parse(request.body.toString()) as { message: string }[]).map(({ message }) => message);
      const given = answer(request, messages);
      if (given === OK) opsBook.add(request.body);
      return given;
    };
  };

  /** Records `event 1` to `event 500`, settled when it resolves. */
  const record = async (): Promise<void> => {
    const recorder = await Recorder.open({ component: 'test', proxy: proxy.address, spool: false });
    for (let n = 1; n <= EVENTS; n++) recorder.event('test.Event', 'info', `event ${n}`);
    await recorder.flush();
    await recorder.close();
  };

  const opsState = async (): Promise<string> => (await proxy.status()).writers.find(({ name }) => name === 'ops')!.state;
  const lanesOf = async (writer: string): Promise<LaneLedger> =>
    (await proxy.ledger()).writers.find(({ name }) => name === writer)!.lanes.normal;
  const untilState = (state: string): Promise<void> => until(`ops is ${state}`, async () => (await opsState()) === state, 10_000);
  const messages = (book: RecordBook): string[] => book.events.map(({ message }) => message);
  const all = Array.from({ length: EVENTS }, (_, i) => `event ${i + 1}`);

  /** The healthy one has everything, whatever the other does. */
  const expectHealthy = async (): Promise<void> => {
    await until('the healthy subscriber has all', () => healthyBook.events.length === EVENTS, 10_000);
    expect(messages(healthyBook)).to.deep.equal(all);
    expect(healthyBook.problems({ isRepeatFree: true })).to.deep.equal([]);
  };

  const expectDelivered = async (dead: number): Promise<void> => {
    await until('the rest is delivered', () => opsBook.events.length === EVENTS - dead, 15_000);
    await until('ops has nothing pending', async () => (await lanesOf('ops')).pending === 0, 10_000);
    const ledger = await proxy.ledger();
    expect(ledger.isBalanced).to.equal(true);
    expect(await lanesOf('ops')).to.include({ dead, dropped: 0, discrepancy: 0 });
    expect(await opsState()).to.equal('delivering');
  };

  for (const fault of [503, 500, 429, 425, 409, 408, 'cut', 'hang'] as const) {
    it(`${fault}: kept, tried again with the same bytes, nothing set aside`, async () => {
      let failures = 0;
      let isBack = false;
      script(() => {
        if (isBack) return OK;
        failures++;
        return typeof fault === 'number' ? { status: fault, body: 'not now' } : fault;
      });
      await record();
      await expectHealthy();
      await untilState('retrying');
      await until('it was tried again', () => failures >= 3, 10_000);
      expect(opsBook.deliveries).to.have.length(0);
      expect(await lanesOf('ops')).to.include({ delivered: 0, dead: 0 });
      isBack = true;
      await expectDelivered(0);
      expect(messages(opsBook)).to.deep.equal(all);
      expect(opsBook.problems()).to.deep.equal([]);
      const first = ops.requests[0]!;
      const same = ops.requests.filter(({ headers }) => headers['webhook-id'] === first.headers['webhook-id']);
      expect(same.length).to.be.greaterThan(1);
      for (const { body } of same) expect(body.equals(first.body)).to.equal(true);
    });
  }

  it('429 with Retry-After: not one request before that time', async () => {
    let askedAt = 0;
    let cameAfterMs = 0;
    script(() => {
      if (askedAt === 0) {
        askedAt = performance.now();
        return { status: 429, headers: { 'retry-after': '2' } };
      }
      cameAfterMs ||= performance.now() - askedAt;
      return OK;
    });
    await record();
    await expectHealthy();
    await expectDelivered(0);
    expect(cameAfterMs).to.be.at.least(1990); // not a speed: the destination's own condition
  });

  for (const status of [400, 422]) {
    it(`${status} for one event of 500: it alone is set aside, and the delivery seq has exactly that gap`, async () => {
      script((_request, batch) => (batch.includes('event 321') ? { status, body: 'event 321 is poison' } : OK));
      await record();
      await expectHealthy();
      await expectDelivered(1);
      expect(messages(opsBook)).to.deep.equal(all.filter((message) => message !== 'event 321'));
      // ⌈log2 500⌉ + 1 requests that were refused, about as many that went through.
      expect(ops.requests.length).to.be.lessThan(25);
      const seqs = opsBook.events.map(({ delivery }) => delivery.seq);
      expect(seqs).to.deep.equal(Array.from({ length: EVENTS }, (_, i) => i + 1).filter((seq) => seq !== 321));
      const { writers } = await proxy.status();
      expect(writers.find(({ name }) => name === 'ops')!.lastError).to.include({ status: String(status), answer: 'event 321 is poison' });
    });
  }

  it('413 for large batches: smaller ones go through, nothing is set aside', async () => {
    script((_request, batch) => (batch.length > 100 ? { status: 413 } : OK));
    await record();
    await expectHealthy();
    await expectDelivered(0);
    expect(messages(opsBook)).to.deep.equal(all);
  });

  it('400 for every event is a wrong setting: ten at most are set aside, the rest waits until it is mended', async () => {
    let isMended = false;
    script(() => (isMended ? OK : { status: 400, body: 'no such tenant' }));
    await record();
    await expectHealthy();
    await untilState('refused');
    const { dead, pending } = await lanesOf('ops');
    expect(dead).to.be.at.most(10);
    await until('the other is told', () => healthyBook.own('fondaco.WriterRefused').length === 1, 10_000);
    expect(healthyBook.own('fondaco.WriterRefused')[0]!.attributes).to.deep.equal({
      writer: 'ops',
      status: '400',
      answer: 'no such tenant',
    });
    await proxy.kill(); // nothing more after a restart either
    await proxy.start();
    const probes = ops.requests.length;
    await until('it is probed', () => ops.requests.length > probes + 1, 10_000);
    expect((await lanesOf('ops')).dead).to.equal(dead);
    expect(pending).to.be.at.least(EVENTS - 10);
    isMended = true;
    await until('the rest is delivered', () => opsBook.events.length === EVENTS - dead, 15_000);
    await untilState('delivering');
    expect(messages(opsBook)).to.deep.equal(all.slice(dead));
    expect((await proxy.ledger()).isBalanced).to.equal(true);
  });

  for (const status of [401, 403, 404, 410, 302]) {
    it(`${status}: it refuses us: paused, all kept, the other told, a lone event probes, then everything flows`, async () => {
      let isMended = false;
      script(() => (isMended ? OK : { status, headers: { location: 'http://127.0.0.1:1/' } }));
      await record();
      await expectHealthy();
      await untilState('refused');
      await until('the other is told', () => healthyBook.own('fondaco.WriterRefused').length === 1, 10_000);
      expect(await lanesOf('ops')).to.include({ delivered: 0, dead: 0 });
      const seen = ops.requests.length;
      await until('it is probed', () => ops.requests.length > seen + 1, 10_000);
      expect(JSON.parse(ops.requests.at(-1)!.body.toString())).to.have.length(1);
      isMended = true;
      await expectDelivered(0);
      expect(messages(opsBook)).to.deep.equal(all);
      expect(healthyBook.own('fondaco.WriterRefused')).to.have.length(1);
      await until('the other is told of the end', () => healthyBook.own('fondaco.WriterResumed').length === 1, 10_000);
    });
  }

  it('a policy that comes to its end suspends the writer, keeps everything, tells the other, and is resumed by a person', async () => {
    await proxy.stop();
    const suspend = writer('ops', ops.url, 'policy: suspend, attempts: 3, initial: 20ms, max: 20ms');
    await proxy.configure(`dedup: { interval: 0s }\nwriters:\n${suspend}\n${writer('healthy', healthy.url)}`);
    await proxy.start();
    let isBack = false;
    script(() => (isBack ? OK : { status: 503 }));
    await record();
    await expectHealthy();
    await untilState('suspended');
    await until('the other is told', () => healthyBook.own('fondaco.WriterSuspended').length === 1, 10_000);
    expect(ops.requests).to.have.length(3);
    isBack = true;
    const { code, stdout } = await Child.cli('writer', 'resume', 'ops', '--api', proxy.api).ended;
    expect([code, stdout]).to.deep.equal([0, 'writer ops is resumed; fondaco status tells how it goes\n']);
    await expectDelivered(0);
    expect(messages(opsBook)).to.deep.equal(all);
    const unknown = await Child.cli('writer', 'resume', 'opps', '--api', proxy.api).ended;
    expect(unknown.code).to.equal(64);
    expect(unknown.stderr).to.include('there is no writer called "opps"');
  });
});
