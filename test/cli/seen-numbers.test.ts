import { assert } from 'chai';
import fc from 'fast-check';
import { SeenLimits, SeenNumbers } from '../../cli/seen-numbers.ts';

describe('the numbers that a record has', () => {
  it('agrees with a set of them, whatever their order', () => {
    const number = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 4080, max: 4110 }), fc.integer({ min: 8185, max: 8200 }));
    const run = fc.record({ from: number, length: fc.integer({ min: 1, max: 30 }) });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 60 }), (runs) => {
        const seen = new SeenNumbers('s', new SeenLimits());
        const model = new Set<number>();
        for (const { from, length } of runs) {
          for (let n = from; n < from + length; n++) {
            const max = Math.max(0, ...model);
            const expected = model.has(n) ? 'repeat' : n < max ? 'late' : 'new';
            assert.equal(seen.add(n, 7), expected);
            model.add(n);
          }
        }
        const missing: number[] = [];
        for (const [first, last] of seen.missing(1, 8300)) for (let n = first; n <= last; n++) missing.push(n);
        assert.deepEqual(missing, Array.from({ length: 8300 }, (_, i) => i + 1).filter((n) => !model.has(n))); // prettier-ignore
        assert.equal(seen.count, model.size);
      }),
    );
  });

  it('keeps nothing but checksums of what is whole, also when it was filled up late', () => {
    const limits = new SeenLimits();
    const seen = new SeenNumbers('s', limits);
    const before = limits.pagesLeft;
    for (let n = 2; n <= 100_000; n++) seen.add(n, 1);
    assert.isAtLeast(limits.pagesLeft, before - 2, 'a full page costs nothing');
    assert.equal(seen.add(1, 1), 'late');
    assert.equal(limits.pagesLeft, before);
    assert.deepEqual([...seen.missing(1, 100_001)], [[100_001, 100_001]]);
  });

  it('tells a repeat with other content from one with the same, and says where it does not know any more', () => {
    const limits = new SeenLimits({ sumPagesMax: 2 });
    const seen = new SeenNumbers('s', limits);
    seen.add(1, 11);
    assert.equal(seen.add(1, 11), 'repeat');
    assert.equal(seen.add(1, 12), 'changed');
    for (let n = 2; n < 2000; n++) seen.add(n, n);
    assert.equal(seen.add(1, 12), 'not compared');
    assert.equal(limits.sums.size, 2);
  });

  it('takes no more where the numbers are in no order, and finds gaps without end at once', () => {
    const seen = new SeenNumbers('s', new SeenLimits({ pagesMax: 2 }));
    assert.equal(seen.add(9_000_000_000_000_000, 1), 'new');
    assert.deepEqual([...seen.missing(1, 9_000_000_000_000_000)], [[1, 8_999_999_999_999_999]]);
    assert.equal(seen.add(5000, 1), 'late');
    assert.isUndefined(seen.add(50_000, 1));
    assert.equal(seen.add(1, 1), 'late', 'what needs no room');
  });
});
