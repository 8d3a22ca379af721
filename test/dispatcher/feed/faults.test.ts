/** The table of faults of the design, row by row, with a second writer that must not notice any of it. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { DeadLetter } from '../../../dispatcher/dead-letters/dead-letters.ts';
import type { FeedSettings } from '../../../dispatcher/feed/feed-settings.ts';
import { DispatchKit, numbered, Sender, type ScriptedWriter } from '../../support/dispatch-kit.ts';
import { rowsOf } from '../../support/store-audit.ts';

const away = (): FondacoError => new FondacoError('UNAVAILABLE', '503 Service Unavailable', { status: '503', answer: 'later' });
const poison = (): FondacoError => new FondacoError('REJECTED', '422 Unprocessable', { status: '422', answer: 'no such field' });
const refusal = (): FondacoError => new FondacoError('REFUSED', '401 Unauthorized', { status: '401', answer: 'bad token' });

describe('the table of faults', () => {
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

  async function record(text: string, first: number, last: number, more: Record<string, unknown> = {}): Promise<void> {
    await kit.dispatcher.accept(sender.batch(after, numbered(text, first, last, more)));
    after += last - first + 1;
    await kit.settle();
  }

  const ours = (name: string): string[] => kit.writer(name).messages.filter((message) => /^[a-z] \d+$/.test(message));
  const texts = (text: string, first: number, last: number): unknown[] => numbered(text, first, last).map(({ message }) => message);
  const deadOf = (writer: string): DeadLetter[] => rowsOf(kit.storage, `dead:${writer}/`).map(({ value }) => value as DeadLetter);
  const poisonIs =
    (...messages: string[]): ScriptedWriter['answer'] =>
    (batch: readonly { event: { message: string } }[]) =>
      batch.some(({ event }) => messages.includes(event.message)) ? poison() : undefined;

  afterEach(async () => {
    const ledger = await kit.ledger();
    expect(ledger.isBalanced).to.equal(true);
    for (const writer of kit.writers.values()) expect(writer.inFlightMax, 'writes at once in a lane').to.be.at.most(1);
    await kit.stop();
  });

  describe('its own fault, passing (UNAVAILABLE)', () => {
    it('is waited out with growing waits, then everything flows; the other writer sees nothing of it', async () => {
      await open();
      kit.writer().answer = away;
      await record('a', 1, 3);
      expect(ours('other')).to.deep.equal(texts('a', 1, 3));
      expect(kit.feed().status()).to.deep.include({ state: 'retrying', dead: 0 });
      expect(kit.feed().status().lanes.normal).to.include({ pending: 3, attempts: 1, nextAttemptInMs: 550 });
      await kit.clock.advance(20_000);
      // Half of each jittered range: 0.55 × 1, 2, 4, 8, 16 s.
      expect(kit.writer().requests.map(({ at }) => at)).to.deep.equal([0, 550, 1650, 3850, 8250, 17_050]);
      kit.writer().answer = () => undefined;
      await record('a', 4, 5);
      expect(ours('other')).to.deep.equal(texts('a', 1, 5));
      await kit.clock.advance(60_000);
      expect(kit.writer().sizes.slice(6)).to.deep.equal([5]);
      expect(ours('ops')).to.deep.equal(texts('a', 1, 5));
      expect(kit.writer().taken.map(({ delivery }) => delivery.seq)).to.deep.equal([1, 2, 3, 4, 5]);
      expect(kit.feed().status()).to.deep.include({ state: 'delivering', dead: 0 });
      expect((await kit.ledger()).writers.find(({ name }) => name === 'ops')!.lanes.normal).to.include({
        delivered: 5,
        pending: 0,
        dead: 0,
      });
    });

    it('keeps attempts, the rest of the wait and the last error across a crash', async () => {
      await open();
      kit.writer().answer = away;
      await record('a', 1, 3);
      await kit.clock.advance(4000); // after the attempt at 3850, before that at 8250
      await restart();
      await kit.clock.advance(0);
      const status = kit.feed().status();
      expect(status.lanes.normal).to.include({ attempts: 4, nextAttemptInMs: 4250, pending: 3, seq: 0 });
      expect(status.lastError).to.deep.include({ status: '503', answer: 'later' });
      expect(kit.writer().requests).to.deep.equal([]);
      await kit.clock.advance(4200);
      expect(kit.writer().requests).to.deep.equal([]);
      await kit.clock.advance(100);
      expect(kit.writer().sizes).to.deep.equal([3]);
    });

    it('keeps them for urgent events, too: those that are there at a restart are no arrival', async () => {
      await open();
      kit.writer().answer = away;
      await record('u', 1, 1, { severity: 'critical' });
      await kit.clock.advance(4000);
      await restart();
      await kit.clock.advance(4200);
      expect(kit.writer().requests).to.deep.equal([]);
      await kit.clock.advance(100);
      expect(kit.writer().sizes).to.deep.equal([1]);
    });

    it('treats an error that is not ours as passing', async () => {
      await open();
      kit.writer().answer = () => Promise.reject(new TypeError('a bug in the writer'));
      await record('a', 1, 1);
      expect(kit.feed().status()).to.include({ state: 'retrying' });
      expect(kit.feed().status().lastError!.message).to.equal('[UNAVAILABLE] a bug in the writer');
    });

    it('asks a destination that could not even be reached once, not once a lane', async () => {
      await open();
      kit.writer().answer = () => new FondacoError('UNAVAILABLE', 'connection refused', { unreachable: true });
      await record('a', 1, 1);
      await record('u', 1, 1, { severity: 'critical' });
      const before = kit.writer().requests.length;
      await kit.clock.advance(60_000);
      const lanes = kit
        .writer()
        .requests.slice(before)
        .map(({ lane }) => lane);
      expect(lanes).to.include('urgent').and.not.to.include('normal');
    });
  });

  describe("the event's fault (REJECTED)", () => {
    it('sets aside only the one at fault, of a batch of 500, in about two requests a halving', async () => {
      await open();
      kit.writer().answer = poisonIs('a 321');
      await record('a', 1, 500);
      await kit.clock.advance(1000);
      expect(ours('ops')).to.deep.equal([...texts('a', 1, 320), ...texts('a', 322, 500)]);
      expect(kit.writer().sizes.length).to.be.at.most(2 * Math.ceil(Math.log2(500)) + 1);
      expect(kit.writer().taken.map(({ delivery }) => delivery.seq)).to.deep.equal(
        [...Array(500).keys()].map((i) => i + 1).filter((seq) => seq !== 321),
      );
      const [letter, ...more] = deadOf('ops');
      expect(more).to.deep.equal([]);
      expect(letter).to.deep.include({ attempts: 1 });
      expect(letter!.event.message).to.equal('a 321');
      expect(letter!.delivery).to.include({ seq: 321, lane: 'normal', writer: 'ops' });
      expect(letter!.error).to.deep.include({ status: '422', answer: 'no such field' });
      expect(kit.feed().status()).to.include({ state: 'delivering', dead: 1 });
      const ledger = await kit.ledger();
      expect(ledger.writers.find(({ name }) => name === 'ops')!.lanes.normal).to.include({ delivered: 499, dead: 1, pending: 0 });
      expect(ledger.writers.find(({ name }) => name === 'other')!.lanes.normal).to.include({ delivered: 500, dead: 0 });
    });

    it('takes the exact requests of a search by halves, left half first', async () => {
      await open();
      kit.writer().answer = poisonIs('a 6');
      await record('a', 1, 8);
      await kit.clock.advance(1000);
      expect(kit.writer().requests.map(({ messages }) => messages.map((message) => message.slice(2)).join(''))).to.deep.equal([
        '12345678',
        '1234',
        '56',
        '5',
        '6',
        '78',
      ]);
    });

    it('finds two of them, wherever they are', async () => {
      for (const pair of [
        [1, 2],
        [1, 64],
        [31, 33],
        [63, 64],
        [10, 40],
      ] as const) {
        await open();
        kit.writer().answer = poisonIs(...pair.map((n) => `a ${n}`));
        await record('a', 1, 64);
        await kit.clock.advance(1000);
        expect(deadOf('ops').map(({ event }) => event.message)).to.deep.equal(pair.map((n) => `a ${n}`));
        expect(ours('ops')).to.have.lengthOf(62);
        expect(kit.writer().sizes.length).to.be.at.most(2 * (2 * 6 + 1));
        if (pair[0] !== 10) await kit.stop();
      }
    });

    it('does not go over settled events again after a crash in the middle of the search', async () => {
      await open();
      kit.writer().answer = (batch) => (kit.writer().requests.length > 3 ? new Promise(() => undefined) : poisonIs('a 50')(batch));
      await record('a', 1, 64);
      expect(kit.writer().sizes).to.deep.equal([64, 32, 16, 8]);
      await kit.kill();
      const before = kit.writer().messages;
      const { storage, clock } = kit;
      kit = await DispatchKit.open({ storage, clock, writers: { ops: {}, other: {} }, answers: { ops: poisonIs('a 50') } });
      await kit.clock.advance(2000);
      expect([...before, ...ours('ops')]).to.deep.equal([...texts('a', 1, 49), ...texts('a', 51, 64)]);
      expect(deadOf('ops')).to.have.lengthOf(1);
    });

    it('halves what is too large (413) before it blames an event, and grows again when that was long ago', async () => {
      await open();
      kit.writer().answer = (batch) =>
        batch.length > 60 ? new FondacoError('REJECTED', '413', { status: '413', tooLarge: true }) : undefined;
      await record('a', 1, 400);
      await kit.clock.advance(1000);
      expect(kit.writer().sizes).to.deep.equal([400, 200, 100, 50, 50, 50, 50, 50, 50, 50, 50]);
      expect(deadOf('ops')).to.deep.equal([]);
      expect(ours('ops')).to.deep.equal(texts('a', 1, 400));
    });

    it('blames one that is too large all alone', async () => {
      await open();
      const tooLarge = new FondacoError('REJECTED', '413', { status: '413', tooLarge: true });
      kit.writer().answer = (batch) => (batch.some(({ event }) => event.message === 'a 3') ? tooLarge : undefined);
      await record('a', 1, 4);
      await kit.clock.advance(2000);
      expect(deadOf('ops').map(({ event }) => event.message)).to.deep.equal(['a 3']);
      expect(ours('ops')).to.deep.equal(['a 1', 'a 2', 'a 4']);
    });
  });

  describe("the setting's fault", () => {
    it('sets aside fewer than ten of a backlog that is refused event by event, and nothing more after a restart', async () => {
      await open();
      kit.writer().answer = poison;
      await record('a', 1, 500);
      await kit.clock.advance(1000);
      expect(deadOf('ops')).to.have.lengthOf(9);
      expect(kit.feed().status()).to.include({ state: 'refused' });
      expect(kit.feed().status().lastError).to.deep.include({ status: '422', answer: 'no such field' });
      await kit.clock.advance(300_000);
      await restart();
      expect(kit.feed().status()).to.include({ state: 'refused', dead: 9 });
      await kit.clock.advance(600_000);
      expect(deadOf('ops')).to.have.lengthOf(9);
      expect(new Set(kit.writer().sizes)).to.deep.equal(new Set([1]));
      expect(ours('other')).to.have.lengthOf(0); // it had them all in its first life
      kit.writer().answer = () => undefined;
      await kit.clock.advance(300_000);
      expect(ours('ops')).to.deep.equal(texts('a', 10, 500));
    });

    it('counts lone rejections in a row also when the disk fails while one is set aside', async () => {
      await open();
      kit.writer().answer = poison;
      let writes = 0;
      kit.storage.fate = (operations) =>
        operations.some(({ key }) => key.toString().startsWith('dead:')) && ++writes % 2 === 1 ? 'failed' : 'taken';
      await record('a', 1, 50);
      await kit.clock.advance(20_000);
      expect(deadOf('ops')).to.have.lengthOf(9);
      expect(kit.feed().status()).to.include({ state: 'refused', dead: 9 });
    });

    it('does not count rejections with a success between them', async () => {
      await open();
      kit.writer().answer = poisonIs(...Array.from({ length: 15 }, (_, i) => `a ${2 * i + 2}`));
      await record('a', 1, 40);
      await kit.clock.advance(5000);
      expect(deadOf('ops')).to.have.lengthOf(15);
      expect(kit.feed().status().state).to.equal('delivering');
    });

    it('pauses as refused when there is no room for another dead letter', async () => {
      await open({ deadLettersMax: 2 });
      kit.writer().answer = poisonIs('a 2', 'a 4', 'a 6');
      await record('a', 1, 8);
      await kit.clock.advance(5000);
      expect(deadOf('ops').map(({ event }) => event.message)).to.deep.equal(['a 2', 'a 4']);
      expect(kit.feed().status()).to.include({ state: 'refused', dead: 2 });
      expect(ours('ops')).to.deep.equal(['a 1', 'a 3', 'a 5']);
    });
  });

  describe('a destination that refuses us (REFUSED)', () => {
    it('is paused with everything kept, is probed with a lone event, and resumes; the others are told both', async () => {
      await open();
      kit.writer().answer = refusal;
      await record('a', 1, 20);
      expect(kit.feed().status()).to.deep.include({ state: 'refused', dead: 0 });
      expect(kit.feed().status().lastError).to.deep.include({ status: '401', answer: 'bad token' });
      await kit.clock.advance(30_000);
      expect(kit.writer().sizes).to.deep.equal([20, 1, 1, 1, 1, 1]); // backoff, as for an outage
      const told = kit.writer('other').taken.filter(({ event }) => event.type === 'fondaco.WriterRefused');
      expect(told.map(({ event }) => [event.severity, event.attributes])).to.deep.equal([
        ['error', { writer: 'ops', status: '401', answer: 'bad token' }],
      ]);
      await restart();
      expect(kit.feed().status().state).to.equal('refused');
      kit.writer().answer = () => undefined;
      await kit.clock.advance(60_000);
      expect(kit.writer().sizes[0]).to.equal(1);
      expect(ours('ops')).to.deep.equal(texts('a', 1, 20));
      expect(kit.feed().status()).to.deep.include({ state: 'delivering', dead: 0 });
      expect(kit.writer('other').taken.map(({ event }) => event.type)).to.deep.equal(['fondaco.WriterResumed']);
      const { normal } = (await kit.ledger()).writers.find(({ name }) => name === 'ops')!.lanes;
      expect(normal).to.include({ accepted: 20, made: 2, delivered: 22, pending: 0, dead: 0 });
    });

    it('is not sent what the other lane had in its hands when the refusal came', async () => {
      await open();
      let release: (error: FondacoError) => void = () => undefined;
      kit.writer().answer = () => new Promise((resolve) => (release = resolve));
      await record('u', 1, 1, { severity: 'critical' });
      await record('a', 1, 50);
      expect(kit.writer().sizes).to.deep.equal([1]); // the normal lane holds for it
      kit.writer().answer = refusal;
      release(refusal());
      await kit.clock.advance(100);
      expect(kit.writer().sizes).to.deep.equal([1, 1]);
    });
  });

  it('loses nothing and repeats nothing needlessly when the disk fails as a batch is settled', async () => {
    await open();
    let fails = 3;
    kit.storage.fate = (operations) => (operations.some(({ key }) => key.toString() === 'feed:ops') && fails-- > 0 ? 'failed' : 'taken');
    await record('a', 1, 5);
    await kit.clock.advance(10_000);
    expect(fails).to.be.below(1);
    expect(ours('ops')).to.deep.equal(texts('a', 1, 5)); // it was taken: the settling is tried again, not the write
    expect(kit.feed().status().lanes.normal).to.include({ pending: 0, seq: 5 });
    await restart();
    await kit.clock.advance(1000);
    expect(ours('ops')).to.deep.equal([]);
  });
});
