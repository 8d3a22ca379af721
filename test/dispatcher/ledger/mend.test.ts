/** Books of a damaged store: whichever row is lost or comes back older, they balance again, nothing is invented, and it is told. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import { verifyLedger } from '../../../dispatcher/ledger/ledger-verify.ts';
import { blobKey, rowKey } from '../../../journal/keys.ts';
import { MemoryStorage } from '../../../journal/memory-journal.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';
import { rowsOf } from '../../support/store-audit.ts';

const WRITERS = { ops: {}, slow: {} };
const AWAY = (): FondacoError => new FondacoError('UNAVAILABLE', 'nobody is there');

describe('the books of a damaged store', () => {
  let storage: MemoryStorage;
  let before: MemoryStorage;
  let kit: DispatchKit;

  /** 100 events, a third of them folded, two dead letters at `ops`; `slow` has taken nothing of the last 50. */
  beforeEach(async () => {
    storage = new MemoryStorage();
    kit = await DispatchKit.open({ storage, writers: WRITERS, dedupMs: 60_000 });
    kit.writer('ops').answer = (batch) =>
      batch.some(({ event }) => / (7|9)$/.test(event.message)) ? new FondacoError('REJECTED', 'bad', { status: '422' }) : undefined;
    const sender = new Sender();
    await kit.dispatcher.accept(sender.batch(0, numbered('a', 1, 30)));
    await kit.dispatcher.accept(sender.batch(30, numbered('a', 1, 20)));
    await kit.settle();
    before = storage.copy();
    kit.writer('slow').answer = AWAY;
    await kit.dispatcher.accept(sender.batch(50, numbered('b', 1, 40)));
    await kit.dispatcher.accept(sender.batch(90, numbered('b', 1, 10)));
    await kit.settle();
    expect(rowsOf(storage, 'dead:')).to.have.length(4);
    await kit.kill();
  });

  async function reopen(): Promise<void> {
    kit = await DispatchKit.open({ storage, clock: kit.clock, writers: WRITERS, dedupMs: 60_000, recentBytes: 0 });
    await kit.settle();
    await kit.clock.advance(90_000);
    await kit.settle();
  }

  const told = (): string[] =>
    kit
      .writer('ops')
      .taken.filter(({ event }) => event.type === 'fondaco.StoreMended')
      .flatMap(({ event }) => (event.attributes as { what: string[] }).what);

  async function expectSound(): Promise<void> {
    const ledger = await kit.ledger();
    expect(ledger, JSON.stringify(ledger)).to.include({ isBalanced: true, dedupDiscrepancy: 0 });
    for (const { name, lanes } of ledger.writers) {
      expect(lanes.normal.dead, name).to.equal(rowsOf(storage, `dead:${name}/normal/`).length);
      expect(Math.min(...(Object.values(lanes.normal) as number[])), `${name} ${JSON.stringify(lanes.normal)}`).to.be.at.least(0);
    }
    const sender = new Sender('normal', 2);
    await kit.dispatcher.accept(sender.batch(0, numbered('after', 1, 5)));
    await kit.settle();
    expect(kit.writer('ops').messages.filter((text) => text.startsWith('after'))).to.have.length(5);
    expect((await kit.ledger()).isBalanced).to.equal(true);
  }

  afterEach(() => kit.kill());

  it('are left alone where nothing is damaged', async () => {
    await reopen();
    expect(told()).to.deep.equal([]);
    await expectSound();
  });

  for (const what of ['gone', 'damaged', 'older'] as const) {
    for (const prefix of [
      'ledger',
      'window:',
      'feed:ops',
      'feed:slow',
      'm:lanes',
      'm:epochs',
      'm:journal',
      'dead:ops/',
      'ages',
      'series:',
    ]) {
      it(`balance where row ${prefix} is ${what}`, async () => {
        const [key, value] = storage.range(rowKey(prefix), Buffer.concat([rowKey(prefix), Buffer.from([0xff])]))[0] ?? [];
        if (!key || !value) return; // there is none of it in this store
        const older = before.get(key);
        const damaged = Buffer.from(value);
        damaged[damaged.length - 1]! ^= 1;
        storage.apply([{ key, value: what === 'gone' ? undefined : what === 'damaged' ? damaged : older }]);
        await reopen();
        await expectSound();
        if (what === 'damaged' && /^(ledger|window|feed)/.test(prefix)) expect(told().join()).to.include(prefix);
      });
    }
  }

  it('count the rows of series again that are left', async () => {
    for (const key of ['m:lanes', ...rowsOf(storage, 'series:').map(({ key }) => key)])
      storage.apply([{ key: rowKey(key), value: undefined }]);
    await reopen();
    const { checks } = await verifyLedger(kit.journal, new AbortController().signal);
    expect(checks.filter(({ isGood }) => !isGood)).to.deep.equal([]);
    await expectSound();
  });

  it('balance where the last entries are gone with the row that counts positions', async () => {
    const last = storage.range(blobKey('normal', 0), blobKey('normal', 1e9)).at(-1)!;
    storage.apply([
      { key: last[0], value: undefined },
      { key: rowKey('m:lanes'), value: undefined },
    ]);
    await reopen();
    await expectSound();
    const slow = (await kit.ledger()).writers.find(({ name }) => name === 'slow');
    expect(slow?.lanes.normal.dropped).to.be.above(0);
  });

  it('deliver to a writer that has lost its place everything that is kept once more, and keep its dead letters', async () => {
    storage.apply([{ key: rowKey('feed:ops'), value: undefined }]);
    await reopen();
    expect(kit.writer('ops').messages.filter((text) => /^[ab] \d+$/.test(text)).length).to.be.at.least(66);
    expect(told().join()).to.include('writer ops has lost its place');
    await expectSound();
  });
});
