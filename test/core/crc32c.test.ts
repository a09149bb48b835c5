import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { crc32c } from '../../src/core/crc32c.js';

// The check value of the algorithm, and the test vectors of RFC 3720 appendix B.4.
const ascending = Array.from({ length: 32 }, (_, at) => at);
const readCommand = Buffer.from(
  '01c00000000000000000000000000000140000000000040000000014000000182800000000000000' + '0200000000000000',
  'hex',
);
test.each([
  ['nothing', [], 0],
  ['"123456789"', [...Buffer.from('123456789')], 0xe3069283],
  ['32 bytes of zeroes', new Array(32).fill(0), 0x8a9136aa],
  ['32 bytes of ones', new Array(32).fill(0xff), 0x62a8ab43],
  ['32 bytes that count up', ascending, 0x46dd794e],
  ['32 bytes that count down', ascending.toReversed(), 0x113fdb5c],
  ['an iSCSI read command', [...readCommand], 0xd9963a56],
])('the checksum of %s', (_, bytes, expected) => {
  expect(crc32c(Uint8Array.from(bytes))).toBe(expected);
});

it('is the same when taken in parts', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      expect(crc32c(b, crc32c(a))).toBe(crc32c(Buffer.concat([a, b])));
    }),
  );
});

it('differs after the flip of any one bit', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.nat(), (bytes, bit) => {
      const flipped = Uint8Array.from(bytes);
      const at = (bit >> 3) % bytes.length;
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7));
      expect(crc32c(flipped)).not.toBe(crc32c(bytes));
    }),
  );
});
