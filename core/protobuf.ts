/**
 * The few parts of the protobuf wire format (protobuf.dev, "Encoding") that events need, by hand: an event is encoded once, in the
 * agent, and its bytes are read in place on the hot path, where a general library costs three to five times as much.
 */

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
export const FIXED32 = 5;

/** Appends protobuf fields to a buffer that grows. */
export class ProtobufWriter {
  buffer: Buffer;
  length = 0;

  constructor(bytes = 1024) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }

  /** What was written; a view, valid until the next reset. */
  view(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  reset(): void {
    this.length = 0;
  }

  reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.length + bytes));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }

  /** A non-negative integer up to 2^53. */
  varint(value: number): void {
    this.reserve(10);
    const { buffer } = this;
    let at = this.length;
    while (value >= 0x8000_0000) {
      buffer[at++] = (value % 128) | 0x80;
      value = Math.floor(value / 128);
    }
    while (value >= 0x80) {
      buffer[at++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    buffer[at++] = value;
    this.length = at;
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  /** An unsigned integer field; nothing for 0, as proto3 has it. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.tag(field, VARINT);
    this.varint(value);
  }

  bytes(field: number, value: Uint8Array): void {
    this.tag(field, LENGTH);
    this.varint(value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
  }

  /** A string field; nothing for '', as proto3 has it. A lone surrogate becomes U+FFFD, as in every UTF-8 encoder. */
  string(field: number, value: string): void {
    if (value !== '') this.text(field, value);
  }

  /** A string field, also when empty. */
  text(field: number, value: string): void {
    this.tag(field, LENGTH);
    if (value.length <= 42) {
      // At most three bytes a unit, so the length fits one byte and can be filled in afterwards.
      this.reserve(1 + value.length * 3);
      const written = this.buffer.write(value, this.length + 1, 'utf8');
      this.buffer[this.length] = written;
      this.length += 1 + written;
      return;
    }
    const bytes = Buffer.byteLength(value);
    this.varint(bytes);
    this.reserve(bytes);
    this.length += this.buffer.write(value, this.length, 'utf8');
  }

  /** A message field; `write` appends its content. */
  message(field: number, write: () => void): void {
    this.tag(field, LENGTH);
    this.reserve(1);
    const at = this.length++;
    write();
    const bytes = this.length - at - 1;
    if (bytes < 0x80) {
      this.buffer[at] = bytes;
      return;
    }
    const extra = bytes < 0x4000 ? 1 : bytes < 0x20_0000 ? 2 : 3;
    this.reserve(extra);
    this.buffer.copy(this.buffer, at + 1 + extra, at + 1, at + 1 + bytes);
    this.length = at;
    this.varint(bytes);
    this.length += bytes;
  }

  /** A google.protobuf.Timestamp field. */
  timestamp(field: number, seconds: number, nanos: number): void {
    this.message(field, () => this.timestampContent(seconds, nanos));
  }

  /** What is in a google.protobuf.Timestamp. */
  timestampContent(seconds: number, nanos: number): void {
    if (seconds < 0) {
      this.tag(1, VARINT);
      this.negative(seconds);
    } else this.uint(1, seconds);
    this.uint(2, nanos);
  }

  /** A negative int64: ten bytes of two's complement. */
  private negative(value: number): void {
    this.reserve(10);
    let rest = BigInt.asUintN(64, BigInt(value));
    for (let i = 0; i < 9; i++) {
      this.buffer[this.length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.buffer[this.length++] = Number(rest);
  }
}

/** Reads protobuf fields in place. `fail` is set, and reading ends, at the first framing error; values are then meaningless. */
export class ProtobufReader {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  end = 0;
  isBroken = false;
  /** Of the field that `next` found. */
  field = 0;
  wireType = 0;
  /** VARINT: the value. LENGTH: where the content begins; it ends at `at` after `next`. */
  value = 0;
  start = 0;

  over(bytes: Uint8Array, start = 0, end = bytes.length): this {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.isBroken = false;
    return this;
  }

  /** Steps to the next field and over its content; false at the end or at a framing error. */
  next(): boolean {
    if (this.at >= this.end || this.isBroken) return false;
    const tag = this.varint();
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    // A tag has 32 bits; a negative length would lead back, and round and round.
    if (this.field === 0 || tag < 0 || tag > 0xffff_ffff) this.isBroken = true;
    else if (this.wireType === VARINT) this.value = this.varint();
    else if (this.wireType === LENGTH) {
      const length = this.varint();
      this.start = this.at;
      if (length < 0) this.isBroken = true;
      else this.at += length;
    } else if (this.wireType === FIXED64) this.at += 8;
    else if (this.wireType === FIXED32) this.at += 4;
    else this.isBroken = true;
    if (this.at > this.end) this.isBroken = true;
    return !this.isBroken;
  }

  /** An integer below 2^53, or a negative int64 no lower than -2^53; anything else is a framing error here. */
  varint(): number {
    const { bytes, end } = this;
    let at = this.at;
    if (at < end && bytes[at]! < 0x80) {
      this.at = at + 1;
      return bytes[at]!;
    }
    let low = 0;
    let scale = 1;
    const first = at;
    for (; at < end && at - first < 8; at++) {
      const byte = bytes[at]!;
      low += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.at = at + 1;
        if (low > Number.MAX_SAFE_INTEGER) this.isBroken = true;
        return low;
      }
      scale *= 128;
    }
    return this.longVarint(first);
  }

  private longVarint(first: number): number {
    let value = 0n;
    for (let at = first; at < this.end && at - first < 10; at++) {
      const byte = this.bytes[at]!;
      value |= BigInt(byte & 0x7f) << BigInt(7 * (at - first));
      if (byte < 0x80) {
        this.at = at + 1;
        const signed = Number(BigInt.asIntN(64, value));
        if (!Number.isSafeInteger(signed)) this.isBroken = true;
        return signed;
      }
    }
    this.isBroken = true;
    this.at = this.end;
    return 0;
  }

  content(): Uint8Array {
    return this.bytes.subarray(this.start, this.at);
  }
}
