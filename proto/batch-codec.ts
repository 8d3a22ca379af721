/**
 * The bytes of `fondaco.v1.Batch` and `fondaco.v1.BatchReply` (proto/fondaco/v1/service.proto), by hand and without copying events:
 *
 *     Batch = header (fields 1 to 5) · events (field 6, each "0x32 length bytes") · trailer (fields 7 to 12)
 *
 * A sender keeps its events framed like that, so a batch is a header, a few large slices and a trailer, whatever the number of events.
 * A receiver gets views of the message that came. Equal to what protobufjs writes and reads (test/proto/batch-codec.test.ts).
 */
import type { Batch, BatchReply, LossCause, LostRange, Rejection } from '../core/batch.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import { LENGTH, ProtobufReader, ProtobufWriter, VARINT } from '../core/protobuf.ts';

/** Limits of one batch. A message is at most 4 MiB, which is gRPC's own limit. */
export const BATCH_LIMITS = { bytes: 4 * 1024 * 1024, events: 10_000, lost: 1_000, textBytes: 256 } as const;

/** The tag of `repeated bytes events = 6`. */
export const EVENT_TAG = 0x32;

/** Events as they stand in a Batch: slices of whole frames, each frame a tag 0x32, a varint length and the event's bytes. */
export interface FramedEvents {
  readonly slices: readonly Uint8Array[];
  readonly count: number;
}

/** A batch whose events are framed already. */
export type OutgoingBatch = Omit<Batch, 'events'> & { readonly events: FramedEvents };

const LOSS_CAUSES: ReadonlySet<string> = new Set<LossCause>([
  'memory-full',
  'spool-full',
  'corrupt',
  'restored',
  'rejected',
  'budget',
  'age',
  'purged',
  'killed',
]);

/** Encodes a batch, copying its events once, into the message. */
export function encodeOutgoing(batch: OutgoingBatch): Buffer {
  const frame = new ProtobufWriter(256);
  frame.bytes(1, batch.series);
  frame.uint(2, batch.after);
  frame.string(3, batch.settledBy);
  frame.uint(4, batch.isGone ? 1 : 0);
  for (const range of batch.lost) encodeLost(frame, range);
  const headerBytes = frame.length;
  frame.uint(7, batch.isClosing ? 1 : 0);
  frame.uint(8, batch.lane === 'urgent' ? 1 : 0);
  frame.string(9, batch.sender.node);
  frame.string(10, batch.sender.component);
  frame.uint(11, batch.settled);
  frame.string(12, batch.forwarder ?? '');

  let total = frame.length;
  for (const slice of batch.events.slices) total += slice.length;
  const message = Buffer.allocUnsafe(total);
  frame.buffer.copy(message, 0, 0, headerBytes);
  let at = headerBytes;
  for (const slice of batch.events.slices) {
    message.set(slice, at);
    at += slice.length;
  }
  frame.buffer.copy(message, at, headerBytes, frame.length);
  return message;
}

/** Encodes a batch of unframed events. */
export function encodeBatch(batch: Batch): Buffer {
  return encodeOutgoing({ ...batch, events: frameEvents(batch.events) });
}

/** Frames events, so that they can be sent as they are. */
export function frameEvents(events: readonly Uint8Array[]): FramedEvents {
  const writer = new ProtobufWriter(events.reduce((sum, event) => sum + event.length + 6, 16));
  for (const event of events) writer.bytes(6, event);
  return { slices: events.length === 0 ? [] : [writer.view()], count: events.length };
}

function encodeLost(writer: ProtobufWriter, range: LostRange): void {
  writer.message(5, () => {
    writer.uint(1, range.first);
    writer.uint(2, range.last);
    writer.string(3, range.cause);
  });
}

/**
 * Decodes a batch and checks all that does not need the receiver's state. The events are views of `bytes`; what is in them is not looked at.
 * Throws REJECTED with field, expected and got. Unknown fields are passed over.
 */
export function decodeBatch(bytes: Uint8Array): Batch {
  const lost: LostRange[] = [];
  const events: Uint8Array[] = [];
  const sender = { node: '', component: '' };
  let series: Uint8Array = new Uint8Array(0);
  let after = 0;
  let settled = 0;
  let forwarder = '';
  let settledBy = '';
  let isGone = false;
  let isClosing = false;
  let lane = 0;
  const reader = new ProtobufReader().over(bytes);
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        series = content(reader, 'series');
        break;
      case 2:
        after = uint(reader, 'after');
        break;
      case 3:
        settledBy = text(reader, 'settled_by');
        break;
      case 4:
        isGone = uint(reader, 'gone') !== 0;
        break;
      case 5:
        lost.push(decodeLost(content(reader, 'lost'), lost.length));
        break;
      case 6:
        if (events.length === BATCH_LIMITS.events) throw wrong('events', `at most ${BATCH_LIMITS.events}`, 'more');
        events.push(content(reader, 'events'));
        break;
      case 7:
        isClosing = uint(reader, 'closing') !== 0;
        break;
      case 8:
        lane = uint(reader, 'lane');
        break;
      case 9:
        sender.node = text(reader, 'sender_node');
        break;
      case 10:
        sender.component = text(reader, 'sender_component');
        break;
      case 11:
        settled = uint(reader, 'settled');
        break;
      case 12:
        forwarder = text(reader, 'forwarder');
        break;
    }
  }
  if (reader.isBroken) throw new FondacoError('REJECTED', 'batch must be a fondaco.v1.Batch message, got bytes that are none');
  if (series.length !== 16) throw wrong('series', '16 bytes', `${series.length}`);
  if (lane > 1) throw wrong('lane', '0 (normal) or 1 (urgent)', `${lane}`);
  if (settled > after) throw wrong('settled', `at most \`after\`, which is ${after}`, `${settled}`);
  checkCounts(after, lost, events.length);
  const batch: Batch = {
    series,
    lane: lane === 1 ? 'urgent' : 'normal',
    after,
    settled,
    settledBy,
    isGone,
    lost,
    events,
    isClosing,
    sender,
  };
  return forwarder === '' ? batch : { ...batch, forwarder };
}

/** A message that cannot be decoded comes as the error, because grpc-js would tell the sender nothing but INTERNAL. */
export function decodeBatchOrError(bytes: Uint8Array): Batch | FondacoError {
  try {
    return decodeBatch(bytes);
  } catch (error) {
    if (isFondacoError(error)) return error;
    return new FondacoError('REJECTED', `batch cannot be read, ${asError(error).message}`, { cause: error });
  }
}

function decodeLost(bytes: Uint8Array, index: number): LostRange {
  let first = 0;
  let last = 0;
  let cause = '';
  const reader = new ProtobufReader().over(bytes);
  while (reader.next()) {
    if (reader.field === 1) first = uint(reader, `lost[${index}].first`);
    else if (reader.field === 2) last = uint(reader, `lost[${index}].last`);
    else if (reader.field === 3) cause = text(reader, `lost[${index}].cause`);
  }
  if (reader.isBroken) throw wrong(`lost[${index}]`, 'a LostRange message', 'bytes that are none');
  if (first < 1 || last < first) throw wrong(`lost[${index}]`, 'first and last with 1 <= first <= last', `${first} to ${last}`);
  if (!LOSS_CAUSES.has(cause)) throw wrong(`lost[${index}].cause`, `one of ${[...LOSS_CAUSES].join(', ')}`, JSON.stringify(cause));
  return { first, last, cause: cause as LossCause };
}

function checkCounts(after: number, lost: readonly LostRange[], events: number): void {
  if (events > BATCH_LIMITS.events) throw wrong('events', `at most ${BATCH_LIMITS.events}`, `${events}`);
  if (lost.length > BATCH_LIMITS.lost) throw wrong('lost', `at most ${BATCH_LIMITS.lost} ranges`, `${lost.length}`);
  let before = after;
  let between = 0;
  for (const [index, range] of lost.entries()) {
    if (range.first <= before) {
      throw wrong(`lost[${index}].first`, `greater than ${before}, the ranges in order and after \`after\``, `${range.first}`);
    }
    // What lies between two ranges are events; there have to be as many.
    between += range.first - before - 1;
    if (between > events)
      throw wrong(`lost[${index}].first`, `at most ${range.first - (between - events)}, as far as the events reach`, `${range.first}`);
    before = range.last;
  }
  if (!Number.isSafeInteger(before + events)) throw wrong('after', 'such that every seq is below 2^53', `${after}`);
}

/** Encodes a reply. */
export function encodeReply(reply: BatchReply): Buffer {
  const writer = new ProtobufWriter(96);
  writer.bytes(1, reply.series);
  writer.uint(2, reply.settled);
  writer.string(3, reply.journal);
  writer.uint(4, reply.expected ?? 0);
  const { throttleMs } = reply;
  if (throttleMs !== undefined) {
    writer.timestamp(5, Math.floor(throttleMs / 1000), Math.round((throttleMs % 1000) * 1_000_000)); // a Duration has the same fields
  }
  for (const rejection of reply.rejections) {
    writer.message(6, () => {
      writer.uint(1, rejection.seq);
      writer.string(2, rejection.reason);
    });
  }
  return Buffer.from(writer.view());
}

/** Decodes a reply. Throws REJECTED with field, expected and got. */
export function decodeReply(bytes: Uint8Array): BatchReply {
  const rejections: Rejection[] = [];
  let series: Uint8Array = new Uint8Array(0);
  let settled = 0;
  let journal = '';
  let expected = 0;
  let throttleMs: number | undefined;
  const reader = new ProtobufReader().over(bytes);
  while (reader.next()) {
    if (reader.field === 1) series = content(reader, 'series');
    else if (reader.field === 2) settled = uint(reader, 'settled');
    else if (reader.field === 3) journal = text(reader, 'journal');
    else if (reader.field === 4) expected = uint(reader, 'expected');
    else if (reader.field === 5) throttleMs = durationMs(content(reader, 'throttle'));
    else if (reader.field === 6) rejections.push(decodeRejection(content(reader, 'rejections'), rejections.length));
  }
  if (reader.isBroken) throw new FondacoError('REJECTED', 'reply must be a fondaco.v1.BatchReply message, got bytes that are none');
  if (series.length !== 16) throw wrong('series', '16 bytes', `${series.length}`);
  return {
    series,
    settled,
    journal,
    rejections,
    ...(expected > 0 ? { expected } : {}),
    ...(throttleMs === undefined ? {} : { throttleMs }),
  };
}

function decodeRejection(bytes: Uint8Array, index: number): Rejection {
  let seq = 0;
  let reason = '';
  const reader = new ProtobufReader().over(bytes);
  while (reader.next()) {
    if (reader.field === 1) seq = uint(reader, `rejections[${index}].seq`);
    // Not limited like a name: a reason quotes what was wrong.
    else if (reader.field === 2) reason = Buffer.from(content(reader, `rejections[${index}].reason`)).toString();
  }
  if (reader.isBroken) throw wrong(`rejections[${index}]`, 'a Rejection message', 'bytes that are none');
  return { seq, reason };
}

function durationMs(bytes: Uint8Array): number {
  let seconds = 0;
  let nanos = 0;
  const reader = new ProtobufReader().over(bytes);
  while (reader.next()) {
    if (reader.field === 1) seconds = uint(reader, 'throttle.seconds');
    else if (reader.field === 2) nanos = uint(reader, 'throttle.nanos');
  }
  return seconds * 1000 + nanos / 1_000_000;
}

function uint(reader: ProtobufReader, field: string): number {
  if (reader.wireType !== VARINT) throw wrong(field, 'a varint', `wire type ${reader.wireType}`);
  if (reader.isBroken || reader.value < 0)
    throw wrong(field, 'an integer from 0 to 2^53 - 1', reader.isBroken ? 'more' : `${reader.value}`);
  return reader.value;
}

function content(reader: ProtobufReader, field: string): Uint8Array {
  if (reader.wireType !== LENGTH) throw wrong(field, 'length-delimited bytes', `wire type ${reader.wireType}`);
  return reader.content();
}

function text(reader: ProtobufReader, field: string): string {
  const bytes = content(reader, field);
  if (bytes.length > BATCH_LIMITS.textBytes) throw wrong(field, `at most ${BATCH_LIMITS.textBytes} bytes`, `${bytes.length}`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}

function wrong(field: string, expected: string, got: string): FondacoError {
  return new FondacoError('REJECTED', `${field} must be ${expected}, got ${got}`);
}
