/**
 * Encodes an event and its frame straight into a chunk of memory: the same bytes as core/event-codec's `encodeEvent` (a property test says
 * so) behind the tag and the length that `repeated bytes events = 6` puts before them, so that a batch is made of whole chunks.
 *
 * What a program repeats is encoded once: type, severity and source as one prefix, and the time once per millisecond.
 */
import { FIELD } from '../core/event-codec.ts';
import type { EventFields } from '../core/event-input.ts';
import { OBJECT_FIELDS, type EventObject } from '../core/event.ts';
import { LENGTH, ProtobufWriter } from '../core/protobuf.ts';
import { EVENT_TAG } from '../proto/batch-codec.ts';

const PREFIXES_MAX = 1000;
/** Up to this length a loop over the characters is faster than a call into native code. */
const SHORT_CHARS = 40;
const tagOf = (field: number): number => field * 8 + LENGTH;

const OBJECT_TAG = tagOf(FIELD.object);
const MESSAGE_TAG = tagOf(FIELD.message);
const ATTRIBUTES_TAG = tagOf(FIELD.attributes);
const DEDUP_TAG = tagOf(FIELD.dedupKey);
const TRACE_TAG = tagOf(FIELD.traceparent);

export class EventEncoder {
  readonly #node: string;
  readonly #component: string;
  /** By type, then by severity number: fields 1 to 3 with the recorder's own source. */
  readonly #prefixes = new Map<string, Buffer[]>();
  readonly #scratch = new ProtobufWriter(256);
  #seconds = Number.NaN;
  #nanos = 0;
  #time: Buffer = Buffer.alloc(0);

  constructor(defaults: { readonly node: string; readonly component: string }) {
    this.#node = defaults.node;
    this.#component = defaults.component;
  }

  /** Room that the framed event needs at most, in bytes. */
  room(event: EventFields): number {
    let chars = event.type.length + event.node.length + event.component.length + event.dedupKey.length + event.traceparent.length;
    const { object } = event;
    if (object) for (const field of OBJECT_FIELDS) chars += object[field]?.length ?? 0;
    const long = event.message.length + event.attributes.length;
    // At most three bytes a character; a large event is measured, so that it does not claim three times its size.
    const longBytes = long < 1024 ? long * 3 : Buffer.byteLength(event.message) + Buffer.byteLength(event.attributes);
    return chars * 3 + longBytes + 96;
  }

  /** Writes the framed event at `at`; the buffer has `room` for it. Returns where it ends. */
  encode(buffer: Buffer, at: number, event: EventFields): number {
    const start = at + 3; // tag, and a length of two bytes, which fits most
    let end = this.#prefix(buffer, start, event);
    if (event.object) end = writeObject(buffer, end, event.object);
    if (event.message !== '') end = writeText(buffer, end, MESSAGE_TAG, event.message);
    if (event.attributes !== '') end = writeText(buffer, end, ATTRIBUTES_TAG, event.attributes);
    end = this.#writeTime(buffer, end, event.time.seconds, event.time.nanos);
    if (event.dedupKey !== '') end = writeText(buffer, end, DEDUP_TAG, event.dedupKey);
    if (event.traceparent !== '') end = writeText(buffer, end, TRACE_TAG, event.traceparent);
    return frame(buffer, at, start, end);
  }

  #prefix(buffer: Buffer, at: number, event: EventFields): number {
    const isOwn = event.node === this.#node && event.component === this.#component;
    let prefix = isOwn ? this.#prefixes.get(event.type)?.[event.severity] : undefined;
    if (!prefix) {
      prefix = this.#encodePrefix(event);
      if (isOwn) this.#keep(event, prefix);
    }
    buffer.set(prefix, at);
    return at + prefix.length;
  }

  #encodePrefix(event: EventFields): Buffer {
    const writer = this.#scratch;
    writer.reset();
    writer.text(FIELD.type, event.type);
    writer.uint(FIELD.severity, event.severity);
    writer.message(FIELD.source, () => {
      writer.string(1, event.node);
      writer.string(2, event.component);
    });
    return Buffer.from(writer.view());
  }

  #keep(event: EventFields, prefix: Buffer): void {
    let bySeverity = this.#prefixes.get(event.type);
    if (!bySeverity) {
      if (this.#prefixes.size >= PREFIXES_MAX) this.#prefixes.clear();
      this.#prefixes.set(event.type, (bySeverity = []));
    }
    bySeverity[event.severity] = prefix;
  }

  #writeTime(buffer: Buffer, at: number, seconds: number, nanos: number): number {
    if (seconds !== this.#seconds || nanos !== this.#nanos) {
      this.#scratch.reset();
      this.#scratch.timestamp(FIELD.time, seconds, nanos);
      this.#time = Buffer.from(this.#scratch.view());
      this.#seconds = seconds;
      this.#nanos = nanos;
    }
    const time = this.#time;
    for (let i = 0; i < time.length; i++) buffer[at + i] = time[i]!;
    return at + time.length;
  }
}

/** Puts tag and length before the event; moves it by a byte where two bytes are not what its length takes. */
function frame(buffer: Buffer, at: number, start: number, end: number): number {
  const bytes = end - start;
  buffer[at] = EVENT_TAG;
  const move = bytes < 0x80 ? -1 : bytes < 0x4000 ? 0 : 1;
  if (move !== 0) buffer.copyWithin(start + move, start, end);
  writeVarint(buffer, at + 1, bytes);
  return end + move;
}

function writeObject(buffer: Buffer, at: number, object: EventObject): number {
  // At most 5 × 259 bytes, so the length takes two bytes at most; it is written when it is known.
  let end = at + 2;
  for (let i = 0; i < OBJECT_FIELDS.length; i++) {
    const value = object[OBJECT_FIELDS[i]!];
    if (value) end = writeText(buffer, end, (i + 1) * 8 + LENGTH, value);
  }
  const bytes = end - at - 2;
  buffer[at] = OBJECT_TAG;
  if (bytes >= 0x80) {
    buffer.copyWithin(at + 3, at + 2, end);
    end++;
  }
  writeVarint(buffer, at + 1, bytes);
  return end;
}

function writeText(buffer: Buffer, at: number, tag: number, text: string): number {
  buffer[at] = tag;
  const { length } = text;
  if (length <= SHORT_CHARS) {
    const start = at + 2;
    let i = 0;
    for (; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) break;
      buffer[start + i] = code;
    }
    // Three bytes a character at most, so the length fits one byte either way.
    const bytes = i === length ? length : buffer.write(text, start, 'utf8');
    buffer[at + 1] = bytes;
    return start + bytes;
  }
  // Written behind a length of two bytes, the usual one; the room was reckoned with more.
  const bytes = buffer.write(text, at + 3, 'utf8');
  const move = bytes < 0x80 ? -1 : bytes < 0x4000 ? 0 : 1;
  if (move !== 0) buffer.copyWithin(at + 3 + move, at + 3, at + 3 + bytes);
  writeVarint(buffer, at + 1, bytes);
  return at + 3 + move + bytes;
}

function writeVarint(buffer: Buffer, at: number, value: number): void {
  while (value >= 0x80) {
    buffer[at++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  buffer[at] = value;
}
