/** Up to 2^49, which no file of ours reaches; RangeError beyond, and at the end of the bytes. */
export function varint(bytes: Buffer, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 49; scale *= 128) {
    const byte = bytes.readUInt8(cursor.at++);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw new RangeError('a number must be below 2^49');
}
