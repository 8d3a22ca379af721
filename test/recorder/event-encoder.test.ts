import { assert } from 'chai';
import fc from 'fast-check';
import { encodeEvent } from '../../core/event-codec.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import { EventEncoder } from '../../recorder/event-encoder.ts';
import { eventFields } from '../support/event-arbitraries.ts';

describe('recorder/event-encoder', () => {
  it('writes the frame and the bytes that core/event-codec would, within the room it asked for', () => {
    const encoder = new EventEncoder({ node: 'n', component: 'c' });
    fc.assert(
      fc.property(eventFields, fc.boolean(), fc.nat(5), (event, isOwn, at) => {
        const fields = isOwn ? { ...event, node: 'n', component: 'c' } : event;
        const buffer = Buffer.alloc(at + encoder.room(fields), 0xee);
        for (const _again of [1, 2]) {
          const end = encoder.encode(buffer, at, fields);
          assert.isAtMost(end - at, encoder.room(fields));
          const body = new ProtobufWriter();
          encodeEvent(body, fields);
          const framed = new ProtobufWriter();
          framed.bytes(6, body.view());
          assert.isTrue(buffer.subarray(at, end).equals(framed.view()));
        }
      }),
      { numRuns: 400 },
    );
  });
});
