import { expect } from 'chai';
import { crc32c } from '../../journal/crc32c.ts';

describe('CRC-32C', () => {
  const bytes = (of: (n: number) => number): Uint8Array => Uint8Array.from({ length: 32 }, (_, n) => of(n));
  const vectors: [what: string, bytes: Uint8Array, crc: number][] = [
    ['32 bytes of zeros', bytes(() => 0), 0x8a9136aa],
    ['32 bytes of ones', bytes(() => 0xff), 0x62a8ab43],
    ['32 bytes, incrementing', bytes((n) => n), 0x46dd794e],
    ['32 bytes, decrementing', bytes((n) => 31 - n), 0x113fdb5c],
    ['123456789', Buffer.from('123456789'), 0xe3069283],
  ];
  for (const [what, given, crc] of vectors) {
    it(`is that of RFC 3720, appendix B.4, for ${what}`, () => expect(crc32c(given)).to.equal(crc));
  }

  it('is the same in steps of eight bytes as byte by byte, for every length', () => {
    const all = Uint8Array.from({ length: 100 }, (_, n) => (n * 151 + 7) & 0xff);
    for (let length = 0; length <= all.length; length++) {
      expect(crc32c(all.subarray(0, length)), `${length} bytes`).to.equal(byteByByte(all.subarray(0, length)));
    }
  });
});

function byteByByte(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
