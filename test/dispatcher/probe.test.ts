/** How a refused writer is probed, and how an event at fault is told from a setting at fault. */
import { expect } from 'chai';
import { FondacoError } from '../../core/errors.ts';
import { LetterKit, numbersOf, poisonIs, texts } from '../support/letter-kit.ts';

const refusal = (retryAfterMs?: number): FondacoError =>
  new FondacoError('REFUSED', '401', { status: '401', ...(retryAfterMs !== undefined && { retryAfterMs }) });
const rejected = (): FondacoError => new FondacoError('REJECTED', '422', { status: '422' });

describe('a refused writer', () => {
  let box: LetterKit;
  let other: LetterKit['writer'];

  beforeEach(async () => {
    box = new LetterKit();
    await box.open();
    other = box.kit.writer('other');
  });

  afterEach(async () => box.end());

  const told = (): string[] => other.taken.map(({ event }) => event.type).filter((type) => type.startsWith('fondaco.'));
  const state = (): unknown => box.feed.status().state;

  /** All of 1 to 30 are rejected: 1 to 9 are dead letters, 10 is at the head. */
  async function refused(): Promise<void> {
    box.writer.answer = rejected;
    await box.record(1, 30);
    await box.kit.clock.advance(1000);
    expect(state()).to.equal('refused');
    expect(box.dead).to.deep.equal(texts(1, 2, 3, 4, 5, 6, 7, 8, 9));
    box.writer.requests.length = 0;
  }

  it('is probed with lone events, never before Retry-After, and a success releases everything', async () => {
    box.writer.answer = () => refusal(50_000);
    await box.record(1, 20);
    await box.kit.clock.advance(49_000);
    expect(box.writer.sizes).to.deep.equal([20]);
    await box.record(21, 21, { severity: 'critical' }); // an arrival brings nothing forward before then
    const asked = box.writer.requests.length;
    await box.kit.clock.advance(500);
    expect(box.writer.requests).to.have.lengthOf(asked);
    await box.kit.clock.advance(10_000);
    expect(new Set(box.writer.sizes.slice(1))).to.deep.equal(new Set([1]));
    box.writer.answer = () => undefined;
    await box.kit.clock.advance(60_000);
    expect(state()).to.equal('delivering');
    expect(box.writer.messages.filter((message) => message.startsWith('a'))).to.have.members(
      texts(...Array(21).keys()).map((_, i) => `a ${i + 1}`),
    );
    expect(told()).to.deep.equal(['fondaco.WriterRefused', 'fondaco.WriterResumed']);
  });

  it('with a wrong setting: a probe tries ten lone events at most, and sets nothing aside', async () => {
    await refused();
    await box.kit.clock.advance(1100);
    expect(box.writer.requests.map(({ messages }) => messages.join())).to.deep.equal(texts(10, 11, 12, 13, 14, 15, 16, 17, 18, 19));
    await box.kit.clock.advance(600_000);
    expect(new Set(box.writer.sizes)).to.deep.equal(new Set([1]));
    expect(box.dead).to.have.lengthOf(9);
    expect(state()).to.equal('refused');
    expect(box.feed.status().lanes.normal.attempts).to.be.above(5);
  });

  it('whose setting was mended, with a poison at its head: finds it by the one behind, and goes on in order', async () => {
    await refused();
    box.writer.answer = poisonIs('a 10', 'a 11', 'a 20');
    await box.kit.clock.advance(10_000);
    expect(state()).to.equal('delivering');
    expect(box.dead).to.deep.equal(texts(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20));
    const expected = Array.from({ length: 19 }, (_, i) => 12 + i).filter((n) => n !== 20);
    expect(numbersOf(box.writer.taken.slice(0, 18))).to.deep.equal(expected.map((n) => `a ${n}=${n}`));
    expect(told()).to.deep.equal(['fondaco.WriterRefused', 'fondaco.WriterResumed']);
    expect(box.letters.find(({ event }) => event.message === 'a 10')!.attempts).to.be.above(1);
  });

  it('with more poison in a row than a probe tries: stays refused, until a person resumes it', async () => {
    await refused();
    box.writer.answer = poisonIs(...texts(...Array.from({ length: 12 }, (_, i) => 10 + i)));
    await box.kit.clock.advance(60_000);
    expect(state()).to.equal('refused');
    expect(box.dead).to.have.lengthOf(9);
    await box.feed.resume();
    await box.kit.clock.advance(60_000);
    expect(state()).to.equal('delivering'); // nine by the resumption, the rest by a probe
    expect(box.dead).to.have.lengthOf(21);
  });

  it('with nothing but the poison to send, or only what the proxy says itself: cannot tell, and waits for more', async () => {
    box.writer.answer = () => refusal();
    await box.record(1, 1);
    box.writer.answer = poisonIs('a 1');
    await box.kit.clock.advance(60_000);
    expect(state()).to.equal('refused');
    expect(box.dead).to.deep.equal([]);
    await box.kit.feed('other').pause(); // one more of our own
    await box.kit.clock.advance(60_000);
    expect(state()).to.equal('refused');
    expect(new Set(box.writer.requests.slice(1).map(({ messages }) => messages.join()))).to.deep.equal(new Set(['a 1']));
    await box.kit.feed('other').resume();
  });

  it('where the one behind is refused or cannot be taken now: nothing is set aside, and what it asks for is kept to', async () => {
    await refused();
    box.writer.answer = (batch) =>
      batch[0]!.event.message === 'a 10' ? rejected() : new FondacoError('UNAVAILABLE', '429', { retryAfterMs: 70_000 });
    await box.kit.clock.advance(60_000);
    expect(box.writer.requests.map(({ messages }) => messages.join())).to.deep.equal(texts(10, 11));
    expect(box.feed.status()).to.include({ state: 'refused', dead: 9 });
    box.writer.answer = () => undefined;
    await box.kit.clock.advance(15_000);
    expect(state()).to.equal('delivering');
    expect(box.writer.messages.slice(0, 21)).to.deep.equal(texts(...Array.from({ length: 21 }, (_, i) => 10 + i)));
  });

  it('and killed between the one that was taken and its commit: it comes again under the same number', async () => {
    await refused();
    box.writer.answer = poisonIs('a 10');
    box.kit.storage.fate = (operations) => (operations.some(({ key }) => key.toString() === 'feed:ops') ? 'hangs' : 'taken');
    await box.kit.clock.advance(5000);
    expect(numbersOf(box.writer.taken)).to.deep.equal(['a 11=11']);
    const { entry, delivery } = box.writer.taken[0]!;
    box.kit.storage.fate = () => 'taken';
    await box.restart();
    await box.kit.clock.advance(5000);
    expect(state()).to.equal('delivering');
    expect(box.dead).to.deep.equal(texts(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    expect(box.writer.taken[0]!).to.deep.include({ entry, delivery });
    expect(numbersOf(box.writer.taken.slice(0, 20))).to.deep.equal(Array.from({ length: 20 }, (_, i) => `a ${11 + i}=${11 + i}`));
  });

  it('that is paused in the middle of a probe sends no more of it', async () => {
    await refused();
    box.writer.answer = async () => {
      await box.feed.pause();
      return rejected();
    };
    await box.kit.clock.advance(60_000);
    expect(box.writer.requests).to.have.lengthOf(1);
    expect(box.feed.status()).to.include({ state: 'paused', dead: 9 });
  });
});
