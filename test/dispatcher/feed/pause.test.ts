/** Pausing and resuming by a person, and a store of dead letters that is full. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import { DispatchKit, numbered, Sender, type ScriptedWriter } from '../../support/dispatch-kit.ts';

const away = (): FondacoError => new FondacoError('UNAVAILABLE', '503');
const refusal = (): FondacoError => new FondacoError('REFUSED', '401', { status: '401' });

describe('a writer that a person pauses', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after = 0;

  async function open(ops: Partial<FeedSettings> = {}): Promise<void> {
    kit = await DispatchKit.open({ writers: { ops, other: {} } });
    sender = new Sender();
    after = 0;
  }

  async function restart(ops: Partial<FeedSettings> = {}): Promise<void> {
    const { answer } = kit.writer();
    await kit.kill();
    kit = await DispatchKit.open({ storage: kit.storage, clock: kit.clock, writers: { ops, other: {} }, answers: { ops: answer } });
  }

  async function record(first: number, last: number, more: Record<string, unknown> = {}): Promise<void> {
    await kit.dispatcher.accept(sender.batch(after, numbered('a', first, last, more)));
    after += last - first + 1;
    await kit.settle();
  }

  const ours = (name = 'ops'): string[] => kit.writer(name).messages.filter((message) => /^a \d+$/.test(message));
  const types = (name: string): string[] =>
    kit
      .writer(name)
      .taken.map(({ event }) => event.type)
      .filter((type) => type.startsWith('fondaco.'));
  const poisonIs =
    (...messages: string[]): ScriptedWriter['answer'] =>
    (batch) =>
      batch.some(({ event }) => messages.includes(event.message)) ? new FondacoError('REJECTED', '422', { status: '422' }) : undefined;

  afterEach(async () => {
    kit.storage.fate = () => 'taken';
    expect((await kit.ledger()).isBalanced).to.equal(true);
    await kit.stop();
  });

  it('gets nothing, keeps everything, in later lives too, and all of it when it is resumed; the other one is told both', async () => {
    await open();
    expect(await kit.feed().pause()).to.equal(true);
    await record(1, 3);
    await record(4, 4, { severity: 'critical' });
    await kit.clock.advance(60_000);
    expect(ours()).to.deep.equal([]);
    expect(ours('other')).to.have.lengthOf(4);
    const since = kit.feed().status().pausedSince;
    expect(kit.feed().status()).to.include({ state: 'paused', pausedSince: '2026-11-22T08:00:00Z' });
    await restart();
    await record(5, 5);
    await kit.clock.advance(60_000);
    expect(ours()).to.deep.equal([]);
    expect(kit.feed().status()).to.include({ state: 'paused', pausedSince: since });
    expect(kit.feed().status().lanes.normal).to.include({ pending: 5, seq: 0 });
    expect(kit.feed().status().lanes.urgent).to.include({ pending: 1 });
    const { normal } = (await kit.ledger()).writers.find(({ name }) => name === 'ops')!.lanes;
    expect(normal).to.include({ pending: 5, delivered: 0 });
    expect(await kit.feed().resume()).to.equal(true);
    expect(kit.feed().status().resumedAt).to.be.a('string');
    await kit.clock.advance(100);
    expect(ours()).to.deep.equal(['a 4', 'a 1', 'a 2', 'a 3', 'a 5']);
    expect(kit.feed().status()).to.include({ state: 'delivering' }).and.not.to.have.any.keys('pausedSince', 'resumedAt');
    expect(types('other')).to.deep.equal(['fondaco.WriterResumed']);
    expect(types('ops')).to.deep.equal(['fondaco.WriterPaused', 'fondaco.WriterResumed']);
  });

  it('says how old its oldest entry is, also when it has read none of them: paused before they came, or before a restart', async () => {
    await open();
    await record(1, 1);
    await kit.clock.advance(600_000);
    await kit.feed().pause();
    await record(2, 3);
    await kit.clock.advance(5000);
    expect(kit.feed().status().lanes.normal).to.include({ pending: 3, oldestAgeMs: 5000 });
    await restart();
    kit.clock.wall += 1000;
    await kit.settle();
    expect(kit.feed().status().lanes.normal).to.include({ pending: 3, oldestAgeMs: 6000 });
  });

  it('is let finish what is in flight, and that is settled', async () => {
    await open({ batch: { intervalMs: 0, eventsMax: 2, bytesMax: 1 << 20 } });
    let take = (): void => undefined;
    kit.writer().answer = () => new Promise((resolve) => (take = () => resolve(undefined)));
    await record(1, 6);
    await kit.feed().pause();
    take();
    await kit.clock.advance(10_000);
    expect(ours()).to.deep.equal(['a 1', 'a 2']);
    expect(kit.feed().status().lanes.normal).to.include({ pending: 5, seq: 2 }); // and the word that it is paused
    kit.writer().answer = () => undefined;
    await kit.feed().resume();
    await kit.clock.advance(100);
    expect(ours()).to.deep.equal(['a 1', 'a 2', 'a 3', 'a 4', 'a 5', 'a 6']);
  });

  it('is told to have come back when something was delivered, not before', async () => {
    await open();
    kit.writer().answer = away;
    await record(1, 1);
    await kit.feed().pause();
    await kit.feed().resume();
    await kit.clock.advance(30_000);
    expect(types('other')).to.deep.equal(['fondaco.WriterPaused']);
    expect(kit.feed().status()).to.include({ state: 'retrying' }).and.to.have.property('resumedAt');
    kit.writer().answer = () => undefined;
    await kit.clock.advance(60_000);
    expect(types('other')).to.deep.equal(['fondaco.WriterPaused', 'fondaco.WriterResumed']);
  });

  it('twice is paused once; resuming one that never was is harmless, and both say so', async () => {
    await open();
    expect([await kit.feed().pause(), await kit.feed().pause()]).to.deep.equal([true, false]);
    expect([await kit.feed().resume(), await kit.feed().resume()]).to.deep.equal([true, false]);
    await record(1, 2);
    expect(ours()).to.deep.equal(['a 1', 'a 2']);
    expect(types('other')).to.deep.equal(['fondaco.WriterPaused', 'fondaco.WriterResumed']);
  });

  it('while it retries: waits no more, and is tried at once when it is resumed, also where it was asked to wait longer', async () => {
    await open();
    kit.writer().answer = () => new FondacoError('UNAVAILABLE', '429', { retryAfterMs: 20_000 });
    await record(1, 1);
    await kit.feed().pause();
    await kit.clock.advance(10_000);
    expect(kit.writer().requests).to.have.lengthOf(1);
    expect(await kit.feed().resume()).to.equal(true);
    await kit.clock.advance(0);
    expect(kit.writer().requests).to.have.lengthOf(2);
    await kit.clock.advance(1_000);
    expect(await kit.feed().resume(), 'nothing is to be ended, but it waits').to.equal(true);
    await kit.clock.advance(0);
    expect(kit.writer().requests).to.have.lengthOf(3);
    kit.writer().answer = away;
    await kit.clock.advance(120_000);
    const before = kit.writer().requests.length;
    await kit.feed().pause();
    await kit.clock.advance(120_000);
    expect(kit.writer().requests).to.have.lengthOf(before);
    await kit.feed().resume();
    await kit.clock.advance(0);
    expect(kit.writer().requests).to.have.lengthOf(before + 1);
    expect(kit.feed().status().lanes.normal.attempts).to.be.above(2);
  });

  for (const state of ['refused', 'suspended'] as const) {
    it(`while it is ${state}: stays paused, is not probed, and is tried with all when it is resumed`, async () => {
      await open({ retry: { policy: 'suspend', attempts: 2, initialMs: 1000, maxMs: 1000 } });
      kit.writer().answer = state === 'refused' ? refusal : away;
      await record(1, 5);
      await kit.clock.advance(30_000);
      expect(kit.feed().status().state).to.equal(state);
      await kit.feed().pause();
      await restart({ retry: { policy: 'suspend', attempts: 2, initialMs: 1000, maxMs: 1000 } });
      await kit.clock.advance(600_000);
      expect(kit.writer().requests).to.have.lengthOf(0);
      kit.writer().answer = () => undefined;
      await kit.feed().resume();
      await kit.clock.advance(100);
      expect(kit.feed().status().state).to.equal('delivering');
      expect(ours()).to.deep.equal(['a 1', 'a 2', 'a 3', 'a 4', 'a 5']);
    });
  }

  it('while a write is in flight that is then refused: stays paused, and the refusal is seen when it is resumed', async () => {
    await open();
    let fail = (): void => undefined;
    kit.writer().answer = () => new Promise((resolve) => (fail = () => resolve(refusal())));
    await record(1, 5);
    await kit.feed().pause();
    fail();
    await kit.clock.advance(600_000);
    expect(kit.feed().status()).to.include({ state: 'paused', dead: 0 });
    expect(kit.writer().sizes).to.deep.equal([5]);
    expect(types('other')).to.deep.equal(['fondaco.WriterPaused', 'fondaco.WriterRefused']);
    kit.writer().answer = () => undefined;
    await kit.feed().resume();
    await kit.clock.advance(100);
    expect(ours()).to.have.lengthOf(5);
  });

  it('while one is being written that is then rejected alone, refused before: nothing is set aside', async () => {
    await open();
    kit.writer().answer = refusal;
    await record(1, 5);
    let fail = (): void => undefined;
    kit.writer().answer = () => new Promise((resolve) => (fail = () => resolve(new FondacoError('REJECTED', '422'))));
    await kit.clock.advance(5000);
    await kit.feed().pause();
    fail();
    await kit.clock.advance(1000);
    expect(kit.feed().status()).to.include({ state: 'paused', dead: 0 });
  });

  it('where the journal takes nothing: rejects after 5 s at most, at once when it is closed', async () => {
    await open();
    kit.storage.openFailures = 1000;
    kit.storage.fate = () => 'failed';
    let problem: unknown;
    const pausing = kit
      .feed()
      .pause()
      .catch((error: unknown) => (problem = error));
    await kit.clock.advance(4900);
    expect(problem).to.equal(undefined);
    await kit.clock.advance(200);
    await pausing;
    expect(problem).to.be.instanceOf(FondacoError).with.property('code').that.is.oneOf(['UNAVAILABLE', 'FULL']);
    kit.storage.openFailures = 0;
    kit.storage.fate = () => 'taken';
    await kit.clock.advance(10_000);
    expect(kit.feed().status().state).to.equal('delivering');
    await kit.stop();
    for (const command of [kit.feed().resume(), kit.feed().pause()]) {
      expect(await command.catch((error: unknown) => error)).to.be.instanceOf(FondacoError);
    }
    kit = await DispatchKit.open({ storage: kit.storage, clock: kit.clock, writers: { ops: {}, other: {} } });
  });

  describe('whose dead letters have no room', () => {
    for (const [what, limits] of [
      ['number', { deadLettersMax: 2 }],
      ['bytes', { deadLetterBytesMax: 1000 }],
    ] as const) {
      it(`says so for their ${what}, and goes on by itself after a restart with more`, async () => {
        await open(limits);
        kit.writer().answer = poisonIs('a 2', 'a 4', 'a 6');
        await record(1, 8);
        await kit.clock.advance(5000);
        expect(kit.feed().status()).to.include({ state: 'refused', dead: 2 });
        expect(kit.feed().status().deadBytes).to.be.within(1000, 3000);
        expect(kit.feed().status().lastError!.message).to.match(/must have room for another dead letter.*replay or purge some.*422/);
        expect(kit.feed().status().lastError).to.include({ status: '422' });
        await restart(limits);
        await kit.clock.advance(600_000);
        expect(kit.feed().status()).to.include({ state: 'refused', dead: 2 });
        await restart();
        await kit.clock.advance(5000);
        expect(kit.feed().status()).to.include({ state: 'delivering', dead: 3 });
        expect(ours()).to.deep.equal(['a 7', 'a 8']);
        expect(types('other')).to.deep.equal(['fondaco.WriterResumed']);
      });
    }
  });
});
