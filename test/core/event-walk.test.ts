import { isUtf8 } from 'node:buffer';
import { assert } from 'chai';
import fc from 'fast-check';
import { decodeEvent, encodeEvent, encodeSummary } from '../../core/event-codec.ts';
import type { EventFields } from '../../core/event-input.ts';
import { EventWalk, hashKey } from '../../core/event-walk.ts';
import { EVENT_TYPE, LIMITS } from '../../core/event.ts';
import { ProtobufReader, ProtobufWriter } from '../../core/protobuf.ts';
import { eventFields, SECONDS } from '../support/event-arbitraries.ts';

const FACTS = { id: 's-1', site: 'plant-7', labels: undefined, receivedTime: '2026-11-22T08:00:00Z' };
const FIELDS: EventFields = {
  type: 'a.B',
  severity: 9,
  node: 'n',
  component: 'c',
  object: { kind: 'K' },
  message: 'hi',
  attributes: '{}',
  time: { seconds: 5, nanos: 0 },
  dedupKey: '',
  traceparent: '00-1',
};

function encode(fields: EventFields): Buffer {
  const writer = new ProtobufWriter();
  encodeEvent(writer, fields);
  return Buffer.from(writer.view());
}

function built(build: (writer: ProtobufWriter) => void): Buffer {
  const writer = new ProtobufWriter();
  build(writer);
  return Buffer.from(writer.view());
}

/** A good type and severity, then what `build` adds. */
const begun = (build: (writer: ProtobufWriter) => void): Buffer =>
  built((writer) => {
    writer.text(1, 'a.B');
    writer.uint(2, 9);
    build(writer);
  });

/** The reason, or 'taken'. A fresh walk, so that nothing is left of another event. */
function verdict(bytes: Uint8Array, options: { isForwarded?: boolean } = {}): string {
  const walk = new EventWalk();
  return walk.over(bytes, 0, bytes.length, options) ? 'taken' : walk.reason;
}

/** The dedup key: its ranges, as hex. */
function keyOf(bytes: Uint8Array, start = 0, end = bytes.length): string {
  const walk = new EventWalk();
  assert.isTrue(walk.over(bytes, start, end), walk.reason);
  const hex = (from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString('hex');
  return `${hex(walk.keyStart, walk.keyEnd)}|${hex(walk.moreStart, walk.moreEnd)}`;
}

function hashOf(bytes: Uint8Array, seed: number, start = 0, end = bytes.length): number {
  const walk = new EventWalk();
  assert.isTrue(walk.over(bytes, start, end), walk.reason);
  return hashKey(bytes, walk, seed);
}

/** That an accepted event keeps every limit, by another road than the walk: field by field, and decoded. */
function assertWithinLimits(bytes: Buffer): void {
  assert.isAtMost(bytes.length, LIMITS.eventBytes);
  const limits = new Map<number, number>([
    [1, LIMITS.typeChars],
    [3, 0],
    [4, 0],
    [5, LIMITS.messageBytes],
    [6, LIMITS.attributesBytes],
    [8, LIMITS.nameBytes],
    [9, LIMITS.traceparentBytes],
  ]);
  const reader = new ProtobufReader().over(bytes);
  let before = 0;
  while (reader.next()) {
    assert.isAtLeast(reader.field, before);
    before = reader.field;
    const limit = limits.get(reader.field);
    if (limit === undefined) continue;
    assert.equal(reader.wireType, 2);
    if (limit > 0) assertText(reader.content(), limit);
    else {
      const inner = new ProtobufReader().over(reader.content());
      while (inner.next()) assertText(inner.content(), LIMITS.nameBytes);
      assert.isFalse(inner.isBroken);
    }
  }
  assert.isFalse(reader.isBroken);
  const event = decodeEvent(bytes, FACTS);
  assert.match(event.type, EVENT_TYPE);
  void event.attributes;
}

function assertText(content: Uint8Array, bytesMax: number): void {
  assert.isTrue(isUtf8(content), 'accepted text is UTF-8');
  assert.isAtMost(content.length, bytesMax);
}

/** Takes or refuses with a reason, and whatever it takes is within the limits. */
function probe(bytes: Buffer): void {
  for (const isForwarded of [false, true]) {
    const said = verdict(bytes, { isForwarded });
    assert.isNotEmpty(said);
    if (said === 'taken') assertWithinLimits(bytes);
  }
}

describe('event-walk', () => {
  it('takes everything that a recorder encodes', () => {
    fc.assert(
      fc.property(eventFields, (fields) => {
        const bytes = encode(fields);
        const walk = new EventWalk();
        assert.isTrue(walk.over(bytes, 0, bytes.length), walk.reason);
        assert.equal(walk.severity, fields.severity);
        const inner = built((writer) => writer.timestamp(7, fields.time.seconds, fields.time.nanos)).subarray(2);
        assert.deepEqual(bytes.subarray(walk.timeStart, walk.timeEnd), inner);
        assertWithinLimits(bytes);
      }),
      { numRuns: 300 },
    );
  });

  it('walks where it is told to: nothing around the event matters', () => {
    fc.assert(
      fc.property(
        eventFields,
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.integer(),
        (fields, left, right, seed) => {
          const bytes = encode(fields);
          const around = Buffer.concat([left, bytes, right]);
          assert.equal(keyOf(around, left.length, left.length + bytes.length), keyOf(bytes));
          assert.equal(hashOf(around, seed, left.length, left.length + bytes.length), hashOf(bytes, seed));
        },
      ),
    );
  });

  it('carries nothing over from the event before', () => {
    const walk = new EventWalk();
    const keyed = encode({ ...FIELDS, dedupKey: 'k' });
    const bare = begun(() => {});
    assert.isFalse(walk.over(Buffer.from('ff', 'hex'), 0, 1));
    assert.isTrue(walk.over(keyed, 0, keyed.length));
    assert.isTrue(walk.over(bare, 0, bare.length));
    assert.deepEqual(
      [walk.reason, walk.severity, walk.keyStart, walk.keyEnd, walk.moreStart, walk.moreEnd, walk.timeStart, walk.timeEnd],
      ['', 9, 0, bare.length, 0, 0, 0, 0],
    );
  });

  describe('the dedup key', () => {
    it('is fields 1 to 6, or 1 to 3 and 8, to the byte', () => {
      const head = '0a03612e42' + '1009' + '1a060a016e120163';
      const rest = '22030a014b' + '2a026869' + '32027b7d';
      assert.equal(keyOf(encode(FIELDS)), `${head}${rest}|`);
      assert.equal(keyOf(encode({ ...FIELDS, dedupKey: 'k' })), `${head}|42016b`);
      assert.equal(keyOf(begun(() => {})), '0a03612e421009|');
      assert.equal(keyOf(begun((writer) => writer.string(8, 'k'))), '0a03612e421009|42016b');
      assert.equal(keyOf(begun((writer) => writer.text(8, ''))), '0a03612e421009|', 'an empty dedupKey is none');
    });

    it('is the same exactly when the fields in it are', () => {
      const inKey = ({ type, severity, node, component, object, message, attributes, dedupKey }: EventFields): string =>
        JSON.stringify(
          dedupKey === ''
            ? [type, severity, node, component, object ?? null, message, attributes]
            : [type, severity, node, component, dedupKey, 0],
        );
      // Few values, so that pairs are often equal.
      const few = fc.record({
        type: fc.constantFrom('a', 'a.B'),
        severity: fc.constantFrom(9, 21),
        node: fc.constantFrom('', 'n', 'nc'),
        component: fc.constantFrom('', 'c', 'nc'),
        object: fc.constantFrom(undefined, {}, { kind: 'K' }, { name: 'K' }),
        message: fc.constantFrom('', 'm', 'a'),
        attributes: fc.constantFrom('', '{}', 'm'),
        time: fc.record({ seconds: fc.nat(), nanos: fc.constant(0) }),
        dedupKey: fc.constantFrom('', '', 'k', 'm'),
        traceparent: fc.constantFrom('', 't'),
      });
      fc.assert(
        fc.property(few, few, fc.integer(), (one, other, seed) => {
          const [a, b] = [encode(one), encode(other)];
          assert.equal(keyOf(a) === keyOf(b), inKey(one) === inKey(other));
          if (keyOf(a) === keyOf(b)) assert.equal(hashOf(a, seed), hashOf(b, seed));
        }),
        { numRuns: 1000 },
      );
    });

    it('spreads over 32 bits, and differently under another seed', () => {
      const events = Array.from({ length: 2000 }, (_, at) => encode({ ...FIELDS, message: `port ${at} is down` }));
      const hashes = events.map((bytes) => hashOf(bytes, 1));
      assert.isAtLeast(new Set(hashes).size, 1999);
      for (const hash of hashes) assert.isTrue(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32);
      const buckets = new Set(hashes.map((hash) => hash & 0xff));
      assert.isAtLeast(buckets.size, 250, 'the low bits alone tell them apart: a table indexes by them');
      assert.isAtMost(events.filter((bytes, at) => hashOf(bytes, 2) === hashes[at]).length, 1);
    });
  });

  describe('refuses, with the reason,', () => {
    const name = (text: string) => (writer: ProtobufWriter) => writer.message(3, () => writer.string(1, text));
    const cases: [what: string, bytes: Buffer, reason: string][] = [
      ['nothing', Buffer.alloc(0), 'type must be given, got nothing'],
      ['no type', built((writer) => writer.uint(2, 9)), 'type must be given, got nothing'],
      [
        'an empty type',
        built((writer) => writer.text(1, '')),
        'type must be a letter, then up to 127 letters, digits or any of _ . -, got ""',
      ],
      [
        'a type that begins with a digit',
        built((writer) => writer.text(1, '9a')),
        'type must be a letter, then up to 127 letters, digits or any of _ . -, got "9a"',
      ],
      [
        'a type with a space',
        built((writer) => writer.text(1, 'a b')),
        'type must be a letter, then up to 127 letters, digits or any of _ . -, got "a b"',
      ],
      [
        'a type of 129',
        built((writer) => writer.text(1, 't'.repeat(129))),
        `type must be a letter, then up to 127 letters, digits or any of _ . -, got "${'t'.repeat(60)}"`,
      ],
      [
        'a type that is no UTF-8',
        built((writer) => writer.bytes(1, Buffer.from([0x61, 0xff]))),
        'type must be a letter, then up to 127 letters, digits or any of _ . -, got "a\ufffd"',
      ],
      ['no severity', built((writer) => writer.text(1, 'a')), 'severity must be 5, 9, 13, 17 or 21, got nothing'],
      [
        'another severity',
        built((writer) => {
          writer.text(1, 'a');
          writer.uint(2, 10);
        }),
        'severity must be 5, 9, 13, 17 or 21, got 10',
      ],
      ['severity 0, written out', Buffer.from('0a01611000', 'hex'), 'severity must be 5, 9, 13, 17 or 21, got 0'],
      ['a message over its limit', begun((writer) => writer.string(5, 'x'.repeat(8193))), 'message must be at most 8192 bytes, got 8193'],
      [
        'a message that is no UTF-8',
        begun((writer) => writer.bytes(5, Buffer.from([0x61, 0xc3]))),
        'message must be UTF-8, got other bytes',
      ],
      [
        'an encoded surrogate',
        begun((writer) => writer.bytes(5, Buffer.from([0xed, 0xa0, 0x80]))),
        'message must be UTF-8, got other bytes',
      ],
      [
        'attributes over their limit',
        begun((writer) => writer.string(6, 'x'.repeat(32_769))),
        'attributes must be at most 32768 bytes, got 32769',
      ],
      [
        'attributes that are no UTF-8',
        begun((writer) => writer.bytes(6, Buffer.from([0xff]))),
        'attributes must be UTF-8, got other bytes',
      ],
      ['a dedup key over its limit', begun((writer) => writer.string(8, 'x'.repeat(257))), 'dedup_key must be at most 256 bytes, got 257'],
      [
        'a traceparent over its limit',
        begun((writer) => writer.string(9, 'x'.repeat(257))),
        'traceparent must be at most 256 bytes, got 257',
      ],
      ['a node over its limit', begun(name('é'.repeat(129))), 'source field 1 must be at most 256 bytes, got 258'],
      [
        'a node that is no UTF-8',
        begun((writer) => writer.message(3, () => writer.bytes(1, Buffer.from([0x80])))),
        'source field 1 must be UTF-8, got other bytes',
      ],
      [
        'an unknown name over the limit',
        begun((writer) => writer.message(4, () => writer.string(9, 'x'.repeat(257)))),
        'object field 9 must be at most 256 bytes, got 257',
      ],
      ['a number in a source', begun((writer) => writer.message(3, () => writer.uint(1, 7))), 'source must hold strings, field 1 is none'],
      [
        'a source that is none',
        begun((writer) => writer.bytes(3, Buffer.from([0x0a, 0x05]))),
        'source must be a message, got bytes that are none',
      ],
      [
        'an object that is none',
        begun((writer) => writer.bytes(4, Buffer.from([0xff]))),
        'object must be a message, got bytes that are none',
      ],
      [
        'a source that leads back to its beginning',
        begun((writer) => writer.bytes(3, Buffer.from('0af5ffffffffffffffff01', 'hex'))),
        'source must be a message, got bytes that are none',
      ],
      [
        'a time before year 1',
        begun((writer) => writer.timestamp(7, SECONDS.min - 1, 0)),
        `time must be a Timestamp from year 1 to 9999, got ${SECONDS.min - 1} seconds and 0 nanos`,
      ],
      [
        'a time after year 9999',
        begun((writer) => writer.timestamp(7, SECONDS.max + 1, 0)),
        `time must be a Timestamp from year 1 to 9999, got ${SECONDS.max + 1} seconds and 0 nanos`,
      ],
      [
        'a second of a billion and one nanoseconds',
        begun((writer) => writer.timestamp(7, 0, 1_000_000_000)),
        `time must be a Timestamp from year 1 to 9999, got 0 seconds and 1000000000 nanos`,
      ],
      [
        'seconds that are text',
        begun((writer) => writer.message(7, () => writer.string(1, 'x'))),
        `time must be a Timestamp from year 1 to 9999, got bytes that are none`,
      ],
      [
        'a time that is none',
        begun((writer) => writer.bytes(7, Buffer.from([0x08]))),
        `time must be a Timestamp from year 1 to 9999, got bytes that are none`,
      ],
      [
        'a wrong order',
        built((writer) => {
          writer.uint(2, 9);
          writer.text(1, 'a');
        }),
        'event fields must be in the order of their numbers, got 1 after 2',
      ],
      [
        'a field twice',
        begun((writer) => {
          writer.string(5, 'a');
          writer.string(5, 'b');
        }),
        'event field 5 must appear once, got two',
      ],
      [
        'an unknown field twice',
        begun((writer) => {
          writer.uint(30, 1);
          writer.uint(30, 2);
        }),
        'event field 30 must appear once, got two',
      ],
      ['a type that is a number', built((writer) => writer.uint(1, 7)), 'event field 1 must have wire type 2, got 0'],
      [
        'a severity that is text',
        built((writer) => {
          writer.text(1, 'a');
          writer.string(2, '9');
        }),
        'event field 2 must have wire type 0, got 2',
      ],
      ['a time that is a number', begun((writer) => writer.uint(7, 7)), 'event field 7 must have wire type 2, got 0'],
      ['what is cut', encode(FIELDS).subarray(0, -1), 'event must be a fondaco.v1.Event message, got bytes that are none'],
      [
        'a group',
        begun((writer) => writer.raw(Buffer.from([0x5b, 0x5c]))),
        'event must be a fondaco.v1.Event message, got bytes that are none',
      ],
      [
        'what is larger than an event',
        begun((writer) => writer.bytes(500, Buffer.alloc(65_536))),
        'event must be at most 65536 bytes, got 65548',
      ],
    ];
    for (const [what, bytes, reason] of cases) {
      it(what, () => {
        assert.equal(verdict(bytes), reason);
      });
    }

    for (let field = 16; field <= 27; field++) {
      it(`field ${field} from an agent, not from another proxy`, () => {
        const isNumber = field >= 20 && field <= 22;
        const bytes = begun((writer) => (isNumber ? writer.uint(field, 7) : writer.bytes(field, Buffer.alloc(0))));
        assert.equal(verdict(bytes), `event field ${field} is set by proxies, an agent must leave it out`);
        assert.equal(verdict(bytes, { isForwarded: true }), 'taken');
        const wrong = begun((writer) => (isNumber ? writer.bytes(field, Buffer.alloc(0)) : writer.uint(field, 7)));
        assert.equal(
          verdict(wrong, { isForwarded: true }),
          `event field ${field} must have wire type ${isNumber ? '0, got 2' : '2, got 0'}`,
        );
      });
    }

    const forwarded: [what: string, bytes: Buffer, reason: string][] = [
      ['an id that is no UTF-8', begun((writer) => writer.bytes(16, Buffer.from([0xff]))), 'event field 16 must be UTF-8, got other bytes'],
      [
        'labels that are none',
        begun((writer) => writer.bytes(18, Buffer.from([0x0a]))),
        'event field 18 must be a message, got bytes that are none',
      ],
      [
        'a label that is no UTF-8',
        begun((writer) => writer.message(18, () => writer.bytes(2, Buffer.from([0xff])))),
        'event field 18 field 2 must be UTF-8, got other bytes',
      ],
      [
        'a received time out of range',
        begun((writer) => writer.timestamp(19, SECONDS.max + 1, 0)),
        `event field 19 must be a Timestamp from year 1 to 9999, got ${SECONDS.max + 1} seconds and 0 nanos`,
      ],
      [
        'a negative count',
        begun((writer) => writer.raw(Buffer.from('a801ffffffffffffffffff01', 'hex'))),
        'event field 21 must not be negative, got -1',
      ],
      [
        'labels that lead back',
        begun((writer) => writer.raw(Buffer.from('9201f4ffffffffffffffff01', 'hex'))),
        'event must be a fondaco.v1.Event message, got bytes that are none',
      ],
    ];
    for (const [what, bytes, reason] of forwarded) {
      it(`${what}, from another proxy too`, () => {
        assert.equal(verdict(bytes, { isForwarded: true }), reason);
      });
    }
  });

  it('takes what another proxy forwards: a summary, labels and sites more than once', () => {
    const time = Buffer.from('0805', 'hex');
    const bytes = built((writer) => {
      encodeEvent(writer, FIELDS);
      writer.string(16, 's-1.1');
      for (const label of ['a', 'b']) writer.message(18, () => writer.string(1, label));
      writer.uint(20, 1);
      for (const site of ['far', 'near']) writer.string(26, site);
      for (const byte of [1, 2]) writer.bytes(28, Buffer.alloc(16, byte));
    });
    assert.equal(verdict(bytes, { isForwarded: true }), 'taken');
    const summary = built((writer) => {
      encodeEvent(writer, FIELDS);
      encodeSummary(writer, { id: 's-1.1', revision: 1, count: 3, added: 2, firstTime: time, lastTime: time, summarizes: 's-1' });
    });
    assert.equal(verdict(summary, { isForwarded: true }), 'taken');
  });

  it('takes fields of a later version, for others to read', () => {
    assert.equal(
      verdict(
        begun((writer) => {
          writer.uint(10, 1);
          writer.string(15, 'x');
          writer.string(29, 'y');
        }),
      ),
      'taken',
    );
  });

  describe('fuzz: never throws, always ends, and never takes what is over a limit or no UTF-8', () => {
    it('random bytes', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => probe(Buffer.from(bytes))),
        { numRuns: 2000 },
      );
    });

    it('events with bytes changed, cut out, put in', () => {
      const edit = fc.record({ at: fc.nat(), remove: fc.nat({ max: 4 }), insert: fc.uint8Array({ maxLength: 4 }) });
      fc.assert(
        fc.property(eventFields, fc.array(edit, { minLength: 1, maxLength: 4 }), (fields, edits) => {
          let bytes = encode({ ...fields, message: fields.message.slice(0, 100), attributes: fields.attributes.slice(0, 100) });
          for (const { at, remove, insert } of edits) {
            const start = at % bytes.length;
            bytes = Buffer.concat([bytes.subarray(0, start), insert, bytes.subarray(start + remove)]);
            if (bytes.length === 0) return;
          }
          probe(bytes);
        }),
        { numRuns: 2000 },
      );
    });

    it('well-framed messages of any fields, types and contents, one after the other', () => {
      const content = fc.oneof(
        fc.uint8Array({ maxLength: 12 }),
        fc.constantFrom('a', 'é', 'x'.repeat(256), 'x'.repeat(257), 'x'.repeat(8193), '{}').map((value) => Buffer.from(value)),
        fc
          .tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom(0, 1, 2, 5), fc.uint8Array({ maxLength: 10 }))
          .map(([field, type, rest]) => Buffer.from([field * 8 + type, ...rest])),
        fc
          .constantFrom('0805', '08ffffffffffffff0f', '0a00', '1801', '18ffffffffffffff0f0a00', '0af5ffffffffffffffff01')
          .map((hex) => Buffer.from(hex, 'hex')),
      );
      const field = fc.record({
        number: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 30 })),
        wireType: fc.oneof({ weight: 6, arbitrary: fc.constant(2) }, { weight: 1, arbitrary: fc.constantFrom(0, 1, 5) }),
        content,
        value: fc.nat({ max: 30 }),
      });
      const message = fc.uniqueArray(field, { maxLength: 8, selector: ({ number }) => number }).map((fields) =>
        begun((writer) => {
          for (const { number, wireType, content: bytes, value } of fields.sort((a, b) => a.number - b.number)) {
            if (number <= 2) continue;
            if (wireType === 2) writer.bytes(number, bytes);
            else {
              writer.tag(number, wireType);
              if (wireType === 0) writer.varint(value);
              else writer.raw(Buffer.alloc(wireType === 1 ? 8 : 4));
            }
          }
        }),
      );
      let taken = 0;
      fc.assert(
        fc.property(message, (bytes) => {
          probe(bytes);
          if (verdict(bytes) === 'taken') taken++;
        }),
        { numRuns: 3000 },
      );
      assert.isAbove(taken, 100, 'enough of them get past the walk to say something about what is behind it');
    });
  });
});
