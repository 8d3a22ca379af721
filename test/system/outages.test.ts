import { expect } from 'chai';
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { Child, ProxyProcess } from '../support/processes.ts';
import { RecordBook } from '../support/record-book.ts';
import { Subscriber } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const AGENT = fileURLToPath(new URL('../support/agent.ts', import.meta.url));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('the proxy is away', function () {
  this.timeout(300_000);
  let folder: { path: string; remove: () => Promise<void> };
  let subscriber: Subscriber;
  let book: RecordBook;
  let proxy: ProxyProcess;

  beforeEach(async () => {
    folder = await tempDirectory();
    subscriber = await Subscriber.open();
    book = new RecordBook();
    subscriber.answer = ({ body }) => {
      book.add(body);
      return { status: 200 };
    };
    const writer = `{ name: ops, kind: http, format: json, url: "${subscriber.url}", batch: { interval: 100ms }, retry: { policy: backoff, initial: 50ms, max: 200ms } }`;
    proxy = await ProxyProcess.prepare(folder.path, `dedup: { interval: 1s }\nwriters: [${writer}]`);
  });

  afterEach(async () => {
    await proxy.kill();
    await subscriber.close();
    await folder.remove();
  });

  const agent = (component: string, count: number, perBurst: number, pauseMs: number): Child =>
    new Child(AGENT, [component, proxy.address, join(folder.path, 'spool'), String(count), String(perBurst), String(pauseMs)]);

  const expectAll = async (agents: readonly Child[], total: number): Promise<void> => {
    for (const child of agents) {
      const { code, stderr } = await child.ended;
      expect(code, stderr).to.equal(0);
      const { ledger } = child.lines('ledger')[0] as { ledger: Record<string, number> };
      expect(ledger).to.include({ settled: ledger.recorded, dropped: 0, rejected: 0, queued: 0, spooled: 0 });
    }
    await until(`Σ added is ${total}`, () => book.added >= total, 30_000);
    await until('nothing is pending', async () => (await proxy.ledger()).writers[0]!.lanes.normal.pending === 0, 10_000);
    expect(book.added).to.equal(total);
    expect(book.problems()).to.deep.equal([]);
    expect(book.own('fondaco.Loss')).to.deep.equal([]);
    const ledger = await proxy.ledger();
    expect(ledger).to.include({ isBalanced: true, lost: 0, rejected: 0 });
    expect(ledger.accepted.urgent + ledger.accepted.normal).to.equal(total);
  };

  it('before the recorder starts: what was recorded arrives when it comes, the critical events first', async () => {
    const child = agent('early', 2000, 200, 20);
    await until('all is recorded', () => child.lines('recorded').length > 0, 20_000);
    await proxy.start();
    await expectAll([child], 2000);
    expect(book.deliveries.slice(0, 4).map(({ severity }) => severity)).to.deep.equal(Array(4).fill('critical'));
  });

  it('in the middle: the recorder goes on, and nothing is missing', async () => {
    await proxy.start();
    const child = agent('middle', 3000, 50, 20);
    await until('events flow', () => book.events.length > 100, 20_000);
    await proxy.kill();
    await pause(700);
    await proxy.start();
    await expectAll([child], 3000);
  });

  it('SIGKILLed at random 20 times while two recorders record 20,000 events: every one, in order, counted exactly', async () => {
    await proxy.start();
    const agents = [agent('left', 10_000, 50, 150), agent('right', 10_000, 50, 150)];
    for (let kill = 1; kill <= 20; kill++) {
      await pause(randomInt(50, 900));
      await proxy.kill();
      await proxy.start();
      expect(await proxy.ledger(), `after kill ${kill}`).to.include({ isBalanced: true });
    }
    await expectAll(agents, 20_000);
  });
});
