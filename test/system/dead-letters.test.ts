/** Dead letters at a real proxy: a subscriber that poisons some events, replays, kills in the middle of them, pauses, purges. */
import { expect } from 'chai';
import type { Check } from '../../dispatcher/ledger/ledger-verify.ts';
import type { LaneLedger } from '../../dispatcher/ledger/ledger.ts';
import type { ReplayStatus } from '../../dispatcher/dead-letters/replay-row.ts';
import { Recorder } from '../../recorder/index.ts';
import { ProxyProcess } from '../support/processes.ts';
import { RecordBook } from '../support/record-book.ts';
import { Subscriber, type Answer } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const EVENTS = 400;
const OK: Answer = { status: 200 };
/** Each fourth is poison, until the destination is mended. */
const isPoison = (message: string): boolean => Number(/^event (\d+)$/.exec(message)?.[1] ?? 1) % 4 === 0;
const POISON = Array.from({ length: EVENTS }, (_, i) => `event ${i + 1}`).filter(isPoison);

describe('dead letters, at a real proxy', function () {
  this.timeout(90_000);
  let folder: { path: string; remove: () => Promise<void> };
  let ops: Subscriber;
  let book: RecordBook;
  let proxy: ProxyProcess;

  beforeEach(async () => {
    folder = await tempDirectory();
    ops = await Subscriber.open();
    book = new RecordBook();
    script((messages) => (messages.some(isPoison) ? { status: 422, body: 'no such field' } : OK));
    const writer = (name: string): string =>
      `  - { name: ${name}, kind: http, format: json, url: "${ops.url}", timeout: 2s, batch: { interval: 20ms, eventsMax: 10 }, retry: { policy: backoff, initial: 50ms, max: 100ms } }`;
    proxy = await ProxyProcess.start(folder.path, `dedup: { interval: 0s }\nwriters:\n${writer('ops')}`);
    const recorder = await Recorder.open({ component: 'test', proxy: proxy.address, spool: false });
    for (let n = 1; n <= EVENTS; n++) recorder.event('test.Event', 'info', `event ${n}`, { attributes: { n, text: 'ä\u2028' } });
    await recorder.flush();
    await recorder.close();
    await until('all are settled', async () => (await books()).pending === 0, 30_000);
    expect(await books()).to.include({ dead: POISON.length, delivered: EVENTS - POISON.length });
  });

  afterEach(async () => {
    await proxy.kill();
    await ops.close();
    await folder.remove();
  });

  /** What it takes goes into its record. */
  function script(answer: (messages: string[], body: Buffer) => Answer): void {
    ops.answer = ({ body }) => {
      const given = answer(
        (JSON.parse(body.toString()) as { message: string }[]).map(({ message }) => message),
        body,
      );
      if (given === OK) book.add(body);
      return given;
    };
  }

  async function api<T>(path: string, body?: object): Promise<T> {
    const post = body && { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    return (await (await fetch(proxy.api + path, post)).json()) as T;
  }

  const books = async (): Promise<LaneLedger> => (await proxy.ledger()).writers[0]!.lanes.normal;
  const replay = async (): Promise<ReplayStatus> => (await api<{ replays: ReplayStatus[] }>('/v1/replays')).replays[0]!;
  const untilReplay = (state: string): Promise<void> =>
    until(`the replay is ${state}`, async () => (await replay()).state === state, 20_000);
  const replayed = (): string[] => book.deliveries.slice(EVENTS - POISON.length).map(({ message }) => message);
  const expectGood = async (): Promise<void> => {
    expect((await proxy.ledger()).isBalanced).to.equal(true);
    const { isGood, checks, notChecked } = await api<{ isGood: boolean; checks: Check[]; notChecked: string[] }>('/v1/ledger/verify');
    expect([checks.filter((check) => !check.isGood), isGood, notChecked]).to.deep.equal([[], true, []]);
  };

  it('are listed in pages, and the books agree with the rows', async () => {
    const { deadLetters, next } = await api<{
      deadLetters: { reason: string; status: string; answer: string; event: { message: string } }[];
      next: string;
    }>('/v1/dead-letters?writer=ops&limit=60');
    expect(deadLetters).to.have.length(60);
    const rest = await api<{ deadLetters: typeof deadLetters }>(`/v1/dead-letters?after=${encodeURIComponent(next)}`);
    const listed = [...deadLetters, ...rest.deadLetters];
    expect(listed.map(({ event }) => event.message)).to.deep.equal(POISON);
    expect(listed[0]).to.include({ status: '422', answer: 'no such field' });
    expect(listed[0]!.reason).to.match(/must be answered with 2xx, got 422/);
    await expectGood();
  });

  it('are replayed through kills in the middle: each comes, in order, the same event, and is counted once', async () => {
    let isHanging = false;
    let taken = 0;
    script(() => {
      if (isHanging) return 'hang';
      isHanging = ++taken % 2 === 0; // the third request of each life hangs, the second's answer may be lost with the process
      return OK;
    });
    book = new RecordBook();
    const { replay: begun } = await api<{ replay: ReplayStatus }>('/v1/dead-letters/replay', { writer: 'ops' });
    expect(begun).to.include({ state: 'running', total: POISON.length });
    for (let kills = 0; kills < 3; kills++) {
      await until('a batch hangs', () => isHanging && ops.requests.at(-1)?.status === 0, 20_000);
      await proxy.kill();
      isHanging = false;
      await proxy.start();
    }
    script(() => OK);
    await untilReplay('done');
    expect(await replay()).to.include({ series: begun.series, total: POISON.length, delivered: POISON.length, deadAgain: 0 });
    expect(book.events.map(({ message }) => message)).to.deep.equal(POISON);
    expect(book.problems()).to.deep.equal([]); // in order by the numbers of its own series; what came again is the same bytes
    for (const { delivery } of book.deliveries) expect(delivery.series).to.equal(begun.series);
    expect(await books()).to.include({ dead: 0, delivered: EVENTS, dropped: 0, pending: 0 });
    expect((await api<{ deadLetters: unknown[] }>('/v1/dead-letters')).deadLetters).to.deep.equal([]);
    await expectGood();
  });

  it('that are refused again stay, and a replay of a destination that refuses us stops', async () => {
    script((messages) => (messages.includes('event 40') ? { status: 400, body: 'still not' } : OK));
    await api('/v1/dead-letters/replay', { writer: 'ops' });
    await untilReplay('done');
    expect(await replay()).to.include({ delivered: POISON.length - 1, deadAgain: 1 });
    const { deadLetters } = await api<{ deadLetters: object[] }>('/v1/dead-letters');
    expect(deadLetters).to.have.length(1);
    expect(deadLetters[0]).to.include({ attempts: 2, status: '400', answer: 'still not' });
    script(() => ({ status: 403, body: 'go away' }));
    await api('/v1/dead-letters/replay', { writer: 'ops' });
    await untilReplay('stopped');
    expect((await replay()).lastError).to.include({ status: '403', answer: 'go away' });
    expect((await proxy.status()).writers[0]!.state).to.equal('delivering');
    await expectGood();
  });

  it('wait while the writer is paused, over a restart, and are purged with a loss that is told', async () => {
    script(() => OK);
    expect(await api('/v1/writers/ops/pause', {})).to.include({ state: 'paused', isChanged: true });
    await api('/v1/dead-letters/replay', { writer: 'ops', ids: ['ops/normal/4', 'ops/normal/8'] });
    await proxy.kill();
    const requests = ops.requests.length;
    await proxy.start();
    const { writers } = await proxy.status();
    expect(writers[0]).to.include({ state: 'paused' });
    expect(writers[0]!.lanes.normal.pending).to.be.at.least(1); // fondaco.WriterPaused
    expect((await replay()).state).to.equal('waiting');
    expect(ops.requests).to.have.length(requests);
    await api('/v1/writers/ops/resume', {});
    await untilReplay('done');
    expect(replayed().filter((message) => message.startsWith('event'))).to.deep.equal(['event 4', 'event 8']);
    await until('it is told', () => book.own('fondaco.WriterResumed').length === 1, 10_000);
    expect(await api('/v1/dead-letters/purge', { writer: 'ops' })).to.deep.equal({ purged: POISON.length - 2 });
    await until('the loss is told', () => book.own('fondaco.Loss').length > 0, 10_000);
    expect(book.own('fondaco.Loss')[0]!.attributes).to.deep.include({ count: POISON.length - 2 });
    expect(await books()).to.include({ dead: 0, dropped: POISON.length - 2 });
    await expectGood();
  });
});
