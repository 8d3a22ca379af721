import { assert } from 'chai';
import fc from 'fast-check';
import { defineCatalog } from '../../core/catalog.ts';
import { completeEvent, typeOf } from '../../core/complete-event.ts';
import { encodeEvent, FIELD } from '../../core/event-codec.ts';
import { parseEvent } from '../../core/event-input.ts';
import { EventWalk } from '../../core/event-walk.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import { TypeRules } from '../../core/type-rules.ts';

const PORT = defineCatalog('port', { Down: { severity: 'warn', dedupFields: ['object', 'attributes.port'] }, Up: {} });
const types = new TypeRules([PORT], { isClosed: false });
const at = Date.UTC(2026, 10, 22);
const where = { node: 'n', component: 'c' };

function encoded(event: object, rules?: TypeRules): Uint8Array {
  const writer = new ProtobufWriter();
  encodeEvent(writer, parseEvent(JSON.stringify(event), { ...where, types: rules }, at));
  return Uint8Array.from(writer.view());
}

/** The same without its severity. */
function bare(bytes: Uint8Array): Uint8Array {
  const typeEnd = 2 + bytes[1]!;
  assert.equal(bytes[typeEnd], FIELD.severity * 8);
  return Buffer.concat([bytes.subarray(0, typeEnd), bytes.subarray(typeEnd + 2)]);
}

describe('what catalogs add to the bytes of an event', () => {
  it('is what they add to an event that is given as JSON', () => {
    const event = { type: 'port.Down', message: 'm', object: { name: 'sw' }, attributes: { port: 7, n: 1 }, traceparent: '00' };
    const sent = bare(encoded({ ...event, severity: 'info' }));
    assert.deepEqual([...completeEvent(sent, types)], [...encoded(event, types)]);
  });

  it('is nothing where the event says it, or nobody knows', () => {
    const events = [
      { type: 'port.Down', severity: 'info', message: 'm', dedupKey: 'k' },
      { type: 'port.Up', severity: 'info', message: 'm' },
      { type: 'un.Known', severity: 'info', message: 'm' },
    ];
    for (const event of events) {
      const bytes = encoded(event);
      assert.strictEqual(completeEvent(bytes, types), bytes);
    }
    const unknown = bare(encoded({ type: 'port.Up', severity: 'info', message: 'm' }));
    assert.strictEqual(completeEvent(unknown, types), unknown);
  });

  it('leaves acceptance what it has to say of malformed events', () => {
    const walk = new EventWalk();
    const down = Buffer.from('0a09706f72742e446f776e', 'hex');
    const cases: [hex: string, says: string][] = [
      ['1000', 'severity must be 5, 9, 13, 17 or 21, got 0'],
      ['1063', 'severity must be 5, 9, 13, 17 or 21, got 99'],
      ['2a05', 'event must be a fondaco.v1.Event message, got bytes that are none'],
      ['2a016d10091009', 'event fields must be in the order of their numbers, got 2 after 5'],
    ];
    for (const [hex, says] of cases) {
      const bytes = completeEvent(Buffer.concat([down, Buffer.from(hex, 'hex')]), types);
      assert.isFalse(walk.over(bytes, 0, bytes.length));
      assert.equal(walk.reason, says);
    }
    assert.equal(typeOf(Buffer.from('1009', 'hex')), '');
    assert.equal(typeOf(new Uint8Array(0)), '');
  });

  it('never throws, whatever comes', () => {
    const prefix = fc.constantFrom(Buffer.alloc(0), Buffer.from('0a09706f72742e446f776e', 'hex'));
    fc.assert(
      fc.property(prefix, fc.uint8Array({ maxLength: 60 }), (head, tail) => {
        completeEvent(Buffer.concat([head, tail]), types);
      }),
      { numRuns: 2000 },
    );
  });
});
