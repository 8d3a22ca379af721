import { assert } from 'chai';
import { formatAddress, isLocal, parseAddress } from '../../proxy/address.ts';

describe('addresses', () => {
  const good: [text: string, isLocal: boolean][] = [
    ['127.0.0.1:7070', true],
    ['127.9.9.9:0', true],
    ['localhost:1', true],
    ['[::1]:7070', true],
    ['unix:/run/fondaco/proxy.sock', true],
    ['0.0.0.0:7070', false],
    ['[::]:7070', false],
    ['10.0.0.7:65535', false],
    ['proxy-1.example:7070', false],
    // Names and numbers that only look local.
    ['127.0.0.1.example:1', false],
    ['localhost.example:1', false],
    ['[::ffff:10.0.0.7]:1', false],
  ];
  for (const [text, expected] of good) {
    it(`${text} is ${expected ? '' : 'not '}local, and stays the same text`, () => {
      const address = parseAddress(text);
      assert.isDefined(address);
      assert.equal(formatAddress(address), text);
      assert.equal(isLocal(address), expected);
    });
  }

  const bad = [
    '',
    '7070',
    ':7070',
    'host',
    'host:',
    'host:65536',
    'host:123456',
    '::1:7070',
    '[::1]',
    '[host]:1',
    'http://h:1',
    'a b:1',
    'unix:',
    'unix:x',
    `unix:/${'x'.repeat(120)}`,
  ];
  for (const text of bad) it(`${JSON.stringify(text.slice(0, 30))} is none`, () => assert.isUndefined(parseAddress(text)));
});
