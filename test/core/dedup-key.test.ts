import { assert } from 'chai';
import { dedupKeyOf, type DedupContent } from '../../core/dedup-key.ts';
import { LIMITS } from '../../core/event.ts';

const event: DedupContent = {
  object: { kind: 'Switch', name: 'sw' },
  message: 'port down',
  attributes: '{"port": 7, "a.b": [1, 2], "port": 8.0, "text":"7"}',
};

describe('the dedupKey of dedup fields', () => {
  const keys: [fields: string[], key: string][] = [
    [[], '[]'],
    [['message'], '["port down"]'],
    [['object'], '[["Switch","sw","","",""]]'],
    [['object.name', 'object.uri'], '["sw",""]'],
    [['attributes'], JSON.stringify([event.attributes])],
    [['attributes.port'], '["8.0"]'],
    [['attributes.a.b'], '["[1, 2]"]'],
    [['attributes.text', 'attributes.none'], '["\\"7\\"",""]'],
  ];
  for (const [fields, key] of keys) it(`of ${fields.join(', ') || 'none'} is ${key}`, () => assert.equal(dedupKeyOf(fields, event), key));

  it('tells a number from a text, and an empty text from nothing', () => {
    const of = (attributes: string): string => dedupKeyOf(['attributes.a'], { ...event, attributes });
    assert.lengthOf(new Set([of('{"a":7}'), of('{"a":"7"}'), of('{"a":""}'), of('{}'), of('{"a":null}')]), 5);
    assert.equal(of(''), of('{}'));
  });

  it('fits the wire, however long the fields are, and is another one for another text', () => {
    const of = (message: string): string => dedupKeyOf(['message'], { ...event, message });
    assert.isAtMost(Buffer.byteLength(of('ä'.repeat(4000))), LIMITS.nameBytes);
    assert.match(of('x'.repeat(4000)), /^sha256:[0-9a-f]{64}$/);
    assert.notEqual(of('x'.repeat(4000)), of(`${'x'.repeat(3999)}y`));
  });
});
