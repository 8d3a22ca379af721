import { assert } from 'chai';
import { uuidBytes, uuidText, uuidV7, uuidV7Bytes } from '../../core/uuid.ts';

describe('uuid', () => {
  it('is a version 7 of RFC 9562 that begins with its milliseconds', () => {
    const now = 0x0199e0c47b1e;
    for (let i = 0; i < 50; i++) assert.match(uuidV7(now), /^0199e0c4-7b1e-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('is never the same twice, in the same millisecond too', () => {
    assert.equal(new Set(Array.from({ length: 1000 }, () => uuidV7(1))).size, 1000);
  });

  it('is ordered by time as text and as bytes', () => {
    const times = [0, 1, 255, 256, 2 ** 32, 2 ** 47];
    const texts = times.map(uuidV7);
    assert.deepEqual([...texts].sort(), texts);
    const bytes = times.map((now) => uuidV7Bytes(now));
    assert.deepEqual(
      [...bytes].sort((a, b) => Buffer.compare(a, b)),
      bytes,
    );
  });

  it('goes to text and back, also as a view into other bytes', () => {
    const text = uuidV7(Date.UTC(2026, 10, 22));
    const bytes = uuidBytes(text)!;
    assert.equal(uuidText(bytes), text);
    assert.equal(uuidText(new Uint8Array(Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(3)])).subarray(3, 19)), text);
    assert.deepEqual(uuidBytes(text.toUpperCase()), bytes);
  });

  for (const text of [
    '',
    'x',
    '0199e0c4-7b1e-7000-8000-00000000000',
    '0199e0c4-7b1e-7000-8000-0000000000000',
    '0199e0c47b1e70008000000000000000',
    'g199e0c4-7b1e-7000-8000-000000000000',
    '0199e0c4-7b1e-7000-8000-000000000000\n',
  ]) {
    it(`reads no UUID from ${JSON.stringify(text)}`, () => {
      assert.isUndefined(uuidBytes(text));
    });
  }
});
