/**
 * A journal against a model, over random schedules: commits of several owners, writes and openings that fail, crashes at any moment, clean
 * restarts, trims, readers, a wall clock that jumps. Believed at every step: what was acknowledged is there, at its position, with its
 * bytes; what was rejected as failed is nowhere; nothing is there twice; the rows say what the entries say.
 */
import { assert } from 'chai';
import fc from 'fast-check';
import type { Entry, Journal } from '../../core/journal.ts';
import { LANES, perLane, type Lane } from '../../core/lane.ts';
import type { DiskOperation } from '../../journal/disk.ts';
import { MemoryJournal, MemoryStorage, type WriteFate } from '../../journal/memory-journal.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { append, readLane } from '../support/journal-entries.ts';

type Step =
  | { readonly do: 'commit'; readonly lane: Lane; readonly count: number }
  | { readonly do: 'commit-both' }
  | { readonly do: 'throw-half-way'; readonly lane: Lane }
  | { readonly do: 'fail'; readonly fate: WriteFate }
  | { readonly do: 'fail-opening'; readonly times: number }
  | { readonly do: 'trim'; readonly lane: Lane; readonly part: number }
  | { readonly do: 'read'; readonly lane: Lane; readonly part: number; readonly bytesMax: number }
  | { readonly do: 'turns'; readonly count: number }
  | { readonly do: 'time'; readonly ms: number }
  | { readonly do: 'set-wall'; readonly byMs: number }
  | { readonly do: 'crash' }
  | { readonly do: 'restart' };

const lane = fc.constantFrom(...LANES);
const part = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('commit'), lane, count: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(200)) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('commit-both') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('throw-half-way'), lane }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail'), fate: fc.constantFrom<WriteFate>('failed', 'failed-but-stored') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail-opening'), times: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('trim'), lane, part }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read'), lane, part, bytesMax: fc.constantFrom(1, 200, 100_000) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('turns'), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('time'), ms: fc.constantFrom(1, 100, 5000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('set-wall'), byMs: fc.constantFrom(-86_400_000, -1, 86_400_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart') }) },
);

/** `<7.2>` is the third entry of the seventh attempt. The text is looked for in what goes to the disk, too. */
const ID = /<\d+\.\d+>/g;

class Model {
  storage = new MemoryStorage();
  journal!: Journal;
  readonly clock = new FakeClock();
  readonly recentBytes: number;
  /** What was acknowledged: text by position. */
  readonly acknowledged = perLane(() => new Map<number, string>());
  /** In a write that failed, and said so, without storing anything; or given up before it was written. */
  readonly failed = new Set<string>();
  readonly tails = perLane(() => 1);
  /** An owner's memory, changed by operations and reloaded by the hook: how many entries there ever were. */
  count = 0;
  /** Seen by any reader: what a position held once, it holds for ever. */
  readonly seen = new Map<string, string>();
  /** In a write that stored it, or will unless the disk is closed before. */
  readonly #written = new Set<string>();
  #nextFates: WriteFate[] = [];
  #attempt = 0;
  #life = 0;
  readonly #pending: Promise<void>[] = [];

  constructor(recentBytes: number) {
    this.recentBytes = recentBytes;
  }

  async open(): Promise<void> {
    const life = ++this.#life;
    this.storage.fate = (operations) => this.#fate(operations);
    this.journal = await MemoryJournal.open({
      clock: this.clock,
      stamp: { site: 's' },
      storage: this.storage,
      recentBytes: this.recentBytes,
    });
    const journal = this.journal;
    const load = async (): Promise<void> => {
      const count = ((await journal.row('l:count')) as number | undefined) ?? 0;
      if (life === this.#life) this.count = count;
    };
    await load();
    journal.onReopen(load);
  }

  #fate(operations: readonly DiskOperation[]): WriteFate {
    const fate = this.#nextFates.shift() ?? 'taken';
    for (const id of idsIn(operations)) (fate === 'failed' ? this.failed : this.#written).add(id);
    return fate;
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'commit':
        return void this.commit([[step.lane, step.count]]);
      case 'commit-both':
        return void this.commit([['urgent', 2], ['normal', 3]]); // prettier-ignore
      case 'throw-half-way':
        return void this.#throwHalfWay(step.lane);
      case 'fail':
        return void this.#nextFates.push(step.fate);
      case 'fail-opening':
        return void (this.storage.openFailures = step.times);
      case 'trim':
        return void this.#trim(step.lane, step.part);
      case 'read':
        return void this.#read(step);
      case 'turns':
        return settle(step.count);
      case 'time':
        return this.clock.advance(step.ms);
      case 'set-wall':
        return void (this.clock.wall += step.byMs);
      case 'crash':
        return this.#crash();
      case 'restart':
        return this.#restart();
    }
  }

  commit(parts: readonly (readonly [Lane, number])[]): void {
    const attempt = ++this.#attempt;
    const life = this.#life;
    const texts: string[] = [];
    const done = this.journal.commit((draft) => {
      const stored = parts.flatMap(([lane, count]) => {
        const own = Array.from({ length: count }, (_, at) => `<${attempt}.${texts.length + at}>`);
        texts.push(...own);
        const positions = append(draft, lane, own);
        assert.deepEqual(positions, Array.from({ length: count }, (_, at) => positions[0]! + at), 'dense'); // prettier-ignore
        return own.map((text, at) => ({ lane, text, position: positions[at]! }));
      });
      this.count += texts.length;
      draft.put('l:count', () => this.count);
      return stored;
    });
    this.#track(
      done.then(
        (stored) => {
          if (life !== this.#life) return; // of a life that is over: it may have been told after the crash, nobody was there to hear
          for (const { lane, text, position } of stored) {
            assert.isBelow(position, this.journal.head(lane), 'acknowledged, so below the head');
            assert.isFalse(this.acknowledged[lane].has(position), `${lane}/${position} is given once`);
            this.acknowledged[lane].set(position, text);
          }
        },
        () => {
          for (const text of texts) if (!this.#written.has(text)) this.failed.add(text);
        },
      ),
    );
  }

  #throwHalfWay(lane: Lane): void {
    const text = `<${++this.#attempt}.0>`;
    this.failed.add(text);
    this.#track(
      this.journal
        .commit((draft) => {
          append(draft, lane, [text]);
          this.count += 1;
          throw new Error('half-way');
        })
        .then(
          () => assert.fail('an operation that throws must reject'),
          () => undefined,
        ),
    );
  }

  #trim(lane: Lane, part: number): void {
    const [tail, head] = [this.journal.tail(lane), this.journal.head(lane)];
    const position = tail + Math.floor(part * (head - tail));
    const life = this.#life;
    this.#track(
      this.journal.trim(lane, position).then(
        () => {
          if (life === this.#life) this.tails[lane] = Math.max(this.tails[lane], position);
        },
        () => undefined,
      ),
    );
  }

  #read({ lane, part, bytesMax }: { lane: Lane; part: number; bytesMax: number }): void {
    const { journal } = this;
    const from = journal.tail(lane) + Math.floor(part * (journal.head(lane) - journal.tail(lane)));
    const life = this.#life;
    this.#track(
      journal.read(lane, from, bytesMax).then(
        ({ entries, hole }) => {
          if (life !== this.#life) return;
          this.#check(lane, from, entries);
          if (hole) assert.isAtMost(hole.to, journal.tail(lane), 'only what is trimmed may be missing');
        },
        () => undefined,
      ),
    );
  }

  #check(lane: Lane, from: number, entries: readonly Entry[]): void {
    for (const [at, entry] of entries.entries()) {
      const text = entry.bytes.toString();
      assert.equal(entry.position, from + at);
      assert.equal(entry.epoch, entries[0]!.epoch, 'one epoch in a stretch');
      const known = this.acknowledged[lane].get(entry.position);
      if (known !== undefined) assert.equal(text, known, `${lane}/${entry.position}`);
      // An epoch and a position name an entry for ever.
      const name = `${lane}/${entry.epoch.birth}/${entry.position}`;
      assert.equal(this.seen.get(name) ?? text, text, name);
      this.seen.set(name, text);
      assert.isFalse(this.failed.has(text), `${text} failed, and is here`);
    }
  }

  async #crash(): Promise<void> {
    this.storage.fate = () => 'taken';
    this.storage = this.storage.copy(); // the write in flight is not in it, and the old life goes on beside it, unheard
    this.#nextFates = [];
    await this.open();
  }

  async #restart(): Promise<void> {
    this.storage.openFailures = 0;
    await this.journal.close();
    await this.#heard();
    this.#nextFates = [];
    await this.open();
  }

  #track(done: Promise<void>): void {
    this.#pending.push(done);
  }

  /** Everything that was asked has been answered. */
  async #heard(): Promise<void> {
    await Promise.all(this.#pending.splice(0));
  }

  /** Lets everything come to rest, then opens once more and looks at all of it. */
  async finish(): Promise<void> {
    this.storage.openFailures = 0;
    this.#nextFates = [];
    for (let waited = 0; waited < 10; waited++) await this.clock.advance(5000);
    assert.isTrue(this.journal.isOpen, 'it comes back by itself');
    this.commit([['normal', 1]]);
    await settle();
    assert.include([...this.acknowledged.normal.values()], `<${this.#attempt}.0>`, 'and takes commits');
    await this.#checkAll();
    await this.#restart();
    await this.#checkAll();
  }

  async #checkAll(): Promise<void> {
    const { journal } = this;
    const texts: string[] = [];
    for (const lane of LANES) {
      assert.isAtLeast(journal.tail(lane), this.tails[lane]);
      const { entries, holes } = await readLane(journal, lane, { bytesMax: 500 });
      assert.deepEqual(holes, []);
      for (const entry of entries) this.#check(lane, entry.position, [entry]);
      const held = new Map(entries.map((entry) => [entry.position, entry.bytes.toString()]));
      for (const [position, text] of this.acknowledged[lane])
        if (position >= journal.tail(lane)) assert.equal(held.get(position), text, `${lane}/${position}`);
      texts.push(
        ...held.values(),
        ...[...this.acknowledged[lane]].filter(([position]) => position < journal.tail(lane)).map(([, text]) => text),
      );
    }
    assert.lengthOf(new Set(texts), texts.length, 'nothing is there twice');
    assert.equal(
      (await journal.row('l:count')) ?? 0,
      journal.head('urgent') + journal.head('normal') - 2,
      'the row says what the entries say',
    );
    const { epochs } = journal;
    for (let at = 1; at < epochs.length; at++) {
      assert.isAbove(epochs[at]!.number, epochs[at - 1]!.number);
      assert.isAbove(epochs[at]!.birth, epochs[at - 1]!.birth);
      for (const lane of LANES) assert.isAtLeast(epochs[at]!.first[lane], epochs[at - 1]!.first[lane]);
    }
  }
}

function idsIn(operations: readonly DiskOperation[]): string[] {
  return operations.flatMap(({ value }) => value?.toString('latin1').match(ID) ?? []);
}

describe('a journal, over random schedules of commits, failures, crashes and trims,', () => {
  it('misses nothing that it acknowledged and repeats nothing', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), fc.constantFrom(0, 500, 1 << 20), async (steps, recentBytes) => {
        const model = new Model(recentBytes);
        await model.open();
        for (const each of steps) await model.run(each);
        await model.finish();
      }),
      // A trim to where another one, still in flight, has trimmed already, was acknowledged before that was durable.
      {
        numRuns: 300,
        examples: [
          [
            [
              { do: 'commit', lane: 'normal', count: 1 },
              { do: 'restart' },
              { do: 'trim', lane: 'normal', part: 1 },
              { do: 'trim', lane: 'normal', part: 0 },
              { do: 'commit', lane: 'urgent', count: 1 },
              { do: 'crash' },
            ],
            0,
          ],
        ],
      },
    );
  });
});
