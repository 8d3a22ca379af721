import { assert } from 'chai';
import fc from 'fast-check';
import { describeFault, shapeOfJson } from '../../core/json-shape.ts';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** JSON text with a mistake in it, mostly. */
const spoiled = fc
  .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '}', ']', '"', ':', '\\', '1', '-', '.', 'e', '\n', '\u0000', '\u2028', 'nul', '0'))
  .map(([text, where, piece]) => {
    const at = where % (text.length + 1);
    return text.slice(0, at) + piece + text.slice(at + (where % 2));
  });

describe('the shape of JSON text', () => {
  it('says of any text what JSON.parse says: whether it is JSON', () => {
    const agrees = (text: string): void => {
      const { fault } = shapeOfJson(text);
      assert.equal(fault === undefined, isJson(text), text);
      // Up to the fault, something could still become JSON of it; so it never lies behind the end.
      if (fault !== undefined) assert.isAtMost(fault, text.length);
    };
    fc.assert(
      fc.property(
        fc.oneof(fc.json(), spoiled, fc.string(), fc.string({ unit: fc.constantFrom(...Array.from('[]{},:"\\u01e.- \ntrue')) })),
        agrees,
      ),
      {
        numRuns: 3000,
      },
    );
  });

  it('finds the members of an array as they were written', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom('', ' ', '\n\t'), (values, space) => {
        const texts = values.map((value) => JSON.stringify(value));
        const text = `${space}[${space}${texts.join(`${space},${space}`)}${space}]${space}`;
        const { members, count } = shapeOfJson(text, Infinity);
        assert.equal(count, values.length);
        assert.deepEqual(
          texts,
          Array.from({ length: members.length / 2 }, (_, i) => text.slice(members[2 * i], members[2 * i + 1])),
        );
      }),
    );
  });

  it('keeps no more members than are asked for, and counts them all', () => {
    assert.deepEqual(shapeOfJson('[1,[2,3],{"a":[4]},"5"]', 2), { members: [1, 2, 3, 8], count: 4 });
    assert.deepEqual(shapeOfJson('{"a":[1,2]}', 10), { members: [] });
    assert.deepEqual(shapeOfJson('[]', 10), { members: [], count: 0 });
  });

  const faults: [text: string, says: string][] = [
    ['', 'got its end at character 1'],
    ['{"a":}', 'got "}" at character 6'],
    ['{"a":1', 'got its end at character 7'],
    ['{"a" 1}', 'got "1" at character 6'],
    ["{'a':1}", 'got "\'" at character 2'],
    ['[1,]', 'got "]" at character 4'],
    ['[1 2]', 'got "2" at character 4'],
    ['{"a":1} {"b":2}', 'got "{" at character 9'],
    ['[{"a":1},\n {"a":01}]', 'got "1" at character 18 (line 2, column 8)'],
    ['["\\x"]', 'got "x" at character 4'],
    ['["\\u12g4"]', 'got "g" at character 7'],
    ['["a\tb"]', 'got "\\t" at character 4'],
    ['🚢', 'got "🚢" at character 1'],
    ['undefined', 'got "u" at character 1'],
    ['NaN', 'got "N" at character 1'],
  ];
  for (const [text, says] of faults) {
    it(`names the place in ${JSON.stringify(text)}: ${says}`, () => {
      assert.equal(describeFault(text, shapeOfJson(text).fault!), says);
    });
  }

  it('takes any depth', () => {
    assert.equal(shapeOfJson('['.repeat(1_000_000)).fault, 1_000_000);
    assert.deepEqual(shapeOfJson('['.repeat(100_000) + ']'.repeat(100_000)), { members: [], count: 1 });
  });
});
