import { randomFillSync } from 'node:crypto';

/** A new UUIDv7 as its 16 bytes (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then chance. Made once per series, so it need not be fast. */
export function uuidV7Bytes(now: number): Buffer {
  const bytes = Buffer.allocUnsafe(16);
  randomFillSync(bytes);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes;
}

/** A new UUIDv7 as text. */
export function uuidV7(now: number): string {
  return uuidText(uuidV7Bytes(now));
}

/** The Unix milliseconds of a UUIDv7's text. */
export function uuidV7Ms(text: string): number {
  return Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16);
}

/** 16 bytes as `0199e0c4-7b1e-7…`. */
export function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The 16 bytes of a UUID's text; `undefined` if it is not one. */
export function uuidBytes(text: string): Buffer | undefined {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return undefined;
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}
