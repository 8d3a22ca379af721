/**
 * Acceptance's look at an event's bytes: framing, limits, type, severity, UTF-8, and where its dedup key lies. One pass, no copies,
 * no strings; results are left in one `EventWalk` that is used again for the next event.
 *
 * The dedup key is one or two ranges of the bytes themselves, tags and lengths included, so it is length-prefixed by nature:
 * fields 1 to 6 (type, severity, source, object, message, attributes), or fields 1 to 3 and 8 where a dedupKey is given.
 */
import { isUtf8 } from 'node:buffer';
import { FIELD } from './event-codec.ts';
import { LIMITS } from './event.ts';
import { LENGTH, ProtobufReader, VARINT } from './protobuf.ts';
import { severityOf } from './severity.ts';
import { isTimestamp } from './time.ts';

export class EventWalk {
  /** Why the event is rejected: field, expected, got. Empty if it is fine. */
  reason = '';
  severity = 0;
  /** The dedup key: [keyStart, keyEnd) and [moreStart, moreEnd) of the bytes. */
  keyStart = 0;
  keyEnd = 0;
  moreStart = 0;
  moreEnd = 0;
  /** Where the content of the time field lies: an encoded Timestamp. */
  timeStart = 0;
  timeEnd = 0;

  readonly #outer = new ProtobufReader();
  readonly #inner = new ProtobufReader();

  /** Walks over bytes[start, end). False if the event is to be rejected, with the reason in `reason`. */
  over(bytes: Uint8Array, start: number, end: number, { isForwarded = false } = {}): boolean {
    this.reason = '';
    const bytesMax = LIMITS.eventBytes + (isForwarded ? LIMITS.envelopeBytes : 0);
    if (end - start > bytesMax) return this.#reject(`event must be at most ${bytesMax} bytes, got ${end - start}`);
    this.severity = this.timeStart = this.timeEnd = this.moreStart = this.moreEnd = 0;
    this.keyStart = this.keyEnd = start;
    let before = 0;
    let sourceEnd = start;
    let seen = 0;
    const reader = this.#outer.over(bytes, start, end);
    for (let at = reader.at; reader.next(); at = reader.at) {
      const { field } = reader;
      if (field < before) return this.#reject(`event fields must be in the order of their numbers, got ${field} after ${before}`);
      if (field === before && !MAY_REPEAT.has(field)) return this.#reject(`event field ${field} must appear once, got two`);
      before = field;
      if (field <= FIELD.traceparent) {
        if (!this.#checkWireType(reader, field === FIELD.severity ? VARINT : LENGTH)) return false;
        seen |= 1 << field;
        if (!this.#check(bytes, reader)) return false;
        if (field <= FIELD.source) sourceEnd = reader.at;
        if (field <= FIELD.attributes) this.keyEnd = reader.at;
        if (field === FIELD.dedupKey && reader.at > reader.start) {
          this.moreStart = at;
          this.moreEnd = reader.at;
        }
      } else if (field >= FIELD.id && field <= FIELD.journals) {
        if (!isForwarded) return this.#reject(`event field ${field} is set by proxies, an agent must leave it out`);
        if (!this.#checkForwarded(bytes, reader)) return false;
      }
    }
    if (reader.isBroken) return this.#reject('event must be a fondaco.v1.Event message, got bytes that are none');
    if (!(seen & (1 << FIELD.type))) return this.#reject('type must be given, got nothing');
    if (this.severity === 0) return this.#reject('severity must be 5, 9, 13, 17 or 21, got nothing');
    if (this.moreEnd > 0) this.keyEnd = sourceEnd;
    return true;
  }

  #check(bytes: Uint8Array, reader: ProtobufReader): boolean {
    const { start, at: end } = reader;
    switch (reader.field) {
      case FIELD.type:
        return this.#checkType(bytes, start, end);
      case FIELD.severity:
        this.severity = reader.value;
        return severityOf(reader.value) !== undefined || this.#reject(`severity must be 5, 9, 13, 17 or 21, got ${reader.value}`);
      case FIELD.source:
        return this.#checkNames(bytes, start, end, 'source');
      case FIELD.object:
        return this.#checkNames(bytes, start, end, 'object');
      case FIELD.message:
        return this.#checkText(bytes, start, end, 'message', LIMITS.messageBytes);
      case FIELD.attributes:
        return this.#checkText(bytes, start, end, 'attributes', LIMITS.attributesBytes);
      case FIELD.time:
        this.timeStart = start;
        this.timeEnd = end;
        return this.#checkTime(bytes, start, end, 'time');
      case FIELD.dedupKey:
        return this.#checkText(bytes, start, end, 'dedup_key', LIMITS.nameBytes);
      default:
        return this.#checkText(bytes, start, end, 'traceparent', LIMITS.traceparentBytes);
    }
  }

  /** Fields that another proxy set. */
  #checkForwarded(bytes: Uint8Array, reader: ProtobufReader): boolean {
    const { field, start, at: end } = reader;
    const isNumber = field >= FIELD.revision && field <= FIELD.added;
    if (!this.#checkWireType(reader, isNumber ? VARINT : LENGTH)) return false;
    const name = `event field ${field}`;
    if (isNumber) return reader.value >= 0 || this.#reject(`${name} must not be negative, got ${reader.value}`);
    if (field === FIELD.journals) return end - start === 16 || this.#reject(`${name} must be 16 bytes, got ${end - start}`);
    if (field === FIELD.labels || field === FIELD.foreign) return this.#checkNames(bytes, start, end, name, LIMITS.eventBytes);
    if (field === FIELD.receivedTime || field === FIELD.firstTime || field === FIELD.lastTime)
      return this.#checkTime(bytes, start, end, name);
    return this.#checkText(bytes, start, end, name, LIMITS.eventBytes);
  }

  #checkWireType({ field, wireType }: ProtobufReader, expected: number): boolean {
    return wireType === expected || this.#reject(`event field ${field} must have wire type ${expected}, got ${wireType}`);
  }

  #checkType(bytes: Uint8Array, start: number, end: number): boolean {
    let isGood = end > start && end - start <= LIMITS.typeChars && TYPE_CHAR[bytes[start]!] === 2;
    for (let at = start + 1; isGood && at < end; at++) isGood = TYPE_CHAR[bytes[at]!]! > 0;
    if (isGood) return true;
    const got = Buffer.from(bytes.subarray(start, Math.min(end, start + 60))).toString();
    return this.#reject(`type must be a letter, then up to 127 letters, digits or any of _ . -, got ${JSON.stringify(got).slice(0, 100)}`);
  }

  #checkText(bytes: Uint8Array, start: number, end: number, field: string, bytesMax: number): boolean {
    if (end - start > bytesMax) return this.#reject(`${field} must be at most ${bytesMax} bytes, got ${end - start}`);
    for (let at = start; at < end; at++) {
      if (bytes[at]! >= 0x80) return isUtf8(bytes.subarray(at, end)) || this.#reject(`${field} must be UTF-8, got other bytes`);
    }
    return true;
  }

  /** Source and object: messages of short strings. */
  #checkNames(bytes: Uint8Array, start: number, end: number, field: string, bytesMax: number = LIMITS.nameBytes): boolean {
    const reader = this.#inner.over(bytes, start, end);
    while (reader.next()) {
      if (reader.wireType !== LENGTH) return this.#reject(`${field} must hold strings, field ${reader.field} is none`);
      if (!this.#checkText(bytes, reader.start, reader.at, `${field} field ${reader.field}`, bytesMax)) return false;
    }
    return !reader.isBroken || this.#reject(`${field} must be a message, got bytes that are none`);
  }

  #checkTime(bytes: Uint8Array, start: number, end: number, field: string): boolean {
    const reader = this.#inner.over(bytes, start, end);
    let seconds = 0;
    let nanos = 0;
    let isGood = true;
    while (reader.next()) {
      if (reader.field <= 2 && reader.wireType !== VARINT) isGood = false;
      if (reader.field === 1) seconds = reader.value;
      else if (reader.field === 2) nanos = reader.value;
    }
    if (isGood && !reader.isBroken && isTimestamp(seconds, nanos)) return true;
    const got = isGood && !reader.isBroken ? `${seconds} seconds and ${nanos} nanos` : 'bytes that are none';
    return this.#reject(`${field} must be a Timestamp from year 1 to 9999, got ${got}`);
  }

  #reject(reason: string): false {
    this.reason = reason;
    return false;
  }
}

const MAY_REPEAT = new Set<number>([FIELD.labels, FIELD.via, FIELD.journals]);

/** 2: a letter, which may begin a type; 1: what may follow. */
const TYPE_CHAR = new Uint8Array(256);
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz') TYPE_CHAR[char.charCodeAt(0)] = 2;
for (const char of '0123456789_.-') TYPE_CHAR[char.charCodeAt(0)] = 1;

/** A 32-bit hash of one or two ranges, seeded so that nobody can aim at it. Equal hashes are settled by comparing the bytes. */
export function hashKey(bytes: Uint8Array, walk: EventWalk, seed: number): number {
  let hash = hashRange(bytes, walk.keyStart, walk.keyEnd, seed);
  if (walk.moreEnd > 0) hash = hashRange(bytes, walk.moreStart, walk.moreEnd, hash);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** MurmurHash3's block step (Appleby, public domain), four bytes at a time. */
function hashRange(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) {
    hash = mix(hash, bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
  }
  let tail = 0;
  for (; at < end; at++) tail = (tail << 8) | bytes[at]!;
  return mix(hash, tail);
}

function mix(hash: number, block: number): number {
  block = Math.imul(block, 0xcc9e2d51);
  block = (block << 15) | (block >>> 17);
  hash ^= Math.imul(block, 0x1b873593);
  hash = (hash << 13) | (hash >>> 19);
  return (Math.imul(hash, 5) + 0xe6546b64) | 0;
}
