import { assert } from 'chai';
import fc from 'fast-check';
import { findMember, firstRepeatedName, firstUnsafeNumber, hasInfiniteNumber, isDeeperThan, listItems } from '../../core/json-text.ts';

describe('json-text', () => {
  describe('findMember', () => {
    const cases: [text: string, name: string, found: string][] = [
      ['{"a":1}', 'a', '1'],
      ['{"a":1}', 'b', ''],
      ['{}', 'a', ''],
      [' \t\n{ "a" \r:\n [1, {"b": "}"}] , "b" : -0.0 } ', 'a', '[1, {"b": "}"}]'],
      [' { "a" : [1] , "b" : -0.0 } ', 'b', '-0.0'],
      ['{"a":1.10}', 'a', '1.10'],
      ['{"a":{"b":{"a":2}},"c":3}', 'a', '{"b":{"a":2}}'],
      ['{"b":{"a":2}}', 'a', ''],
      ['{"x":"\\"a\\":1","a":"\\\\"}', 'a', '"\\\\"'],
      ['{"\\u0061":7}', 'a', '7'],
      ['{"a":1,"a":{"last":true}}', 'a', '{"last":true}'],
      ['{"a":null,"b":true}', 'b', 'true'],
      ['{"a":"]}","b":[]}', 'b', '[]'],
      ['{"__proto__":{"a":1},"a":2}', 'a', '2'],
    ];
    for (const [text, name, found] of cases) {
      it(`finds ${found === '' ? 'nothing' : found} for ${name} in ${JSON.stringify(text)}`, () => {
        assert.equal(findMember(text, name), found);
      });
    }

    it('finds what JSON.parse finds, in any object and any spacing', () => {
      const key = fc.constantFrom('a', 'b', '', '"', '\\', 'é', '\u2028', '}', 'attributes');
      const object = fc.dictionary(key, fc.jsonValue(), { maxKeys: 6 });
      fc.assert(
        fc.property(object, key, fc.constantFrom(undefined, 1, '\t', '\r\n '), (value, name, spacing) => {
          const found = findMember(JSON.stringify(value, undefined, spacing), name);
          if (!Object.hasOwn(value, name)) assert.equal(found, '');
          else assert.deepEqual(JSON.parse(found), JSON.parse(JSON.stringify(value[name])));
        }),
      );
    });
  });

  describe('firstUnsafeNumber', () => {
    const unsafe: [text: string, found: string][] = [
      ['{"u64":18446744073709551615}', '18446744073709551615'],
      ['{"n":9007199254740992}', '9007199254740992'],
      ['{"n":-9007199254740993}', '-9007199254740993'],
      ['[1,[2,{"x":[12345678901234567890]}]]', '12345678901234567890'],
      ['{"s":"\\"","n":99999999999999999999}', '99999999999999999999'],
      [`{"n":1${'0'.repeat(1000)}}`, `1${'0'.repeat(59)}`],
      ['{"n":1e400}', '1e400'],
      ['{"n":[-2.5E+309]}', '-2.5E+309'],
      ['{"s":"1e400","n":1e0400}', '1e0400'],
    ];
    for (const [text, found] of unsafe) {
      it(`finds ${found} in ${text.slice(0, 60)}`, () => {
        assert.equal(firstUnsafeNumber(text)?.number, found);
        assert.equal(firstUnsafeNumber(text)?.isInfinite, hasInfiniteNumber(text));
      });
    }

    const safe = [
      '{"n":9007199254740991}',
      '{"n":-9007199254740991}',
      '{"s":"18446744073709551615"}',
      '{"18446744073709551615":1}',
      '{"s":"\\\\\\"18446744073709551615"}',
      '{"f":1.8446744073709551615}',
      '{"f":18446744073709551615.5}',
      '{"f":1e300}',
      '{"f":1e-400,"1e400":"1e400"}',
      '{"f":12345678901234567890e-5}',
      `{"f":0.${'3'.repeat(900)}}`,
      '{}',
    ];
    for (const text of safe) {
      it(`finds none in ${text.slice(0, 60)}`, () => {
        assert.isUndefined(firstUnsafeNumber(text));
      });
    }

    it('finds exactly the integers that a number cannot hold', () => {
      fc.assert(
        fc.property(fc.array(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n })), (numbers) => {
          const expected = numbers.find((number) => !Number.isSafeInteger(Number(number)));
          assert.equal(firstUnsafeNumber(`{"n":[${numbers.join(', ')}]}`)?.number, expected?.toString());
        }),
      );
    });
  });
});

describe('listItems', () => {
  it('gives the items of a list as they are written', () => {
    assert.deepEqual(listItems(' [ {"a":[1,"],"]} , -0.0,"\\"]", [] ,null ] '), ['{"a":[1,"],"]}', '-0.0', '"\\"]"', '[]', 'null']);
    assert.deepEqual(listItems('[]'), []);
    assert.deepEqual(listItems('{"a":1}'), []);
    assert.deepEqual(listItems(''), []);
  });
});

describe('isDeeperThan', () => {
  for (const [text, depth] of [
    ['{}', 1],
    ['{"a":[{"b":[[]]},[]],"c":{}}', 5],
    ['{"]":"[[[[[[\\"[[[","a":[1]}', 2],
    [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, 100_000],
  ] as const) {
    it(`counts ${depth} in ${text.slice(0, 40)}`, () => {
      const long = text + ' '.repeat(2 * depth);
      assert.deepEqual([isDeeperThan(depth - 1, long), isDeeperThan(depth, long)], [true, false]);
    });
  }
});

describe('firstRepeatedName', () => {
  for (const [text, found] of [
    ['{"a":1,"b":2,"a":3}', { name: 'a', within: undefined }],
    ['{"a":1,"\\u0061":3}', { name: 'a', within: undefined }],
    ['{"x":{"k":1},"y":{"z":[{"k":1,"l":{}, "k" :1}]}}', { name: 'k', within: 'y' }],
    ['{"":0,"":1}', { name: '', within: undefined }],
    ['{"__proto__":{"__proto__":1,"__proto__":2}}', { name: '__proto__', within: '__proto__' }],
  ] as const) {
    it(`finds it in ${text}`, () => {
      assert.deepEqual<unknown>(firstRepeatedName(text), found);
    });
  }

  it('finds none where each object has each name once', () => {
    assert.isUndefined(firstRepeatedName('{"a":{"a":["a","a",{"a":"a"},{"a":":"}]},"b":"a\\":","c":"a"}'));
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.isUndefined(firstRepeatedName(JSON.stringify(value)));
      }),
    );
  });
});
