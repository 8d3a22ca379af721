import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { DecodedEvent, decodeEvent, encodeEvent, encodeSummary, type EntryFacts } from '../../core/event-codec.ts';
import { parseEvent, type EventFields } from '../../core/event-input.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import { severityOf } from '../../core/severity.ts';
import { formatTime, parseTime } from '../../core/time.ts';
import { eventFields, SECONDS, text } from '../support/event-arbitraries.ts';
import { sharedLines } from '../support/fixtures.ts';

const FACTS: EntryFacts = { id: 'series-17', site: 'plant-7', labels: { region: 'eu' }, receivedTime: '2026-11-22T08:00:00Z' };
const FIELDS: EventFields = {
  type: 'cluster.LeaderElected',
  severity: 9,
  node: 'n2',
  component: 'cmd',
  object: { kind: 'Node', name: 'n2' },
  message: 'node n2 leads term 7',
  attributes: '{"term":7}',
  time: { seconds: 1_795_334_400, nanos: 123_456_000 },
  dedupKey: '',
  traceparent: '',
};

function encode(fields: EventFields): Buffer {
  const writer = new ProtobufWriter(16);
  encodeEvent(writer, fields);
  return Buffer.from(writer.view());
}

const decode = (bytes: Uint8Array): DecodedEvent => decodeEvent(Buffer.from(bytes), FACTS);

describe('event-codec', () => {
  const root = new protobuf.Root();
  root.resolvePath = (_, target) =>
    target.startsWith('google/') ? target : fileURLToPath(new URL(`../../proto/${target.replace(/^.*proto\//, '')}`, import.meta.url));
  root.loadSync('fondaco/v1/event.proto', { keepCase: true });
  const Event = root.lookupType('fondaco.v1.Event');

  /** The message as protobufjs wants it: what is at its default is left out. */
  function oracle(fields: EventFields): Record<string, unknown> {
    const { type, severity, node, component, object, message, attributes, time, dedupKey, traceparent } = fields;
    const given = (members: Record<string, unknown>): Record<string, unknown> =>
      Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined && value !== '' && value !== 0));
    return given({
      type,
      severity,
      source: given({ node, component }),
      object: object && given({ ...object }),
      message,
      attributes: attributes === '' ? '' : Buffer.from(attributes),
      time: given({ ...time }),
      dedup_key: dedupKey,
      traceparent,
    });
  }

  it('writes byte for byte what protobufjs writes', () => {
    fc.assert(
      fc.property(eventFields, (fields) => {
        const expected = Event.encode(Event.create(oracle(fields))).finish();
        assert.equal(encode(fields).toString('hex'), Buffer.from(expected).toString('hex'));
      }),
      { numRuns: 300 },
    );
  });

  it('reads what it wrote, every field as it was given', () => {
    fc.assert(
      fc.property(eventFields, (fields) => {
        const event = decode(encode(fields));
        const time = formatTime(fields.time.seconds, fields.time.nanos);
        assert.equal(event.type, fields.type);
        assert.equal(event.severity, severityOf(fields.severity));
        assert.deepEqual(event.source, { site: 'plant-7', node: fields.node, component: fields.component });
        const object = fields.object && Object.fromEntries(Object.entries(fields.object).filter(([, value]) => value !== ''));
        assert.deepEqual(event.object, object);
        assert.equal(event.message, fields.message);
        assert.equal(event.attributesText, fields.attributes === '' ? '{}' : fields.attributes);
        assert.deepEqual([event.time, event.firstTime, event.lastTime], [time, time, time]);
        assert.equal(event.traceparent ?? '', fields.traceparent);
        assert.deepEqual([event.id, event.receivedTime, event.labels], [FACTS.id, FACTS.receivedTime, FACTS.labels]);
        assert.deepEqual([event.revision, event.count, event.added, event.summarizes], [0, 1, 1, undefined]);
      }),
    );
  });

  it('carries each line of nasty.ndjson unchanged', function () {
    const lines = sharedLines('nasty.ndjson');
    if (!lines) this.skip(); // the property above covers the same ground
    assert.lengthOf(lines, 394);
    for (const line of lines) {
      const input = JSON.parse(line) as {
        type: string;
        severity: string;
        message: string;
        time: string;
        source: object;
        object: object;
        attributes: object;
      };
      const event = decode(encode(parseEvent(line, { node: 'other', component: 'other' }, 0)));
      assert.equal(event.type, input.type);
      assert.equal(event.severity, input.severity);
      assert.equal(event.message, input.message);
      assert.deepEqual(parseTime(event.time), parseTime(input.time));
      assert.deepEqual(event.source, { site: 'plant-7', node: '', component: '', ...input.source });
      assert.deepEqual(event.object, input.object);
      assert.deepEqual(event.attributes, input.attributes);
      assert.include(line, `"attributes": ${event.attributesText}`, 'the text itself, not what JSON.parse makes of it');
    }
  });

  it('reads what proxies add, as protobufjs writes it', () => {
    const bytes = Event.encode({
      ...oracle(FIELDS),
      id: 'abc-1.2',
      site: 'far',
      labels: { a: 'b', ['__proto__']: 'own', '': '' },
      received_time: { seconds: 1, nanos: 5 },
      revision: 2,
      count: 1000,
      added: 2 ** 40,
      first_time: { seconds: -1 },
      last_time: { seconds: SECONDS.max },
      summarizes: 'abc-1',
      via: ['far', '', 'near'],
      foreign: { source: '//x', id: '7' },
    }).finish();
    const event = decode(bytes);
    assert.deepEqual(event.source, { site: 'far', node: 'n2', component: 'cmd' });
    assert.deepEqual(
      [event.id, event.receivedTime, event.revision, event.count, event.added, event.firstTime, event.lastTime, event.summarizes],
      ['abc-1.2', '1970-01-01T00:00:01.000000005Z', 2, 1000, 2 ** 40, '1969-12-31T23:59:59Z', '9999-12-31T23:59:59Z', 'abc-1'],
    );
    assert.deepEqual(Object.entries(event.labels!), [...Object.entries({ a: 'b' }), ['__proto__', 'own'], ['', '']]);
    assert.deepEqual(event.via, ['far', '', 'near']);
    assert.deepEqual(event.foreign, { source: '//x', id: '7' });
  });

  it('reads a summary as its first occurrence and what was counted', () => {
    const writer = new ProtobufWriter();
    encodeEvent(writer, FIELDS);
    const time = (seconds: number): Uint8Array => {
      const inner = new ProtobufWriter();
      inner.timestamp(1, seconds, 0);
      return inner.view().subarray(2);
    };
    encodeSummary(writer, {
      id: 's-17.1',
      revision: 1,
      count: 41,
      added: 40,
      firstTime: time(100),
      lastTime: time(200),
      summarizes: 's-17',
    });
    const event = decode(writer.view());
    assert.equal(event.message, FIELDS.message);
    assert.deepEqual(
      [event.id, event.revision, event.count, event.added, event.firstTime, event.lastTime, event.summarizes],
      ['s-17.1', 1, 41, 40, '1970-01-01T00:01:40Z', '1970-01-01T00:03:20Z', 's-17'],
    );
    const asProtobufjs = Event.toObject(Event.decode(writer.view()), { longs: Number });
    assert.deepInclude(asProtobufjs, { id: 's-17.1', revision: 1, count: 41, added: 40, summarizes: 's-17' });
  });

  it('lets a later value of a field replace an earlier one, and passes over fields that it does not know', () => {
    const writer = new ProtobufWriter();
    encodeEvent(writer, FIELDS);
    writer.uint(12, 7);
    writer.string(500, 'from a later version');
    writer.timestamp(7, 5, 0);
    writer.string(5, 'again');
    const event = decode(writer.view());
    assert.deepEqual([event.message, event.time, event.type], ['again', '1970-01-01T00:00:05Z', FIELDS.type]);
  });

  describe('attributes', () => {
    const withAttributes = (attributes: string): DecodedEvent => decode(encode({ ...FIELDS, attributes }));

    for (const malformed of [
      '{"cut',
      'text',
      '[1]',
      '"s"',
      '7',
      'null',
      '{} {}',
      '{"n":1e400}',
      `{"x":${'['.repeat(32)}${']'.repeat(32)}}`,
    ]) {
      it(`that are ${malformed} are delivered as text, marked`, () => {
        const event = withAttributes(malformed);
        assert.deepEqual(event.attributes, { 'fondaco.malformed': malformed });
        assert.deepEqual(JSON.parse(event.attributesText), { 'fondaco.malformed': malformed });
      });
    }

    it('are valid JSON text of an object whatever their bytes were', () => {
      fc.assert(
        fc.property(fc.oneof(text(200), fc.json()), (value) => {
          const event = withAttributes(value);
          assert.deepEqual(JSON.parse(event.attributesText), event.attributes);
        }),
      );
    });

    it('are in what JSON.stringify makes of an event; the journals that it has been in are not', () => {
      const event = Object.assign(new DecodedEvent(), { id: 'a-1', message: 'm', journals: ['j'], attributesText: '{"a":[1.10]}' });
      const shown = JSON.parse(JSON.stringify({ event })) as { event: object };
      assert.deepInclude(shown.event, { id: 'a-1', message: 'm', attributes: { a: [1.1] } });
      assert.doesNotHaveAnyKeys(shown.event, ['journals', 'attributesText']);
    });

    it('are parsed once, and again when their text is replaced', () => {
      const event = withAttributes('{"a":1}');
      assert.equal(event.attributes, event.attributes);
      event.attributesText = '{"a":2}';
      assert.deepEqual(event.attributes, { a: 2 });
    });
  });

  it('replaces a lone surrogate, as every UTF-8 encoder does', () => {
    assert.equal(decode(encode({ ...FIELDS, message: 'a\ud800b' })).message, 'a\ufffdb');
    assert.equal(decode(encode({ ...FIELDS, message: `${'a'.repeat(50)}\udfff` })).message, `${'a'.repeat(50)}\ufffd`);
  });
});
