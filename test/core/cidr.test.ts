import { BlockList, isIPv4 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, formatCidr, parseCidr } from '../../src/core/cidr.js';
import { bytesToIp, ipToBytes } from '../../src/core/ip.js';
import { ipv4, ipv6 } from './arbitraries.js';

const plainIpv6 = ipv6.filter((host) => !host.startsWith('::ffff:'));
const host = fc.oneof(ipv4, plainIpv6);

describe('a block of addresses', () => {
  it.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3'],
    ['10.1.2.3/32', '10.1.2.3'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['[::1]', '::1'],
    ['::/0', '::/0'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
  ])('%s is %s', (text, formatted) => expect(formatCidr(parseCidr(text))).toBe(formatted));

  it.each([
    ['', /no IP address/],
    ['a', /no IP address/],
    ['10.0.0.0/8/9', /no IP address/],
    ['fe80::1%eth0', /no IP address/],
    ['10.0.0.0/', /prefix "" is no number/],
    ['10.0.0.0/-1', /prefix "-1" is no number/],
    ['10.0.0.0/33', /between 0 and 32/],
    ['::/129', /between 0 and 128/],
    ['::ffff:0.0.0.0/95', /between 96 and 128/],
    ['10.0.0.1/8', /bits behind its prefix/],
  ])('%j is none', (text, why) => expect(() => parseCidr(text)).toThrow(why));

  it('has the addresses that Node says it has', () => {
    fc.assert(
      fc.property(host, fc.nat(128), host, (base, prefix, other) => {
        const bytes = ipToBytes(base);
        const bits = Math.min(prefix, bytes.length * 8);
        const network = bytes.map((byte, index) => {
          const kept = Math.max(0, Math.min(8, bits - 8 * index));
          return byte & (0xff << (8 - kept)) & 0xff;
        });
        const cidr = parseCidr(`${bytesToIp(network)}/${bits}`);
        const list = new BlockList();
        const family = (ip: string) => (isIPv4(ip) ? 'ipv4' : 'ipv6');
        list.addSubnet(bytesToIp(network), bits, family(base));
        expect(contains(cidr, bytes)).toBe(true);
        const isAlike = family(other) === family(base);
        expect(contains(cidr, ipToBytes(other))).toBe(isAlike && list.check(other, family(other)));
        const last = Uint8Array.from(bytes);
        if (bits > 0) last[(bits - 1) >> 3] = (last[(bits - 1) >> 3] ?? 0) ^ (0x80 >> ((bits - 1) & 7));
        expect(contains(cidr, last)).toBe(bits === 0);
      }),
    );
  });
});
