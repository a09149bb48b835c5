/** CRC32c (Castagnoli), as in RFC 4960 appendix B. Node's `zlib.crc32` is the other polynomial. */

/** 0x1edc6f41 with its bits reversed: the checksum takes the least significant bit first. */
const POLYNOMIAL = 0x82f63b78;

/** The checksum of each single byte: one look-up per byte instead of eight shifts. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? POLYNOMIAL : 0);
  return remainder;
});

/**
 * The checksum of `bytes`, 0 to 2^32 - 1. `previous` is the checksum of what comes before them, so that a whole can
 * be taken in parts: `crc32c(b, crc32c(a))` is that of `a` followed by `b`.
 */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  let remainder = ~previous;
  for (const byte of bytes) remainder = (remainder >>> 8) ^ (TABLE[(remainder ^ byte) & 0xff] ?? 0);
  return ~remainder >>> 0;
}
