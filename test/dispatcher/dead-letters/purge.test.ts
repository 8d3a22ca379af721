/** Giving up dead letters. */
import { expect } from 'chai';
import { DepartedWriter } from '../../../dispatcher/dead-letters/departed-writer.ts';
import { purgeLetters } from '../../../dispatcher/dead-letters/purge.ts';
import { DispatchKit } from '../../support/dispatch-kit.ts';
import { LetterKit, poisonIs, texts } from '../../support/letter-kit.ts';

describe('dead letters', () => {
  let box: LetterKit;

  beforeEach(() => {
    box = new LetterKit();
  });

  afterEach(async () => box.end());

  describe('purged', () => {
    const losses = (): { count: number }[] =>
      box.kit
        .writer('other')
        .taken.filter(({ event }) => event.type === 'fondaco.Loss')
        .flatMap(({ event }) => event.attributes.losses as { count: number }[]);

    it('are gone, dropped in the books and announced with their positions', async () => {
      await box.filled();
      expect(await box.purge()).to.deep.equal({ purged: 12, missing: [] });
      expect(box.letters).to.deep.equal([]);
      expect(await box.books()).to.deep.equal([
        { delivered: 2, dead: 0, dropped: 2 },
        { delivered: 10, dead: 0, dropped: 10 },
      ]);
      await box.kit.clock.advance(2000);
      const ranges = (count: number): number[][] => Array.from({ length: count }, (_, i) => [2 * i + 2, 2 * i + 2]);
      expect(losses()).to.deep.equal([
        { origin: { kind: 'writer', id: 'ops/urgent' }, cause: 'purged', count: 2, ranges: ranges(2) },
        { origin: { kind: 'writer', id: 'ops/normal' }, cause: 'purged', count: 10, ranges: ranges(10) },
      ]);
      expect(await box.purge()).to.deep.equal({ purged: 0, missing: [] });
      const ledger = await box.kit.ledger();
      expect(ledger).to.include({ purged: 12, isBalanced: true });
      expect(ledger, 'what a person gave up is no news').to.not.have.property('lostAt');
    });

    it('by their ids: those, each once, and what has no letter is named', async () => {
      await box.filled();
      const purged = await box.purge('ops/normal/14', 'ops/normal/2', 'ops/normal/2', 'ops/normal/3', 'ops/urgent/4');
      expect(purged).to.deep.equal({ purged: 3, missing: [{ lane: 'normal', position: 3 }] });
      expect(box.dead).to.deep.equal(texts(4, 6, 8, 10, 12, 16, 18, 20, 22));
    });

    it('one purge at a time, and no replay meanwhile', async () => {
      await box.filled();
      const purging = box.purge();
      expect(await box.purge()).to.deep.equal({ busy: 'dead letters of ops are being purged' });
      expect(await box.begin()).to.deep.equal({ busy: 'dead letters of ops are being purged' });
      expect(await purging).to.deep.equal({ purged: 12, missing: [] });
    });

    for (const fate of ['failed', 'failed-but-stored'] as const) {
      it(`while the disk has ${fate} each second of their commits: each is counted once`, async () => {
        await box.filled();
        let writes = 0;
        box.kit.storage.fate = (operations) =>
          operations.some(({ key, value }) => key.toString().startsWith('dead:') && value === undefined) && ++writes % 2 === 1
            ? fate
            : 'taken';
        let purged: unknown;
        void box.purge().then((result) => (purged = result));
        await box.kit.clock.advance(10_000);
        expect(purged).to.deep.equal({ purged: 12, missing: [] });
        expect((await box.books()).map(({ dropped }) => dropped)).to.deep.equal([2, 10]);
        expect(losses().reduce((sum, { count }) => sum + count, 0)).to.equal(12);
      });
    }

    it('of a writer that the config no longer has: gone too, and it comes back to books that balance', async () => {
      await box.filled();
      const { storage, clock } = box.kit;
      await box.kit.kill();
      const without = await DispatchKit.open({ storage, clock, writers: { other: {} } });
      expect(await DepartedWriter.open(without.dispatcher, 'nobody')).to.equal(undefined);
      const departed = (await DepartedWriter.open(without.dispatcher, 'ops'))!;
      let writes = 0;
      storage.fate = () => (++writes === 1 ? 'failed' : 'taken');
      let purged: unknown;
      void purgeLetters(
        departed,
        [2, 4, 5].map((position) => ({ lane: 'normal', position })),
      ).then((result) => (purged = result));
      await clock.advance(10_000);
      expect(purged).to.deep.equal({ purged: 2, missing: [{ lane: 'normal', position: 5 }] });
      expect(await purgeLetters(departed)).to.deep.equal({ purged: 10, missing: [] });
      await clock.advance(2000);
      const { isBalanced, writers } = await without.ledger();
      expect([isBalanced, writers.map(({ name, lanes }) => [name, lanes.urgent.dropped, lanes.normal.dropped])]).to.deep.equal([
        true,
        [
          ['ops', 2, 10],
          ['other', 0, 0],
        ],
      ]);
      await without.kill();
      box.kit = await DispatchKit.open({ storage, clock, writers: { ops: {}, other: {} } });
      expect([box.feed.status().dead, box.letters]).to.deep.equal([0, []]);
    });

    it('make room for a feed that waited for it', async () => {
      await box.open({ deadLettersMax: 2 });
      box.writer.answer = poisonIs(...texts(2, 4, 6));
      await box.record(1, 8);
      await box.kit.clock.advance(5000);
      expect(box.feed.status()).to.include({ state: 'refused', dead: 2 });
      await box.purge('ops/normal/4');
      await box.kit.clock.advance(5000);
      expect(box.feed.status()).to.include({ state: 'delivering', dead: 2 });
      expect(box.dead).to.deep.equal(texts(2, 6));
    });
  });
});
