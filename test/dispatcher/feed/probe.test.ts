/** How a refused writer is probed, and how an event at fault is told from a setting at fault. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import { LetterKit, numbersOf, poisonIs, texts } from '../../support/letter-kit.ts';

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

  it('with a wrong setting: a probe is one event, and nothing is set aside', async () => {
    await refused();
    await box.kit.clock.advance(600_000);
    expect(new Set(box.writer.requests.map(({ messages }) => messages.join()))).to.deep.equal(new Set(['a 10']));
    expect(box.dead).to.have.lengthOf(9);
    expect(state()).to.equal('refused');
    expect(box.feed.status().lanes.normal.attempts).to.be.above(5);
  });

  it('whose setting was mended, with a poison at its head: cannot know by itself, and sends nothing out of its order to find out', async () => {
    await refused();
    box.writer.answer = poisonIs('a 10');
    await box.kit.clock.advance(600_000);
    expect(state()).to.equal('refused');
    expect(box.writer.messages).to.deep.equal([]);
    await box.feed.resume();
    await box.kit.clock.advance(1000);
    expect(state()).to.equal('delivering');
    expect(box.dead).to.have.lengthOf(10);
  });

  it('… and knows by a replay that delivers: the setting works, so it goes on, in order, and finds the poison', async () => {
    await refused();
    box.writer.answer = poisonIs('a 3', 'a 10', 'a 11', 'a 20');
    await box.begin();
    await box.kit.clock.advance(5000);
    expect(state()).to.equal('delivering');
    expect(box.dead).to.deep.equal(texts(3, 10, 11, 20));
    const ofFeed = box.writer.taken.filter(({ delivery }) => delivery.series !== box.replay.series);
    const expected = Array.from({ length: 19 }, (_, i) => 12 + i).filter((n) => n !== 20);
    expect(numbersOf(ofFeed.slice(0, 18))).to.deep.equal(expected.map((n) => `a ${n}=${n}`));
    expect(told()).to.deep.equal(['fondaco.WriterRefused', 'fondaco.WriterResumed']);
  });

  it('is not released by a replay that delivers nothing', async () => {
    await refused();
    await box.begin();
    await box.kit.clock.advance(5000);
    expect(box.replay).to.include({ state: 'done', delivered: 0, deadAgain: 9 });
    expect(box.feed.status()).to.include({ state: 'refused', dead: 9 });
  });

  it('that is released while its probe is in flight: what that probe was answered does not count', async () => {
    await refused();
    let answer: (error: FondacoError) => void = () => undefined;
    box.writer.answer = () => new Promise((resolve) => (answer = resolve));
    await box.kit.clock.advance(20_000);
    await box.feed.resume();
    box.writer.answer = () => undefined;
    answer(rejected()); // by the setting as it was
    await box.kit.clock.advance(1000);
    expect(box.dead).to.have.lengthOf(9);
    expect(box.writer.messages.slice(0, 21)).to.deep.equal(texts(...Array.from({ length: 21 }, (_, i) => 10 + i)));
  });
});
