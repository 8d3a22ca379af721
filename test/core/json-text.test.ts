import { assert } from 'chai';
import fc from 'fast-check';
import { findMember, firstUnsafeInteger, listItems } from '../../core/json-text.ts';

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

  describe('firstUnsafeInteger', () => {
    const unsafe: [text: string, found: string][] = [
      ['{"u64":18446744073709551615}', '18446744073709551615'],
      ['{"n":9007199254740992}', '9007199254740992'],
      ['{"n":-9007199254740993}', '-9007199254740993'],
      ['[1,[2,{"x":[12345678901234567890]}]]', '12345678901234567890'],
      ['{"s":"\\"","n":99999999999999999999}', '99999999999999999999'],
      [`{"n":1${'0'.repeat(1000)}}`, `1${'0'.repeat(59)}`],
    ];
    for (const [text, found] of unsafe) {
      it(`finds ${found} in ${text.slice(0, 60)}`, () => {
        assert.equal(firstUnsafeInteger(text), found);
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
      '{"f":12345678901234567890e-5}',
      `{"f":0.${'3'.repeat(900)}}`,
      '{}',
    ];
    for (const text of safe) {
      it(`finds none in ${text.slice(0, 60)}`, () => {
        assert.isUndefined(firstUnsafeInteger(text));
      });
    }

    it('finds exactly the integers that a number cannot hold', () => {
      fc.assert(
        fc.property(fc.array(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n })), (numbers) => {
          const expected = numbers.find((number) => !Number.isSafeInteger(Number(number)));
          assert.equal(firstUnsafeInteger(`{"n":[${numbers.join(', ')}]}`), expected?.toString());
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
