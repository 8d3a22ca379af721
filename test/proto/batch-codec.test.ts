import { readFileSync } from 'node:fs';
import { assert } from 'chai';
import fc from 'fast-check';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import type { Batch, BatchReply, LossCause, LostRange } from '../../core/batch.ts';
import { encodeEvent } from '../../core/event-codec.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import { uuidBytes } from '../../core/uuid.ts';
import {
  BATCH_LIMITS,
  decodeBatch,
  decodeBatchOrError,
  decodeReply,
  encodeBatch,
  encodeOutgoing,
  encodeReply,
  frameEvents,
} from '../../proto/batch-codec.ts';
import { packageDefinition } from '../../proto/load.ts';

type Plain = Record<string, unknown>;
/** protobufjs, as proto-loader wraps it. */
const batchType = packageDefinition['fondaco.v1.Batch'] as MessageTypeDefinition<Plain, Plain>;
const replyType = packageDefinition['fondaco.v1.BatchReply'] as MessageTypeDefinition<Plain, Plain>;
const eventType = packageDefinition['fondaco.v1.Event'] as MessageTypeDefinition<Plain, Plain>;

const series = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes));
const seq = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat().map((n) => Math.floor(n / 4)),
);
const name = fc.string({ unit: 'grapheme', maxLength: 20 });
const cause = fc.constantFrom<LossCause>('memory-full', 'spool-full', 'corrupt', 'killed');
const lostAfter = (after: number): fc.Arbitrary<LostRange[]> =>
  fc.array(fc.tuple(fc.constant(1), fc.nat(500), cause), { maxLength: 5 }).map((steps) => {
    let at = after;
    return steps.map(([gap, length, why]) => {
      const first = at + gap;
      at = first + length;
      return { first, last: at, cause: why };
    });
  });
const batches: fc.Arbitrary<Batch> = seq.chain((after) =>
  fc.record({
    series,
    lane: fc.constantFrom('urgent' as const, 'normal' as const),
    after: fc.constant(after),
    settled: fc.nat(1000).map((less) => Math.max(0, after - less)),
    settledBy: fc.oneof(fc.constant(''), fc.uuid()),
    isGone: fc.boolean(),
    lost: lostAfter(after),
    events: fc.array(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 6 },
    ),
    isClosing: fc.boolean(),
    sender: fc.record({ node: name, component: name }),
  }),
);
const replies: fc.Arbitrary<BatchReply> = fc
  .record({
    series,
    settled: seq,
    journal: fc.uuid(),
    expected: fc.option(fc.integer({ min: 1, max: 2 ** 40 }), { nil: undefined }),
    throttleMs: fc.option(fc.nat(100_000), { nil: undefined }),
    rejections: fc.array(fc.record({ seq, reason: fc.string({ maxLength: 400 }) }), { maxLength: 4 }),
  })
  .map(({ expected, throttleMs, ...reply }) => ({
    ...reply,
    ...(expected === undefined ? {} : { expected }),
    ...(throttleMs === undefined ? {} : { throttleMs }),
  }));

describe('proto/batch-codec', () => {
  it('writes a batch as protobufjs does', () => {
    fc.assert(fc.property(batches, (batch) => assert.deepEqual(encodeBatch(batch), batchType.serialize(plainBatch(batch)))));
  });

  it('reads a batch that protobufjs wrote', () => {
    fc.assert(
      fc.property(batches, (batch) => {
        const decoded = decodeBatch(batchType.serialize(plainBatch(batch)));
        assert.deepEqual(
          { ...decoded, series: Buffer.from(decoded.series), events: decoded.events.map((event) => Buffer.from(event)) },
          batch,
        );
      }),
    );
  });

  it('writes and reads a reply as protobufjs does', () => {
    fc.assert(
      fc.property(replies, (reply) => {
        const bytes = encodeReply(reply);
        assert.deepEqual(bytes, replyType.serialize(plainReply(reply)));
        const decoded = decodeReply(bytes);
        assert.deepEqual({ ...decoded, series: Buffer.from(decoded.series) }, reply);
      }),
    );
  });

  it('copies no event when it reads', () => {
    const bytes = encodeBatch({ ...example, events: [Buffer.from('abc')] });
    assert.strictEqual(decodeBatch(bytes).events[0]!.buffer, bytes.buffer);
  });

  it('takes framed slices wherever they were cut', () => {
    const events = [Buffer.from('a'), Buffer.alloc(200, 'b'), Buffer.from('')];
    const slices = [frameEvents(events.slice(0, 1)).slices[0]!, frameEvents(events.slice(1)).slices[0]!];
    assert.deepEqual(encodeOutgoing({ ...example, events: { slices, count: 3 } }), encodeBatch({ ...example, events }));
  });

  it('reads any bytes to the end, as a batch or as REJECTED', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const found = decodeBatchOrError(bytes);
        assert.isTrue('series' in found || found.code === 'REJECTED');
      }),
    );
  });

  const bad: [what: string, batch: Partial<Batch>, says: RegExp][] = [
    ['a series that is no UUID', { series: Buffer.alloc(15) }, /series must be 16 bytes, got 15/],
    ['a lost range before `after`', { lost: [lost(5, 9)] }, /lost\[0\]\.first must be greater than 7/],
    ['lost ranges out of order', { lost: [lost(8, 30), lost(10, 12)] }, /lost\[1\]\.first must be greater than 30/],
    ['overlapping lost ranges', { lost: [lost(8, 30), lost(30, 31)] }, /lost\[1\]\.first must be greater than 30/],
    ['a lost range that ends before it begins', { lost: [lost(20, 10)] }, /lost\[0\] must be first and last/],
    [
      'a lost range that the events do not reach',
      { events: [Buffer.from('x')], lost: [lost(10, 12)] },
      /lost\[0\]\.first must be at most 9, .*got 10/,
    ],
    ['more settled than `after`', { settled: 8 }, /settled must be at most `after`, which is 7, got 8/],
    ['an unknown cause', { lost: [{ first: 9, last: 9, cause: 'bored' as LossCause }] }, /lost\[0\]\.cause must be one of .*got "bored"/],
    ['too many events', { events: Array.from({ length: BATCH_LIMITS.events + 1 }, () => Buffer.from('x')) }, /events must be at most/],
    ['too many lost ranges', { lost: Array.from({ length: 1001 }, (_, i) => lost(10 + 2 * i, 10 + 2 * i)) }, /lost must be at most 1000/],
    ['a sender of unlimited length', { sender: { node: 'n'.repeat(257), component: '' } }, /sender_node must be at most 256 bytes/],
    [
      'seqs beyond 2^53',
      { after: Number.MAX_SAFE_INTEGER, events: [Buffer.from('x')] },
      /after must be such that every seq is below 2\^53/,
    ],
  ];
  for (const [what, fields, says] of bad) {
    it(`refuses ${what}`, () => {
      const bytes = batchType.serialize(plainBatch({ ...example, ...fields }));
      assert.throws(() => decodeBatch(bytes), says);
      assert.match((decodeBatchOrError(bytes) as Error).message, /^\[REJECTED\] /);
    });
  }

  it('refuses a wrong wire type and cut bytes', () => {
    assert.throws(() => decodeBatch(Buffer.from([0x08, 0x01])), /series must be length-delimited bytes, got wire type 0/);
    assert.throws(() => decodeBatch(encodeBatch({ ...example, events: [Buffer.alloc(9)] }).subarray(0, -12)), /must be/);
  });

  describe('golden bytes', () => {
    it('of a batch', () => assert.strictEqual(encodeBatch(goldenBatch()).toString('hex'), golden('batch')));
    it('of a reply', () => assert.strictEqual(encodeReply(goldenReply).toString('hex'), golden('reply')));
    it('of an event', () => {
      assert.strictEqual(goldenEvent().toString('hex'), golden('event'));
      const read = eventType.deserialize(goldenEvent());
      assert.include(read, { type: 'cluster.LeaderElected', severity: 9, message: 'node n2 leads term 7 — ok', dedup_key: 'leader' });
      assert.deepEqual(eventType.serialize(present(read)), goldenEvent());
    });
  });
});

const example: Batch = {
  series: uuidBytes('0199e0c4-7b1e-7abc-8def-0123456789ab')!,
  lane: 'normal',
  after: 7,
  settled: 3,
  settledBy: '',
  isGone: false,
  lost: [],
  events: [],
  isClosing: false,
  sender: { node: '', component: '' },
};

const goldenReply: BatchReply = {
  series: example.series,
  settled: 300,
  journal: '0199e0c4-0000-7000-8000-000000000001',
  expected: 301,
  throttleMs: 1500,
  rejections: [{ seq: 299, reason: 'type must be given, got nothing' }],
};

function goldenBatch(): Batch {
  return {
    ...example,
    lane: 'urgent',
    settledBy: goldenReply.journal,
    isGone: true,
    isClosing: true,
    lost: [lost(9, 300)],
    events: [goldenEvent(), Buffer.from('0a0161', 'hex')],
    sender: { node: 'n2', component: 'cmd' },
  };
}

function goldenEvent(): Buffer {
  const writer = new ProtobufWriter();
  encodeEvent(writer, {
    type: 'cluster.LeaderElected',
    severity: 9,
    node: 'n2',
    component: 'cmd',
    object: { kind: 'Node', name: 'n2' },
    message: 'node n2 leads term 7 — ok',
    attributes: '{"term":7}',
    time: { seconds: 1_795_334_400, nanos: 123_456_000 },
    dedupKey: 'leader',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  });
  return writer.view();
}

function golden(what: string): string {
  return readFileSync(new URL(`../golden/${what}.hex`, import.meta.url), 'utf8').replace(/\s/g, '');
}

function lost(first: number, last: number): LostRange {
  return { first, last, cause: 'memory-full' };
}

function plainBatch(batch: Batch): Plain {
  return present({
    series: batch.series,
    after: batch.after,
    settled_by: batch.settledBy,
    gone: batch.isGone,
    lost: batch.lost,
    events: batch.events,
    closing: batch.isClosing,
    lane: batch.lane === 'urgent' ? 1 : 0,
    sender_node: batch.sender.node,
    sender_component: batch.sender.component,
    settled: batch.settled,
  });
}

function plainReply(reply: BatchReply): Plain {
  const { throttleMs } = reply;
  const throttle =
    throttleMs === undefined ? {} : { throttle: { seconds: Math.floor(throttleMs / 1000), nanos: (throttleMs % 1000) * 1e6 } };
  return present({
    series: reply.series,
    settled: reply.settled,
    journal: reply.journal,
    expected: reply.expected ?? 0,
    rejections: reply.rejections,
    ...throttle,
  });
}

/** Without what proto3 leaves out: protobufjs writes a default that is given. The series is always written. */
function present(message: Plain): Plain {
  const isPresent = ([, value]: [string, unknown]): boolean =>
    Buffer.isBuffer(value) || Array.isArray(value) ? value.length > 0 : value !== 0 && value !== '' && value !== false && value !== null;
  const entries = Object.entries(message).filter(isPresent);
  return Object.fromEntries(entries.map(([key, value]) => [key, presentValue(value)]));
}

function presentValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(presentValue);
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) ? present(value as Plain) : value;
}
