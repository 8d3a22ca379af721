/**
 * Whatever a sender in another language may get wrong, at a real proxy: what it is told (status, field, expected, got), that nothing of it
 * is stored, that the events around it are, and that the same process takes the next good event and delivers it.
 */
import { status } from '@grpc/grpc-js';
import { expect } from 'chai';
import type { Batch } from '../../core/batch.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import { uuidV7Bytes } from '../../core/uuid.ts';
import { encodeBatch } from '../../proto/batch-codec.ts';
import { eventBytes } from '../support/dispatch-kit.ts';
import { RawClient, type Outcome } from '../support/raw-client.ts';
import { Site } from '../support/site.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const { INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED } = status;

const batchOf = (events: readonly Uint8Array[], more: Partial<Batch> = {}): Buffer =>
  encodeBatch({
    series: uuidV7Bytes(Date.now()),
    lane: 'normal',
    after: 0,
    settled: 0,
    settledBy: '',
    isGone: false,
    lost: [],
    isClosing: false,
    sender: { node: 'n1', component: 'raw' },
    ...more,
    events,
  });

const built = (build: (writer: ProtobufWriter) => void): Buffer => {
  const writer = new ProtobufWriter();
  build(writer);
  return Buffer.from(writer.view());
};
/** A batch in good order with one more field at its end. */
const and = (build: (writer: ProtobufWriter) => void): Buffer => Buffer.concat([batchOf([EVENT]), built(build)]);
/** An event's type and severity, then what `build` adds. */
const begun = (build: (writer: ProtobufWriter) => void): Buffer =>
  built((writer) => {
    writer.text(1, 'a.B');
    writer.uint(2, 9);
    build(writer);
  });
const EVENT = eventBytes({ message: 'in a bad batch' });
const lost = (...ranges: [first: number, last: number][]): Partial<Batch> => ({
  lost: ranges.map(([first, last]) => ({ first, last, cause: 'corrupt' })),
});

/** What is wrong with a whole batch, and what its sender is told. */
const BATCHES: [what: string, bytes: Buffer, code: number, details: string | RegExp][] = [
  ['an empty message', Buffer.alloc(0), INVALID_ARGUMENT, 'series must be 16 bytes, got 0'],
  ['bytes that are none', Buffer.from('ffffffffff', 'hex'), INVALID_ARGUMENT, /^batch must be a fondaco.v1.Batch message, got/],
  ['a truncated message', batchOf([EVENT]).subarray(0, 40), INVALID_ARGUMENT, /^batch must be a fondaco.v1.Batch message, got/],
  ['a series of 15 bytes', batchOf([EVENT], { series: Buffer.alloc(15, 1) }), INVALID_ARGUMENT, 'series must be 16 bytes, got 15'],
  ['a series that is a number', built((writer) => writer.uint(1, 7)), INVALID_ARGUMENT, /^series must be length-delimited bytes, got wire/],
  ['an event that is a number', and((writer) => writer.uint(6, 7)), INVALID_ARGUMENT, /^events must be length-delimited bytes, got wire/],
  ['`after` that is text', and((writer) => writer.text(2, '7')), INVALID_ARGUMENT, 'after must be a varint, got wire type 2'],
  ['`after` beyond 2^53', batchOf([EVENT], { after: Number.MAX_SAFE_INTEGER }), INVALID_ARGUMENT, /^after must be such that every seq is/],
  ['a lane unknown', and((writer) => writer.uint(8, 2)), INVALID_ARGUMENT, 'lane must be 0 (normal) or 1 (urgent), got 2'],
  ['more settled than sent', and((writer) => writer.uint(11, 3)), INVALID_ARGUMENT, 'settled must be at most `after`, which is 0, got 3'],
  ['a lost seq 0', batchOf([], lost([0, 4])), INVALID_ARGUMENT, 'lost[0] must be first and last with 1 <= first <= last, got 0 to 4'],
  [
    'a lost range backwards',
    batchOf([], lost([3, 2])),
    INVALID_ARGUMENT,
    'lost[0] must be first and last with 1 <= first <= last, got 3 to 2',
  ],
  [
    'lost ranges that overlap',
    batchOf([], lost([1, 5], [5, 9])),
    INVALID_ARGUMENT,
    'lost[1].first must be greater than 5, the ranges in order and after `after`, got 5',
  ],
  [
    'a lost range that was settled',
    batchOf([], { ...lost([3, 4]), after: 10 }),
    INVALID_ARGUMENT,
    'lost[0].first must be greater than 10, the ranges in order and after `after`, got 3',
  ],
  [
    'a lost range beyond the events',
    batchOf([EVENT], lost([9, 9])),
    INVALID_ARGUMENT,
    'lost[0].first must be at most 2, as far as the events reach, got 9',
  ],
  [
    'a cause unknown',
    batchOf([], { lost: [{ first: 1, last: 1, cause: 'moths' as never }] }),
    INVALID_ARGUMENT,
    /^lost\[0\]\.cause must be one of .*, got "moths"$/,
  ],
  [
    'a sender of 300 bytes',
    batchOf([EVENT], { sender: { node: 'n'.repeat(300), component: '' } }),
    INVALID_ARGUMENT,
    'sender_node must be at most 256 bytes, got 300',
  ],
  ['10,001 events', batchOf(Array.from({ length: 10_001 }, () => EVENT)), INVALID_ARGUMENT, 'events must be at most 10000, got more'],
  ['a message of 5 MiB', batchOf([Buffer.alloc(5 * MIB)]), RESOURCE_EXHAUSTED, /larger than max/],
];

const TYPE = 'type must be a letter, then up to 127 letters, digits or any of _ . -, got';
const utf8 = Buffer.from([0x61, 0xff, 0xfe]);

/** What is wrong with an event, and the reason in the reply. */
const EVENTS: [what: string, bytes: Uint8Array, reason: string | RegExp][] = [
  ['nothing', Buffer.alloc(0), 'type must be given, got nothing'],
  ['text', Buffer.from('not an event'), /^event .* must be|^event must be a fondaco.v1.Event message, got/],
  ['a truncated event', EVENT.subarray(0, EVENT.length - 3), /^event must be a fondaco.v1.Event message, got/],
  ['a type that is not UTF-8', built((writer) => writer.bytes(1, utf8)), `${TYPE} "a\ufffd\ufffd"`],
  ['a type that begins with a digit', eventOf('9a', 9), `${TYPE} "9a"`],
  ['a type of 129 characters', eventOf('t'.repeat(129), 9), new RegExp(`^${TYPE} "t+`)],
  ['a type as a number', built((writer) => writer.uint(1, 5)), 'event field 1 must have wire type 2, got 0'],
  ['a severity unknown', eventOf('a.B', 7), 'severity must be 5, 9, 13, 17 or 21, got 7'],
  ['no severity', eventOf('a.B', 0), 'severity must be 5, 9, 13, 17 or 21, got nothing'],
  ['a message that is not UTF-8', begun((writer) => writer.bytes(5, utf8)), 'message must be UTF-8, got other bytes'],
  ['a message of 8,193 bytes', begun((writer) => writer.text(5, 'm'.repeat(8193))), 'message must be at most 8192 bytes, got 8193'],
  [
    'attributes of 32,769 bytes',
    begun((writer) => writer.text(6, ' '.repeat(32_769))),
    'attributes must be at most 32768 bytes, got 32769',
  ],
  [
    'an object name of 257 bytes',
    begun((writer) => writer.message(4, () => writer.text(2, 'n'.repeat(257)))),
    'object field 2 must be at most 256 bytes, got 257',
  ],
  ['a source that is no message', begun((writer) => writer.text(3, 'n1')), /^source must/],
  [
    'a time in year 10,000',
    begun((writer) => writer.timestamp(7, 253_402_300_800, 0)),
    'time must be a Timestamp from year 1 to 9999, got 253402300800 seconds and 0 nanos',
  ],
  [
    'a time with 10^9 nanos',
    begun((writer) => writer.timestamp(7, 0, 1_000_000_000)),
    'time must be a Timestamp from year 1 to 9999, got 0 seconds and 1000000000 nanos',
  ],
  ['two messages', begun((writer) => ['a', 'b'].forEach((text) => writer.text(5, text))), 'event field 5 must appear once, got two'],
  [
    'fields out of order',
    built((writer) => {
      writer.uint(2, 9);
      writer.text(1, 'a.B');
    }),
    'event fields must be in the order of their numbers, got 1 after 2',
  ],
  ['an id of its own', begun((writer) => writer.text(16, 'mine')), /^event field 16 is set by proxies, an agent must leave it out/],
  ['64 KiB and one byte', begun((writer) => writer.bytes(99, Buffer.alloc(65_537 - 12))), 'event must be at most 65536 bytes, got 65537'],
];

function eventOf(type: string, severity: number): Buffer {
  return built((writer) => {
    writer.text(1, type);
    writer.uint(2, severity);
  });
}

describe('bad gRPC input, at a real proxy', function () {
  this.timeout(30_000);
  let site: Site;
  let client: RawClient;
  let good = 0;

  before(async () => {
    site = await Site.start();
    client = new RawClient(site.proxy.address);
  });
  after(async () => {
    client.close();
    await site.end();
  });

  const accepted = async (): Promise<number> => (await site.proxy.ledger()).accepted.normal;
  /** The same process takes the next good event, and delivers it. */
  const expectAlive = async (): Promise<void> => {
    const message = `good ${++good}`;
    const { code, replies } = await client.unary(batchOf([eventBytes({ message })]));
    expect([code, replies[0]?.settled, replies[0]?.rejections]).to.deep.equal([0, 1, []]);
    await until(`${message} is delivered`, () => site.ops.book.events.at(-1)?.message === message);
  };
  const expectRefused = (outcome: Outcome, code: number, details: string | RegExp): void => {
    expect(outcome.code, outcome.details).to.equal(code);
    if (typeof details === 'string') expect(outcome.details).to.equal(details);
    else expect(outcome.details).to.match(details);
  };

  describe('a batch', () => {
    for (const [what, bytes, code, details] of BATCHES) {
      it(`${what}: refused, alone and in a stream; what came before it is stored, and nothing of it`, async () => {
        const before = await accepted();
        const isTooLarge = bytes.length > 4 * MIB;
        expectRefused(await client.unary(bytes), code, details);
        const streamed = await client.stream(batchOf([eventBytes({ message: `before ${what}` })]), bytes, batchOf([EVENT]));
        expectRefused(streamed, code, details);
        await expectAlive();
        // Of a message that is too large the transport says so at once, whatever came before it; that is stored, or is not, and was not answered.
        if (isTooLarge) expect(await accepted()).to.be.within(before + 1, before + 2);
        else {
          expect(streamed.replies.map(({ settled }) => settled)).to.deep.equal([1]);
          expect(await accepted()).to.equal(before + 2);
        }
      });
    }

    it('a method unknown: UNIMPLEMENTED, and the connection goes on', async () => {
      expectRefused(await client.unary(batchOf([EVENT]), 'fondaco.v1.EventService/Recrod'), UNIMPLEMENTED, /Recrod/);
      await expectAlive();
    });

    it('seqs that go too far: nothing is stored, and the reply says where to go on', async () => {
      const before = await accepted();
      for (const send of [() => client.unary(batchOf([EVENT], { after: 41 })), () => client.stream(batchOf([EVENT], { after: 41 }))]) {
        const { code, replies } = await send();
        expect([code, replies[0]?.expected, replies[0]?.settled]).to.deep.equal([0, 1, 0]);
      }
      expect(await accepted()).to.equal(before);
      await expectAlive();
    });
  });

  describe('an event', () => {
    for (const [what, bytes, reason] of EVENTS) {
      it(`${what}: rejected with its seq and why; the two around it are delivered`, async () => {
        const before = await site.proxy.ledger();
        for (const send of [client.unary.bind(client), client.stream.bind(client)]) {
          const around = ['before', 'after'].map((word) => eventBytes({ message: `${word} ${what}` }));
          const { code, replies, details } = await send(batchOf([around[0]!, bytes, around[1]!]));
          expect(code, details).to.equal(0);
          const [reply] = replies;
          expect([reply!.settled, reply!.rejections.map(({ seq }) => seq)]).to.deep.equal([3, [2]]);
          if (typeof reason === 'string') expect(reply!.rejections[0]!.reason).to.equal(reason);
          else expect(reply!.rejections[0]!.reason).to.match(reason);
        }
        const { accepted, rejected, isBalanced } = await site.proxy.ledger();
        expect([accepted.normal - before.accepted.normal, rejected - before.rejected, isBalanced]).to.deep.equal([4, 2, true]);
        await expectAlive();
        const messages = site.ops.book.events.map(({ message }) => message);
        for (const word of ['before', 'after']) expect(messages.filter((text) => text === `${word} ${what}`)).to.have.length(2);
      });
    }

    it('every rejection of this page is announced to the destination, once', async () => {
      const { rejected } = await site.proxy.ledger();
      expect(rejected).to.equal(EVENTS.length * 2);
      const announced = (): number =>
        site.ops.book
          .own('fondaco.Loss')
          .flatMap(({ attributes }) => (attributes as { losses: { cause: string; count: number }[] }).losses)
          .filter(({ cause }) => cause === 'rejected')
          .reduce((sum, { count }) => sum + count, 0);
      await until('all are announced', () => announced() >= rejected);
      expect(announced()).to.equal(rejected);
      expect(site.ops.book.problems({ isRepeatFree: true })).to.deep.equal([]);
    });
  });
});
