import { assert } from 'chai';
import fc from 'fast-check';
import { Nearest } from '../../core/nearest-names.ts';

const CELLS = 1_000_000;

/** Levenshtein's distance, as it is defined. */
function distance(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length;
  if (b.startsWith(a[0]!)) return distance(a.slice(1), b.slice(1));
  return 1 + Math.min(distance(a.slice(1), b), distance(a, b.slice(1)), distance(a.slice(1), b.slice(1)));
}

describe('the nearest name', () => {
  it('is one of those with the smallest distance, where there is a near one', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(text, fc.uniqueArray(text, { minLength: 1, maxLength: 6 }), (wanted, names) => {
        const found = new Nearest(names).to(wanted, CELLS)!;
        const least = Math.min(...names.map((name) => distance(wanted, name)));
        if (least <= 3) assert.equal(distance(wanted, found), least);
      }),
    );
  });

  it('is none without names, the one that begins alike where none is near, or where there is no time', () => {
    assert.isUndefined(new Nearest([]).to('a', CELLS));
    const names = new Nearest(['disk.Full', 'cluster.LeaderElected', 'cluster.LeaderLost']);
    assert.equal(names.to('cluster.LeaderElectedBySomeMajorityOfNodes', CELLS), 'cluster.LeaderElected');
    assert.equal(names.to('isk.Full', CELLS), 'disk.Full');
    assert.equal(names.to('cluster.LeaderLast', 0), 'cluster.LeaderLost');
  });

  it('takes its steps and no more: ten thousand long names, a thousand questions', function () {
    this.timeout(20_000);
    const names = new Nearest(Array.from({ length: 10_000 }, (_, n) => `${'x'.repeat(110)}.Type${n}`));
    for (let n = 0; n < 1000; n++) names.to(`${'xy'.repeat(57)}${n}`, 100_000);
  });
});
