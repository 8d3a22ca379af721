import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { expect } from 'chai';
import { Recorder } from '../../recorder/index.ts';
import { ProxyProcess } from '../support/processes.ts';
import { RecordBook } from '../support/record-book.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { Subscriber } from '../support/subscriber.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const TEXT = 'x'.repeat(1000);

describe('a proxy and its limits, on a disk of 160 MiB', function () {
  this.timeout(180_000);
  let folder: { path: string; remove: () => Promise<void> };
  let disk: SmallDisk;
  let well: Subscriber;
  let dead: Subscriber;
  let isDead: boolean;
  let books: { well: RecordBook; dead: RecordBook };
  let proxy: ProxyProcess;
  let recorder: Recorder;
  let recorded: number;

  beforeEach(async function () {
    folder = await tempDirectory();
    const mounted = SmallDisk.mount(join(folder.path, 'disk'), 160 * MIB);
    if (!mounted) return this.skip();
    disk = mounted;
    isDead = true;
    recorded = 0;
    books = { well: new RecordBook(), dead: new RecordBook() };
    well = await Subscriber.open();
    dead = await Subscriber.open();
    well.answer = ({ body }) => (books.well.add(body), { status: 200 });
    dead.answer = ({ body }) => (isDead ? { status: 503 } : (books.dead.add(body), { status: 200 }));
  });

  afterEach(async () => {
    await recorder.close().catch(() => undefined);
    await proxy.kill();
    await well.close();
    await dead.close();
    disk.unmount();
    await folder.remove();
  });

  async function start(limits: { journal: string; backlog: string }): Promise<void> {
    const writer = (name: string, url: string): string =>
      `{ name: ${name}, kind: http, format: json, url: "${url}", batch: { interval: 50ms }, retry: { policy: backoff, initial: 50ms, max: 500ms }, backlog: ${limits.backlog} }`;
    const data = join(disk.directory, 'data');
    mkdirSync(data, { recursive: true });
    proxy = await ProxyProcess.start(
      data,
      `dedup: { interval: 0s }\njournal: ${limits.journal}\nwriters: [${writer('well', well.url)}, ${writer('dead', dead.url)}]`,
    );
    // The agent's spool is on another disk.
    recorder = await Recorder.open({ component: 'agent', proxy: proxy.address, spool: { directory: join(folder.path, 'spool') } });
  }

  async function record(mib: number): Promise<void> {
    for (let n = 0; n < mib * 1000; n++) {
      recorder.event('a.B', recorded % 500 === 0 ? 'critical' : 'info', `${recorded++} ${TEXT}`);
      if (n % 2000 === 1999) await recorder.flush();
    }
    await recorder.flush();
  }

  const own = (book: RecordBook): number => new Set(book.deliveries.filter(({ type }) => type === 'a.B').map(({ id }) => id)).size;
  const arrived = (): Promise<void> => until('everything arrives at the healthy one', () => own(books.well) === recorded, 60_000);

  it('stays within its budget while a dead destination fills it: the other one and ingest notice nothing, what is dropped is counted and told', async () => {
    await start({ journal: '{ bytesMax: 48MiB }', backlog: '{ bytesMax: 1GiB }' });
    await record(120);
    await until('the agent has handed everything over', () => recorder.status().ledger.settled === recorded, 60_000);
    await arrived();
    const { journal } = await proxy.status();
    expect(journal.bytes).to.be.at.most(48 * MIB);
    const ledger = await proxy.ledger();
    expect(ledger).to.include({ isBalanced: true, lost: 0, rejected: 0 });
    const { urgent, normal } = ledger.writers.find(({ name }) => name === 'dead')!.lanes;
    expect(urgent.dropped, 'critical is kept while something lower is').to.equal(0);
    expect(normal.dropped).to.be.above(60_000);
    isDead = false;
    await until(
      'the dead one gets what is left',
      async () => (await proxy.ledger()).writers.every(({ lanes }) => lanes.normal.pending + lanes.urgent.pending === 0),
      60_000,
    );
    expect(own(books.dead)).to.equal(recorded - normal.dropped);
    const told = books.well
      .own('fondaco.Loss')
      .flatMap(
        (event) => ((event as unknown as { attributes: unknown }).attributes as { losses: { cause: string; count: number }[] }).losses,
      );
    expect(told.filter(({ cause }) => cause === 'budget').reduce((sum, { count }) => sum + count, 0)).to.equal(
      (await proxy.ledger()).writers.find(({ name }) => name === 'dead')!.lanes.normal.dropped,
    );
  });

  it('takes nothing in while the disk is full, goes on delivering, and goes on by itself when there is room', async () => {
    isDead = false;
    await start({ journal: '{ bytesMax: 1GiB }', backlog: '{ bytesMax: 1GiB }' });
    await record(5);
    await arrived();
    disk.fill();
    const before = recorded;
    for (let round = 0; round < 20; round++) await record(1).catch(() => undefined);
    await until('it refuses', async () => (await proxy.status()).journal.refusal === 'the disk is full', 30_000);
    expect(recorder.status().ledger.dropped).to.equal(0);
    expect(recorded).to.be.above(before);
    disk.empty();
    await until('the agent has handed everything over', () => recorder.status().ledger.settled === recorded, 60_000);
    await arrived();
    expect(await proxy.ledger()).to.include({ isBalanced: true, lost: 0, rejected: 0 });
    expect(books.well.own('fondaco.Loss')).to.deep.equal([]);
  });
});
