import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { bytesToIp, canonicalIpv6, ipToBytes } from '../../src/core/ip.js';

it('bytes of an address become its text and the same bytes again', () => {
  const bytes = fc.constantFrom(4, 16).chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
  fc.assert(
    fc.property(bytes, (bytes) => {
      const text = bytesToIp(bytes);
      expect(bytes.length === 4 ? isIPv4(text) : isIPv6(text)).toBe(true);
      expect(ipToBytes(text)).toEqual(bytes);
    }),
  );
});

it('any spelling of an IPv6 address has the bytes of its one text', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      expect(ipToBytes(text)).toEqual(ipToBytes(canonicalIpv6(text)));
      expect(canonicalIpv6(canonicalIpv6(text))).toBe(canonicalIpv6(text));
    }),
  );
});

// RFC 5952 section 4 and RFC 4291 section 2.5.5.2.
test.each([
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1', '20010db8000000000001000000000001'],
  ['2001:0db8::0001', '2001:db8::1', '20010db8000000000000000000000001'],
  ['::', '::', '00000000000000000000000000000000'],
  ['::1', '::1', '00000000000000000000000000000001'],
  ['1::', '1::', '00010000000000000000000000000000'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0', '00010002000300040005000600070000'],
  ['::ffff:c000:280', '::ffff:192.0.2.128', '00000000000000000000ffffc0000280'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221', '0064ff9b0000000000000000c0000221'],
  ['fe80::1%eth0', 'fe80::1', 'fe800000000000000000000000000001'],
])('%s is written %s', (text, canonical, hex) => {
  expect(canonicalIpv6(text)).toBe(canonical);
  expect(Buffer.from(ipToBytes(text)).toString('hex')).toBe(hex);
});
