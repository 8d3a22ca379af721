import { assert } from 'chai';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { ProtobufReader, ProtobufWriter } from '../../core/protobuf.ts';

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

interface Read {
  readonly fields: [field: number, wireType: number, value: number | string][];
  readonly isBroken: boolean;
}

/** All fields of `bytes`; fails when reading does not end. */
function readAll(bytes: Uint8Array): Read {
  const reader = new ProtobufReader().over(bytes);
  const fields: Read['fields'] = [];
  while (reader.next()) {
    if (fields.length > bytes.length) assert.fail('the reader goes round and round');
    assert.isAtLeast(reader.at, 0);
    assert.isAtMost(reader.at, bytes.length);
    fields.push([reader.field, reader.wireType, reader.wireType === 2 ? Buffer.from(reader.content()).toString('hex') : reader.value]);
  }
  return { fields, isBroken: reader.isBroken };
}

describe('protobuf', () => {
  it('writes and reads varints as protobufjs does, up to 2^53', () => {
    const numbers = fc.oneof(
      fc.maxSafeNat(),
      fc.integer({ min: 0, max: 52 }).chain((bits) => fc.constantFrom(2 ** bits, 2 ** bits - 1, 2 ** bits + 1)),
    );
    fc.assert(
      fc.property(numbers, (number) => {
        const writer = new ProtobufWriter(1);
        writer.varint(number);
        assert.deepEqual(Buffer.from(writer.view()), Buffer.from(protobuf.Writer.create().uint64(number).finish()));
        const reader = new ProtobufReader().over(writer.view());
        assert.equal(reader.varint(), number);
        assert.isFalse(reader.isBroken);
      }),
    );
  });

  it('writes messages of every length, nested, in front of which a length of 1 to 4 bytes goes', () => {
    for (const length of [0, 1, 125, 126, 127, 128, 129, 16_380, 16_383, 16_384, 2_097_150, 2_097_152]) {
      const writer = new ProtobufWriter(4);
      writer.message(3, () => writer.message(1, () => writer.raw(Buffer.alloc(length, 0x61))));
      writer.uint(4, 5);
      const expected = protobuf.Writer.create();
      expected.uint32(26).fork().uint32(10).bytes(Buffer.alloc(length, 0x61)).ldelim().uint32(32).uint32(5);
      assert.isTrue(Buffer.from(expected.finish()).equals(writer.view()), `length ${length}`);
    }
  });

  it('reads a negative int64 down to -2^53', () => {
    for (const seconds of [-1, -62_135_596_800, Number.MIN_SAFE_INTEGER]) {
      const writer = new ProtobufWriter();
      writer.timestamp(1, seconds, 0);
      assert.deepEqual(readAll(writer.view().subarray(2)), { fields: [[1, 0, seconds]], isBroken: false });
    }
  });

  const broken: [what: string, hex: string][] = [
    ['a tag without its value', '08'],
    ['field number 0', '00 00'],
    ['a length beyond the end', '0a 05 61'],
    ['a length that is negative', `0a f5 ff ff ff ff ff ff ff ff 01`],
    ['a length beyond 2^53', '0a ff ff ff ff ff ff ff 7f'],
    ['an integer of eleven bytes', '08 80 80 80 80 80 80 80 80 80 80 01'],
    ['an integer beyond 2^53', '08 ff ff ff ff ff ff ff 7f'],
    ['an integer that is cut', '08 ff ff'],
    ['a group', '0b 0c'],
    ['wire type 6', '0e'],
    ['a tag of more than 32 bits', '8a 80 80 80 10 01 61'],
    ['a negative tag', 'f8 ff ff ff ff ff ff ff ff 01 00'],
    ['a fixed64 that is cut', '09 00 00'],
    ['a fixed32 that is cut', '0d 00 00'],
  ];
  for (const [what, hex] of broken) {
    it(`calls ${what} broken`, () => {
      assert.deepEqual(readAll(bytesOf(hex)), { fields: [], isBroken: true });
    });
  }

  it('steps over fixed32 and fixed64', () => {
    assert.deepEqual(
      readAll(bytesOf('09 0102030405060708 0d 01020304 10 05')).fields.map(([field]) => field),
      [1, 1, 2],
    );
  });

  it('never leaves its range, never throws and always ends, whatever the bytes', () => {
    const varint = fc
      .bigInt({ min: 0n, max: 2n ** 64n - 1n })
      .map((value) => Array.from(protobuf.Writer.create().uint64(value.toString()).finish()));
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      varint,
      fc.constantFrom([0x0a], [0x08], [0xff], bytesOf('f5ffffffffffffffff01')),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => void readAll(Buffer.from(pieces.flatMap((each) => [...each])))),
      { numRuns: 1000 },
    );
  });
});
