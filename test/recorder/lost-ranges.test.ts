import { assert } from 'chai';
import fc from 'fast-check';
import { LostRanges } from '../../recorder/lost-ranges.ts';

describe('recorder/lost-ranges', () => {
  it('counts each seq once, whatever overlaps', () => {
    const range = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.nat(10));
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), (ranges) => {
        const lost = new LostRanges();
        const seqs = new Set<number>();
        for (const [first, length] of ranges) {
          const before = seqs.size;
          for (let seq = first; seq <= first + length; seq++) seqs.add(seq);
          assert.strictEqual(lost.add({ first, last: first + length }, 'corrupt'), seqs.size - before);
        }
        assert.strictEqual(lost.count(1, 100), seqs.size);
        for (let i = 1; i < lost.ranges.length; i++) assert.isAbove(lost.ranges[i]!.first, lost.ranges[i - 1]!.last + 1);
      }),
    );
  });

  it('says how far a batch reaches that begins or ends at a loss', () => {
    const lost = new LostRanges();
    lost.add({ first: 5, last: 9 }, 'memory-full');
    lost.add({ first: 20, last: 30 }, 'spool-full');
    assert.deepEqual(lost.reach(0, 3), { lost: [], last: 3 });
    assert.deepEqual(lost.reach(0, 4), { lost: [{ first: 5, last: 9, cause: 'memory-full' }], last: 9 });
    assert.deepEqual(lost.reach(6, 12), { lost: [{ first: 7, last: 9, cause: 'memory-full' }], last: 12 });
    assert.strictEqual(lost.endOf(19), 30);
    lost.forget(9);
    assert.lengthOf(lost.ranges, 1);
  });
});
