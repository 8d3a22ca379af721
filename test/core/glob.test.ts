import { assert } from 'chai';
import fc from 'fast-check';
import { matchesGlob } from '../../core/glob.ts';

const text = (chars: string): fc.Arbitrary<string> => fc.string({ unit: fc.constantFrom(...Array.from(chars)), maxLength: 12 });

describe('glob', () => {
  it('says what the regular expression for it says', () => {
    fc.assert(
      fc.property(text('ab.*'), text('ab.'), (glob, value) => {
        const pattern = new RegExp(`^${glob.replaceAll('.', String.raw`\.`).replaceAll('*', '.*')}$`);
        assert.equal(matchesGlob(glob, value), pattern.test(value), `${glob} ${value}`);
      }),
      { numRuns: 2000 },
    );
  });

  it('is done soon with what keeps a regular expression busy for ever', () => {
    assert.isFalse(matchesGlob('*a'.repeat(60) + 'b', 'a'.repeat(128)));
    assert.isTrue(matchesGlob('*a'.repeat(60), 'a'.repeat(128)));
  });
});
