import { expect } from 'chai';
import { type FondacoError, isFondacoError } from '../../../core/errors.ts';
import { uuidText } from '../../../core/uuid.ts';
import { DispatchKit, numbered, Sender, type Batch, type BatchReply } from '../../support/dispatch-kit.ts';
import { auditStore, decodeOf, rowOf, rowsOf } from '../../support/store-audit.ts';

/** An event that acceptance refuses: its type begins with a digit. */
function badEvent(): Uint8Array {
  return Uint8Array.from([0x0a, 0x02, 0x37, 0x61, 0x10, 0x09]);
}

function withBad(batch: Batch, ...at: number[]): Batch {
  return { ...batch, events: batch.events.map((event, i) => (at.includes(i) ? badEvent() : event)) };
}

function messagesIn(kit: DispatchKit): string[] {
  return auditStore(kit.storage)
    .entries.normal.filter(({ kind }) => kind !== 'made')
    .map((entry) => decodeOf(entry).message);
}

/** What the loss notices in the journal say, in order. */
function noticesIn(
  kit: DispatchKit,
): { count: number; losses: { cause: string; count: number; ranges: number[][]; origin: { id: string } }[] }[] {
  return auditStore(kit.storage)
    .entries.urgent.map((entry) => decodeOf(entry))
    .filter(({ type }) => type === 'fondaco.Loss')
    .map(({ attributes }) => attributes as ReturnType<typeof noticesIn>[number]);
}

describe('ingest', () => {
  let kit: DispatchKit;
  let sender: Sender;
  const accept = (batch: Batch): Promise<BatchReply> => kit.dispatcher.accept(batch);

  beforeEach(async () => {
    kit = await DispatchKit.open();
    sender = new Sender();
  });

  afterEach(async () => {
    expect(await kit.ledger()).to.include({ isBalanced: true, dedupDiscrepancy: 0 });
    await kit.stop();
  });

  /** Stops this life and begins the next on the same storage. */
  async function restart(): Promise<void> {
    await kit.stop();
    kit = await DispatchKit.open({ storage: kit.storage, clock: kit.clock });
  }

  describe('a lost reply', () => {
    it('stores nothing twice, and answers the same', async () => {
      const batch = sender.batch(0, numbered('a', 1, 5));
      const lost = await accept(batch);
      expect(await accept(batch)).to.deep.equal(lost);
      expect(lost.settled).to.equal(5);
      expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3', 'a 4', 'a 5']);
    });

    it('tells the rejections again, also after a restart', async () => {
      const batch = withBad(sender.batch(0, numbered('a', 1, 5)), 1, 3);
      const lost = await accept(batch);
      expect(lost.rejections.map(({ seq }) => seq)).to.deep.equal([2, 4]);
      expect(await accept(batch)).to.deep.equal(lost);
      await restart();
      expect(await accept(batch)).to.deep.equal(lost);
      expect((await kit.ledger()).rejected).to.equal(2);
    });

    it('tells the rejections again when batches behind it were on their way, which acknowledge nothing', async () => {
      const first = withBad(sender.batch(0, numbered('a', 1, 3)), 1);
      const second = withBad(sender.batch(3, numbered('a', 4, 6)), 1);
      const lost = await Promise.all([accept(first), accept(second), accept(sender.batch(6, numbered('a', 7, 9)))]);
      expect(lost.map(({ settled }) => settled)).to.deep.equal([3, 6, 9]);
      const again = await accept(first); // the stream broke before any reply came
      expect(again.settled).to.equal(9);
      expect(again.rejections.map(({ seq }) => seq)).to.deep.equal([2, 5]);
    });
  });

  it('names what is wrong with an event and stores the good ones beside it', async () => {
    const reply = await accept(withBad(sender.batch(0, numbered('a', 1, 3)), 1));
    expect(reply.settled).to.equal(3);
    expect(reply.rejections).to.deep.equal([
      { seq: 2, reason: 'type must be a letter, then up to 127 letters, digits or any of _ . -, got "7a"' },
    ]);
    expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 3']);
  });

  it('forgets rejections when their series is closed, not before', async () => {
    await accept(withBad(sender.batch(0, numbered('a', 1, 3)), 1));
    await accept(sender.batch(3, numbered('a', 4, 4)));
    expect(rowsOf(kit.storage, 'rejection:')).to.have.lengthOf(1);
    await accept(sender.batch(4, [], { isClosing: true }));
    expect(rowsOf(kit.storage, 'rejection:')).to.deep.equal([]);
  });

  it('forgets rejections that its sender says to have seen, so that their rows do not pile up', async () => {
    await accept(withBad(sender.batch(0, numbered('a', 1, 3)), 1));
    await accept(withBad(sender.batch(3, numbered('a', 4, 6)), 1));
    await accept(sender.batch(6, numbered('a', 7, 7), { settled: 3 }));
    expect(rowsOf(kit.storage, 'rejection:').map(({ key }) => Number(key.slice(-16)))).to.deep.equal([5]);
  });

  it('tells no more rejections at once than a message holds, and the rest when the sender goes on from there', async () => {
    const bad = sender.batch(0, []);
    const reply = await accept({ ...bad, events: Array.from({ length: 9000 }, () => new Uint8Array(0)) });
    expect([reply.settled, reply.rejections.length]).to.deep.equal([5000, 5000]);
    const rest = await accept({
      ...sender.batch(5000, [], { settled: 5000 }),
      events: Array.from({ length: 4000 }, () => new Uint8Array(0)),
    });
    expect([rest.settled, rest.rejections.length, rest.rejections[0]!.seq]).to.deep.equal([9000, 4000, 5001]);
    expect((await kit.ledger()).rejected).to.equal(9000);
  });

  it('stores nothing of a batch that comes too early, nor of the one pipelined behind it', async () => {
    await accept(sender.batch(0, numbered('a', 1, 3)));
    const replies = await Promise.all([accept(sender.batch(5, numbered('a', 6, 7))), accept(sender.batch(7, numbered('a', 8, 9)))]);
    expect(replies.map(({ expected, settled }) => [expected, settled])).to.deep.equal([
      [4, 3],
      [4, 3],
    ]);
    const back = await accept(sender.batch(3, numbered('a', 4, 9)));
    expect(back).to.include({ settled: 9 }).and.not.to.have.property('expected');
    expect(messagesIn(kit)).to.deep.equal(numbered('a', 1, 9).map(({ message }) => message));
  });

  it('refuses a batch that is pipelined behind one whose commit fails', async () => {
    kit.storage.fate = () => 'failed';
    const failing = accept(sender.batch(0, numbered('a', 1, 3))).catch((error: unknown) => error);
    const behind = accept(sender.batch(3, numbered('a', 4, 6))).catch((error: unknown) => error);
    for (const error of await Promise.all([failing, behind])) expect(isFondacoError(error, 'FULL')).to.equal(true);
    kit.storage.fate = () => 'taken';
    await kit.clock.advance(200);
    expect(await accept(sender.batch(3, numbered('a', 4, 6)))).to.include({ expected: 1 });
    expect(messagesIn(kit)).to.deep.equal([]);
  });

  it('stores what overlaps once, wherever the batches were cut', async () => {
    const text = (first: number, last: number): Record<string, unknown>[] => numbered('a', first, last);
    for (const [first, last] of [
      [1, 4],
      [2, 6],
      [1, 6],
      [5, 9],
      [3, 7],
    ] as const)
      await accept(sender.batch(first - 1, text(first, last)));
    expect(messagesIn(kit)).to.deep.equal(text(1, 9).map(({ message }) => message));
  });

  it('begins anew with a reopened recorder, whose series is another one', async () => {
    await accept(sender.batch(0, numbered('a', 1, 3)));
    const reopened = new Sender();
    expect(await accept(reopened.batch(0, numbered('b', 1, 2)))).to.include({ settled: 2 });
    expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3', 'b 1', 'b 2']);
  });

  it('keeps 1,000 series apart, across a restart', async () => {
    const senders = Array.from({ length: 1000 }, () => new Sender());
    await Promise.all(senders.map((each, i) => accept(each.batch(0, numbered(`s${i}`, 1, 2)))));
    await restart();
    const replies = await Promise.all(senders.map((each, i) => accept(each.batch(1, numbered(`s${i}`, 2, 3)))));
    expect(replies.every(({ settled, series }, i) => settled === 3 && Buffer.compare(series, senders[i]!.series) === 0)).to.equal(true);
    expect(new Set(messagesIn(kit)).size).to.equal(3000);
    expect(messagesIn(kit)).to.have.lengthOf(3000);
  });

  it('keeps no more rows of series than it may: the oldest leave, with what they rejected, and not those in use', async () => {
    const senders: Sender[] = [];
    for (let n = 0; n < 30; n++) senders.push(new Sender('normal', n + 1));
    for (const each of senders) await accept(withBad(each.batch(0, numbered('s', 1, 2)), 1));
    await kit.stop();
    kit = await DispatchKit.open({ storage: kit.storage, clock: kit.clock, seriesMax: 20 });
    await accept(senders[0]!.batch(2, numbered('s', 3, 3))); // the oldest of all, in use again
    await kit.clock.advance(1000);
    const kept = rowsOf(kit.storage, 'series:').map(({ key }) => key.slice('series:'.length));
    const wanted = [senders[0]!, ...senders.slice(11)].map(({ series }) => uuidText(series));
    expect(kept).to.deep.equal(wanted);
    expect(new Set(rowsOf(kit.storage, 'rejection:').map(({ key }) => key.slice('rejection:'.length).split('/')[0]))).to.deep.equal(
      new Set(wanted),
    );
    expect(kit.dispatcher.status().series).to.equal(20);
    await kit.stop();
    kit = await DispatchKit.open({ storage: kit.storage, clock: kit.clock });
    expect(kit.dispatcher.status().series).to.equal(20);
  });

  describe('what the receiver no longer knows', () => {
    it('is lost, by its exact range and in one notice, when an older copy of this very store was restored', async () => {
      const { journal } = await accept(sender.batch(0, numbered('a', 1, 3)));
      const older = kit.storage.copy();
      await accept(sender.batch(3, numbered('a', 4, 8), { settledBy: journal }));
      await kit.stop();
      kit = await DispatchKit.open({ storage: older, clock: kit.clock, writers: { ops: {} } });

      const early = sender.batch(8, numbered('a', 9, 10), { settledBy: journal });
      expect(await accept(early)).to.include({ expected: 4, settled: 3 });
      const gone = { ...early, isGone: true };
      expect(await accept(gone)).to.include({ settled: 10 });
      expect(await accept(gone)).to.include({ settled: 10 }); // its reply was lost
      await kit.clock.advance(3000);
      expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3', 'a 9', 'a 10']);
      expect(noticesIn(kit)).to.deep.equal([
        {
          count: 5,
          losses: [
            {
              origin: { kind: 'series', id: uuidText(sender.series), node: 'n1', component: 'c1' },
              cause: 'restored',
              count: 5,
              ranges: [[4, 8]],
            },
          ],
        },
      ]);
      expect(kit.writer().taken.filter(({ event }) => event.type === 'fondaco.Loss')).to.have.lengthOf(1);
      expect(await kit.ledger()).to.include({ lost: 5, unannounced: 0, notices: 1, isBalanced: true });
    });

    it('is no loss when another journal had settled it: fail-over begins at `after`', async () => {
      const elsewhere = '0199e0c4-0000-7000-8000-00000000cafe';
      const batch = sender.batch(7, numbered('a', 8, 9), { settledBy: elsewhere });
      expect(await accept(batch)).to.include({ expected: 1, settled: 0 });
      expect(await accept({ ...batch, isGone: true })).to.include({ settled: 9 });
      expect(await accept(sender.batch(9, numbered('a', 10, 10)))).to.include({ settled: 10 });
      await kit.clock.advance(3000);
      expect(messagesIn(kit)).to.deep.equal(['a 8', 'a 9', 'a 10']);
      expect(noticesIn(kit)).to.deep.equal([]);
      expect(await kit.ledger()).to.include({ lost: 0, isBalanced: true });
    });

    it('is no loss either on the way back from the other journal', async () => {
      const { journal } = await accept(sender.batch(0, numbered('a', 1, 3)));
      const elsewhere = '0199e0c4-0000-7000-8000-00000000cafe';
      await accept(sender.batch(9, numbered('a', 10, 11), { settledBy: elsewhere, isGone: true }));
      expect(journal).to.equal(kit.journal.id);
      expect((await kit.ledger()).lost).to.equal(0);
      expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3', 'a 10', 'a 11']);
    });
  });

  describe('a declared loss', () => {
    const lost = (first: number, last: number): { first: number; last: number; cause: 'memory-full' } => ({
      first,
      last,
      cause: 'memory-full',
    });

    it('takes its seqs before, between and after the events, and is announced', async () => {
      const batch = sender.batch(0, [...numbered('a', 3, 4), ...numbered('a', 7, 7)], { lost: [lost(1, 2), lost(5, 6), lost(8, 9)] });
      expect(await accept(batch)).to.include({ settled: 9 });
      const seqs = auditStore(kit.storage).entries.normal.map(({ seq }) => seq);
      expect(seqs).to.deep.equal([3, 4, 7]);
      await kit.clock.advance(3000);
      expect(noticesIn(kit).map(({ count, losses }) => [count, losses[0]!.ranges, losses[0]!.cause])).to.deep.equal([
        [
          6,
          [
            [1, 2],
            [5, 6],
            [8, 9],
          ],
          'memory-full',
        ],
      ]);
      expect((await kit.ledger()).lost).to.equal(6);
    });

    it('may be all that there is in a batch', async () => {
      expect(await accept(sender.batch(0, [], { lost: [lost(1, 40)] }))).to.include({ settled: 40 });
      expect(await accept(sender.batch(40, numbered('a', 41, 41)))).to.include({ settled: 41 });
    });

    it('is counted once, also when part of it was known before and when it is repeated', async () => {
      await accept(sender.batch(0, numbered('a', 1, 3)));
      const batch = sender.batch(1, numbered('a', 8, 8), { lost: [lost(2, 7)] });
      await accept(batch);
      await accept(batch);
      await accept(sender.batch(0, [...numbered('a', 1, 1), ...numbered('a', 8, 9)], { lost: [lost(2, 7)] }));
      expect((await kit.ledger()).lost).to.equal(4); // 4 to 7: 2 and 3 had arrived
      expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3', 'a 8', 'a 9']);
    });

    it('is announced at most once a second, all of a second in one notice', async () => {
      for (let after = 0; after < 40; after += 2) {
        await accept(sender.batch(after, numbered('a', 0, 0), { lost: [lost(after + 2, after + 2)] }));
        await kit.clock.advance(100);
      }
      await kit.clock.advance(2000);
      const notices = noticesIn(kit);
      expect(notices.length).to.be.within(2, 4);
      expect(notices.reduce((sum, { count }) => sum + count, 0)).to.equal(20);
    });

    it('is announced once when the process is killed between the loss and the notice, and once when it is killed after it', async () => {
      await accept(sender.batch(0, [], { lost: [lost(1, 5)] }));
      await kit.clock.advance(100);
      await accept(sender.batch(5, [], { lost: [lost(6, 7)] })); // its notice waits for the second
      for (let life = 0; life < 3; life++) {
        await kit.kill();
        kit = await DispatchKit.open({ storage: kit.storage, clock: kit.clock });
        await kit.clock.advance(3000);
      }
      expect(noticesIn(kit).map(({ count }) => count)).to.deep.equal([5, 2]);
    });

    it('of very many senders is split so that no notice is beyond the limit of an event, whatever their names are made of', async () => {
      const name = 'é'.repeat(128); // 256 bytes
      for (let i = 0; i < 200; i++) {
        const batch = new Sender().batch(0, [], { lost: [lost(1, 1)], sender: { node: name, component: name } });
        await accept(batch);
      }
      await kit.clock.advance(3000);
      const notices = auditStore(kit.storage).entries.urgent.map((entry) => decodeOf(entry));
      for (const { attributesText } of notices) expect(Buffer.byteLength(attributesText)).to.be.at.most(32 * 1024);
      expect(noticesIn(kit).reduce((sum, { count }) => sum + count, 0)).to.equal(200);
    });
  });

  describe('a clean close', () => {
    it('frees the row, and a late repeat of the closed series stores nothing', async () => {
      const batch = sender.batch(0, numbered('a', 1, 3));
      await accept(batch);
      expect(rowsOf(kit.storage, 'series:')).to.have.lengthOf(1);
      await accept(sender.batch(3, [], { isClosing: true }));
      expect(rowsOf(kit.storage, 'series:')).to.deep.equal([]);
      expect(kit.dispatcher.status().series).to.equal(0);
      expect(await accept(batch)).to.include({ settled: 3 });
      expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3']);
    });

    it('that failed has closed nothing: what its commit took along is stored when it comes again', async () => {
      kit.storage.fate = () => 'failed';
      const batches = [sender.batch(0, numbered('a', 1, 3)), sender.batch(3, [], { isClosing: true })];
      await Promise.all(batches.map((batch) => accept(batch).catch(() => undefined)));
      kit.storage.fate = () => 'taken';
      await kit.clock.advance(200);
      for (const batch of batches) expect(await accept(batch)).to.include({ settled: 3 });
      expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3']);
    });

    it('tells the rejections of its own batch', async () => {
      const reply = await accept({ ...withBad(sender.batch(0, numbered('a', 1, 2)), 1), isClosing: true });
      expect(reply.rejections.map(({ seq }) => seq)).to.deep.equal([2]);
      expect(rowsOf(kit.storage, 'rejection:')).to.deep.equal([]);
    });
  });

  describe('durability', () => {
    it('comes before the reply, also before one that only repeats or refuses', async () => {
      let release = (): void => undefined;
      kit.storage.delay = () => new Promise((resolve) => (release = resolve));
      const batch = sender.batch(0, numbered('a', 1, 3));
      const replied: string[] = [];
      const first = accept(batch).then(() => replied.push('first'));
      const repeat = accept(batch).then(() => replied.push('repeat'));
      const early = accept(sender.batch(9, numbered('a', 10, 10))).then(() => replied.push('early'));
      await kit.settle();
      expect(replied).to.deep.equal([]);
      expect(auditStore(kit.storage).accepted).to.equal(0);
      kit.storage.delay = () => Promise.resolve();
      release();
      await Promise.all([first, repeat, early]);
      expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3']);
    });

    it('is one commit for all that arrives while a write is in flight', async () => {
      let release = (): void => undefined;
      kit.storage.delay = () => new Promise((resolve) => (release = resolve));
      const before = kit.storage.writes;
      const senders = Array.from({ length: 50 }, () => new Sender());
      await kit.journal.row('series:none');
      const replies = senders.map((each) => accept(each.batch(0, numbered('a', 1, 1))));
      await kit.settle();
      kit.storage.delay = () => Promise.resolve();
      release();
      await Promise.all(replies);
      expect(kit.storage.writes - before).to.be.at.most(2);
    });
  });

  it('does not take a batch while the journal is reopened, and takes it once after', async () => {
    kit.storage.fate = () => 'failed';
    kit.storage.openFailures = 0;
    const batch = sender.batch(0, numbered('a', 1, 3));
    const failed = await accept(batch).catch((error: unknown) => error);
    expect(isFondacoError(failed, 'FULL')).to.equal(true);
    kit.storage.openFailures = 3;
    await kit.settle();
    expect(kit.journal.isOpen).to.equal(false);
    const during = await accept(batch).catch((error: unknown) => error);
    expect(isFondacoError(during, 'UNAVAILABLE')).to.equal(true);
    expect((during as FondacoError).facts.retryAfterMs).to.be.a('number');
    kit.storage.fate = () => 'taken';
    await kit.clock.advance(10_000);
    expect(await accept(batch)).to.include({ settled: 3 });
    expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3']);
  });

  it('finds a batch stored whose write was reported as failed, and does not store it again', async () => {
    kit.storage.fate = () => 'failed-but-stored';
    const batch = sender.batch(0, numbered('a', 1, 3));
    await accept(batch).catch(() => undefined);
    kit.storage.fate = () => 'taken';
    await kit.clock.advance(200);
    expect(await accept(batch)).to.include({ settled: 3 });
    expect(messagesIn(kit)).to.deep.equal(['a 1', 'a 2', 'a 3']);
  });

  it('throttles when too much is on its way to a slow disk, having stored nothing of that batch', async () => {
    let release = (): void => undefined;
    kit.storage.delay = () => new Promise((resolve) => (release = resolve));
    const event = sender.batch(0, [{ message: 'x', attributes: { fill: 'x'.repeat(30_000) } }]).events[0]!;
    const big = Array.from({ length: 1000 }, () => event); // 30 MB
    const senders = Array.from({ length: 4 }, () => new Sender());
    const replies = senders.map((each) => accept({ ...each.batch(0, []), events: big }));
    await kit.settle();
    kit.storage.delay = () => Promise.resolve();
    release();
    const answered = await Promise.all(replies);
    expect(answered.map(({ settled, throttleMs }) => [settled, throttleMs])).to.deep.equal([
      [1000, undefined],
      [1000, undefined],
      [1000, undefined],
      [0, 100],
    ]);
    expect(await accept({ ...senders[3]!.batch(0, []), events: big })).to.include({ settled: 1000 });
    expect(auditStore(kit.storage).accepted).to.equal(4000);
  }).timeout(30_000); // 120 MB, encoded, stored and read again: seconds on a machine that does much else

  it('puts an event into the lane that its severity asks for, whatever lane it was recorded in', async () => {
    await accept(new Sender('urgent').batch(0, [{ message: 'low' }, { message: 'high', severity: 'critical' }]));
    const { entries } = auditStore(kit.storage);
    expect(entries.normal.map((entry) => decodeOf(entry).message)).to.deep.equal(['low']);
    expect(entries.urgent.map((entry) => decodeOf(entry).message)).to.deep.equal(['high']);
  });

  it('writes the row of a series as a person can read it', async () => {
    await accept(sender.batch(0, numbered('a', 1, 3)));
    expect(rowOf(kit.storage, `series:${uuidText(sender.series)}`)).to.deep.equal({ last: 3 });
  });
});
