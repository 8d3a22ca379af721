import { expect } from 'chai';
import fc from 'fast-check';
import { EventWalk, hashKey } from '../../../core/event-walk.ts';
import type { NewEntry } from '../../../core/journal.ts';
import type { Lane } from '../../../core/lane.ts';
import { uuidText, uuidV7Bytes } from '../../../core/uuid.ts';
import { WindowTable } from '../../../dispatcher/acceptance/window-table.ts';
import { eventBytes } from '../../support/dispatch-kit.ts';

const walk = new EventWalk();
const series = uuidV7Bytes(1);

function walkOver(bytes: Uint8Array): EventWalk {
  expect(walk.over(bytes, 0, bytes.length), walk.reason).to.equal(true);
  return walk;
}

function entryOf(bytes: Uint8Array, seq: number): NewEntry {
  return { series, seq, kind: 'accepted', first: 0, bytes, start: 0, end: bytes.length };
}

interface Modelled {
  bytes: Uint8Array;
  seq: number;
  lane: Lane;
  endsAt: number;
}

/** What the table promises, by a plain Map in the order of insertion. */
class Model {
  readonly windows = new Map<string, Modelled>();

  get oldest(): [string, Modelled] | undefined {
    return this.windows.entries().next().value;
  }
}

/** The key that two events share when they are the same: all of it here, for these events differ in nothing else. */
function keyOf(bytes: Uint8Array): string {
  const { keyStart, keyEnd, moreStart, moreEnd } = walkOver(bytes);
  return `${Buffer.from(bytes.subarray(keyStart, keyEnd)).toString('hex')}/${Buffer.from(bytes.subarray(moreStart, moreEnd)).toString('hex')}`;
}

type Step = { kind: 'event'; text: number; fill: number; hasKey: boolean } | { kind: 'remove'; count: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('event' as const),
      text: fc.nat(60),
      fill: fc.constantFrom(0, 0, 100, 5000, 31_000),
      hasKey: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), count: fc.integer({ min: 1, max: 12 }) }) },
);

function run(steps: readonly Step[], capacity: number, seed: number): { removed: number; found: number } {
  const table = new WindowTable(capacity, seed);
  const model = new Model();
  const tally = { removed: 0, found: 0 };
  const remove = (): void => {
    const [key, { bytes, seq, lane, endsAt }] = model.oldest!;
    const slot = table.oldest();
    expect(Buffer.compare(table.first(slot), bytes)).to.equal(0);
    expect(table.id(slot)).to.equal(`${uuidText(series)}-${seq}`);
    expect([table.position(slot), table.lane(slot), table.endsAt(slot)]).to.deep.equal([seq * 2, lane, endsAt]);
    table.removeOldest();
    model.windows.delete(key);
    tally.removed++;
  };
  for (const [at, each] of steps.entries()) {
    if (each.kind === 'remove') for (let i = 0; i < each.count && table.size > 0; i++) remove();
    else {
      const bytes = eventBytes({
        message: `text ${each.text}`,
        attributes: { fill: 'x'.repeat(each.fill) },
        ...(each.hasKey && { dedupKey: `key ${each.text % 7}` }),
      });
      const key = keyOf(bytes);
      const known = model.windows.get(key);
      const slot = table.find(bytes, walkOver(bytes));
      expect(slot >= 0, key).to.equal(known !== undefined);
      if (known) {
        expect(table.position(slot)).to.equal(known.seq * 2);
        tally.found++;
        continue;
      }
      while (table.isFullFor(bytes.length)) remove();
      const lane: Lane = each.text % 2 === 0 ? 'urgent' : 'normal';
      const seq = at + 1;
      table.add(entryOf(bytes, seq), walkOver(bytes), { lane, position: seq * 2, endsAt: at });
      model.windows.set(key, { bytes, seq, lane, endsAt: at });
      expect(table.position(table.newest())).to.equal(seq * 2);
    }
    expect(table.size).to.equal(model.windows.size);
  }
  for (const { bytes, seq } of model.windows.values()) expect(table.position(table.find(bytes, walkOver(bytes)))).to.equal(seq * 2);
  while (table.size > 0) remove();
  expect(table.oldest()).to.equal(-1);
  return tally;
}

describe('the table of windows', function () {
  this.timeout(60_000);

  it('finds, forgets and gives back the same as a plain map, while its arena grows and wraps around', () => {
    const tally = { removed: 0, found: 0 };
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 200, size: 'max' }),
        fc.constantFrom(1, 2, 3, 7, 16, 40),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        (steps, capacity, seed) => {
          const { removed, found } = run(steps, capacity, seed);
          tally.removed += removed;
          tally.found += found;
        },
      ),
      { numRuns: 50 },
    );
    expect(tally.removed).to.be.above(20);
    expect(tally.found).to.be.above(20);
  });

  it('wraps around many times without growing, and keeps every byte', () => {
    // 256 KiB of arena; eight windows of 31 KB each fill it, so every other insertion meets its end.
    const steps: Step[] = [];
    for (let i = 0; i < 400; i++) steps.push({ kind: 'event', text: i, fill: 31_000 - (i % 7) * 3001, hasKey: false });
    expect(run(steps, 7, 1).removed).to.equal(400);
  });

  it('grows once while its content lies across its end, and keeps every byte and its order', () => {
    const fill = (count: number, bytes: number, from: number): Step[] =>
      Array.from({ length: count }, (_, i) => ({ kind: 'event', text: from + i, fill: bytes, hasKey: false }));
    const steps: Step[] = [...fill(8, 30_000, 0), { kind: 'remove', count: 3 }, ...fill(2, 30_000, 100), ...fill(40, 30_000, 200)];
    expect(run(steps, 64, 1).removed).to.equal(50);
  });

  it('does not take one event for another whose hash is the same', () => {
    const seed = 42;
    const [one, other] = collision(seed);
    expect(hashKey(one, walkOver(one), seed)).to.equal(hashKey(other, walkOver(other), seed));
    const table = new WindowTable(10, seed);
    expect(table.find(one, walkOver(one))).to.equal(-1);
    table.add(entryOf(one, 1), walkOver(one), { lane: 'normal', position: 1, endsAt: 0 });
    expect(table.find(other, walkOver(other))).to.equal(-1);
    table.add(entryOf(other, 2), walkOver(other), { lane: 'normal', position: 2, endsAt: 0 });
    expect(table.position(table.find(one, walkOver(one)))).to.equal(1);
    expect(table.position(table.find(other, walkOver(other)))).to.equal(2);
    table.removeOldest(); // the chain is closed up: the other one is still found
    expect(table.find(one, walkOver(one))).to.equal(-1);
    expect(table.position(table.find(other, walkOver(other)))).to.equal(2);
  });

  it('hashes other with another seed, so that nobody can aim', () => {
    const bytes = eventBytes({ message: 'aim' });
    const hashes = new Set(Array.from({ length: 100 }, (_, seed) => hashKey(bytes, walkOver(bytes), seed)));
    expect(hashes.size).to.be.above(98);
  });
});

/** Two events with one hash: of 200,000 texts, some 4 pairs share 32 bits. */
function collision(seed: number): [Uint8Array, Uint8Array] {
  const seen = new Map<number, number>();
  const template = Buffer.from(eventBytes({ message: 'text 000000' }));
  const at = template.indexOf('000000');
  const textOf = (i: number): Buffer => {
    template.write(String(i).padStart(6, '0'), at);
    return template;
  };
  for (let i = 0; i < 1_000_000; i++) {
    const bytes = textOf(i);
    const hash = hashKey(bytes, walkOver(bytes), seed);
    const before = seen.get(hash);
    if (before !== undefined) return [Buffer.from(textOf(before)), Buffer.from(textOf(i))];
    seen.set(hash, i);
  }
  throw new Error('a million texts must share a hash somewhere');
}
