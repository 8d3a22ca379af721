/** The books held against the rows and entries themselves. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Counts } from '../../../dispatcher/ledger/counts.ts';
import type { FeedRow } from '../../../dispatcher/feed/feed-row.ts';
import { verifyLedger, type Check, type Verification } from '../../../dispatcher/ledger/ledger-verify.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';
import { damage, rowsOf, tamper } from '../../support/store-audit.ts';

describe('a verification of the ledger', () => {
  let kit: DispatchKit;

  /** Folded, filtered, dead and purged ones, loss notices, summaries, and a window that is open. */
  beforeEach(async () => {
    kit = await DispatchKit.open({ dedupMs: 10_000, writers: { ops: { filter: { minSeverity: 'warn' } }, other: {} } });
    kit.writer('other').answer = (batch) =>
      batch.some(({ event }) => /^a [23]$/.test(event.message)) ? new FondacoError('REJECTED', '422') : undefined;
    const sender = new Sender();
    await kit.dispatcher.accept(sender.batch(0, [...numbered('a', 1, 5), ...numbered('a', 1, 2), { severity: 'critical', message: 'u' }]));
    await kit.clock.advance(15_000);
    const lost = [{ first: 9, last: 11, cause: 'memory-full' as const }];
    await kit.dispatcher.accept(sender.batch(8, [...numbered('b', 1, 3), ...numbered('b', 1, 3)], { lost }));
    await kit.clock.advance(2000);
  });

  afterEach(async () => {
    await kit.stop();
  });

  const verify = (): Promise<Verification> => verifyLedger(kit.journal, new AbortController().signal);
  const wrong = async (): Promise<Check[]> => (await verify()).checks.filter(({ isGood }) => !isGood);

  it('is good where all is well, and has looked at everything', async () => {
    const { isGood, checks, notChecked } = await verify();
    expect(checks.filter((check) => !check.isGood)).to.deep.equal([]);
    expect(isGood).to.equal(true);
    expect(notChecked).to.deep.equal([]);
    const of = (name: string): unknown => checks.find((check) => check.name === name);
    expect(of('other/normal: dead letters')).to.deep.equal({ name: 'other/normal: dead letters', expected: 3, found: 3, isGood: true });
    expect(of('normal: accepted entries')).to.include({ expected: 13 });
    expect(of('losses: announced and not announced yet')).to.include({ expected: 3 });
    expect(of('rows of series')).to.include({ expected: 1 });
    expect((of('Σ added over the entries') as Check).expected).to.be.above(10);
  });

  const faults: [string, () => void, (string | RegExp)[]][] = [
    [
      'a dead letter is gone',
      () => kit.storage.apply([{ key: Buffer.from(rowsOf(kit.storage, 'dead:')[0]!.key), value: undefined }]),
      ['other/normal: dead letters', 'other/normal: bytes of dead letters'],
    ],
    [
      'there is one more, of a writer that never was',
      () =>
        kit.storage.apply([
          {
            key: Buffer.from('dead:gone/normal/0000000000000001'),
            value: kit.storage.get(Buffer.from(rowsOf(kit.storage, 'dead:')[0]!.key))!,
          },
        ]),
      ['gone/normal: dead letters', 'damaged dead letters'],
    ],
    [
      'a dead letter is damaged',
      () => {
        const key = Buffer.from(rowsOf(kit.storage, 'dead:')[0]!.key);
        const value = Buffer.from(kit.storage.get(key)!);
        value[30]! ^= 1;
        kit.storage.apply([{ key, value }]);
      },
      ['damaged dead letters'],
    ],
    [
      'as many were counted dead and delivered wrongly',
      () =>
        tamper(kit.storage, 'feed:other', (value) => {
          const row = value as FeedRow;
          row.lanes.normal.dead--;
          row.lanes.normal.delivered++;
          return row;
        }),
      ['other/normal: dead letters'],
    ],
    [
      'one too few was accepted, and one too many made',
      () => tamper(kit.storage, 'ledger', (value) => bump(value as Counts, (counts) => (counts.accepted.normal--, counts.made.normal++))),
      [/accepted events that/, 'normal: accepted entries', 'normal: entries made here'],
    ],
    [
      'a loss was counted and never announced',
      () => tamper(kit.storage, 'ledger', (value) => bump(value as Counts, (counts) => counts.lost++)),
      ['losses: announced and not announced yet'],
    ],
    [
      'the rows of series are miscounted',
      () => tamper(kit.storage, 'ledger', (value) => bump(value as Counts, (counts) => counts.series++)),
      ['rows of series'],
    ],
    [
      'a window is gone',
      () => kit.storage.apply(rowsOf(kit.storage, 'window:').map(({ key }) => ({ key: Buffer.from(key), value: undefined }))),
      [/accepted events that/],
    ],
  ];
  for (const [what, break_, names] of faults) {
    it(`is not good where ${what}`, async () => {
      break_();
      const found = (await wrong()).map(({ name }) => name);
      expect(found).to.have.lengthOf(names.length);
      for (const [i, name] of names.entries()) expect(found[i]).to.match(name instanceof RegExp ? name : new RegExp(`^${name}$`));
    });
  }

  function bump(counts: Counts, change: (counts: Counts) => unknown): Counts {
    change(counts);
    return counts;
  }

  it('names damaged entries, and what cannot be checked then', async () => {
    const { storage, clock } = kit;
    await kit.kill();
    const { from, to } = damage(storage, 'normal', 1);
    kit = await DispatchKit.open({ storage, clock, recentBytes: 0 });
    const { isGood, notChecked } = await verify();
    expect(isGood).to.equal(false);
    expect((await wrong()).map(({ name, found }) => [name, found])).to.deep.include(['normal: damaged entries', to - from]);
    expect(notChecked).to.deep.equal([
      'the kinds of entries in normal: some are damaged',
      'Σ added and the announced losses: not all entries are there',
    ]);
  });

  it('says what it could not check where entries were trimmed, and checks the rest', async () => {
    await kit.journal.trim('normal', 4);
    const { isGood, checks, notChecked } = await verify();
    expect(isGood).to.equal(true);
    expect(notChecked).to.deep.equal([
      'the number of entries in normal: those below position 4 were trimmed',
      'Σ added and the announced losses: not all entries are there',
    ]);
    expect(checks.map(({ name }) => name))
      .to.include('urgent: accepted entries')
      .and.not.include('normal: accepted entries');
  });

  it('is right also while events come, are set aside, replayed and purged', async () => {
    const sender = new Sender();
    let isOver = false;
    const busy = (async () => {
      for (let n = 0; !isOver && n < 400; n++) {
        await kit.dispatcher.accept(sender.batch(n * 3, numbered('a', n % 5, (n % 5) + 2)));
        if (n % 20 === 0) await kit.feed('other').replay.start();
      }
    })();
    for (let round = 0; round < 5; round++) {
      const { checks } = await verify();
      expect(checks.filter(({ isGood }) => !isGood)).to.deep.equal([]);
    }
    isOver = true;
    await busy;
  });

  it('ends when it is told to', async () => {
    const signal = AbortSignal.abort(new FondacoError('UNAVAILABLE', 'the proxy is stopping'));
    const error: unknown = await verifyLedger(kit.journal, signal).catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'UNAVAILABLE' });
  });
});
