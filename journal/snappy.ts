/**
 * Snappy blocks, as LevelDB's repair writes them whatever the database is opened with (google/snappy, format_description.txt): a varint of
 * the length, then elements, each with a tag whose low two bits say what it is: 0 is a literal, its length - 1 in the upper six bits, or from
 * 60 on in the next 1 to 4 bytes; 1, 2 and 3 copy what came before, from an offset of 11 bits, 2 or 4 bytes. Little-endian.
 */

/** The bytes that were compressed. Throws a RangeError where they are no such block, or more than `bytesMax`. */
export function unsnappy(packed: Buffer, bytesMax: number): Buffer {
  const cursor = { at: 0 };
  const length = lengthOf(packed, cursor);
  if (length > bytesMax) throw new RangeError(`a block must have at most ${bytesMax} bytes, got ${length}`);
  const bytes = Buffer.alloc(length);
  let end = 0;
  while (cursor.at < packed.length) {
    const tag = packed.readUInt8(cursor.at++);
    end = (tag & 3) === 0 ? literal(packed, cursor, { tag, into: bytes, at: end }) : copy(packed, cursor, { tag, into: bytes, at: end });
  }
  if (end !== length) throw new RangeError(`a block must have the ${length} bytes that it says, got ${end}`);
  return bytes;
}

interface Step {
  readonly tag: number;
  readonly into: Buffer;
  readonly at: number;
}

function literal(packed: Buffer, cursor: { at: number }, { tag, into, at }: Step): number {
  const short = tag >>> 2;
  const width = Math.max(0, short - 59);
  const length = 1 + (width === 0 ? short : packed.readUIntLE(cursor.at, width));
  const from = cursor.at + width;
  if (from + length > packed.length || at + length > into.length) throw new RangeError('a literal must lie inside of its block');
  packed.copy(into, at, from, from + length);
  cursor.at = from + length;
  return at + length;
}

function copy(packed: Buffer, cursor: { at: number }, { tag, into, at }: Step): number {
  const isNear = (tag & 3) === 1;
  const width = isNear ? 1 : (tag & 3) === 2 ? 2 : 4;
  const offset = packed.readUIntLE(cursor.at, width) + (isNear ? (tag >>> 5) * 256 : 0);
  const length = isNear ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2);
  cursor.at += width;
  if (offset === 0 || offset > at || at + length > into.length) throw new RangeError('a copy must be of what came before it');
  for (let i = 0; i < length; i++) into[at + i] = into[at + i - offset]!; // may overlap: that is how it repeats
  return at + length;
}

function lengthOf(packed: Buffer, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 32; scale *= 128) {
    const byte = packed.readUInt8(cursor.at++);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw new RangeError('a length must be below 2^32');
}
