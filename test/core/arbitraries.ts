/** Addresses for property tests. */
import fc from 'fast-check';
import type { Address, IpAddress, UnixAddress } from '../../src/core/address.js';
import { bytesToIp } from '../../src/core/ip.js';

export const port = fc.nat(65535);

function bytes(length: number) {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

/** Any IPv4 address, as Node's sockets write it. */
export const ipv4 = bytes(4).map(bytesToIp);

/** Any IPv6 address, as Node's sockets write it; often with runs of zeroes, sometimes IPv4-mapped. */
export const ipv6 = fc.oneof(
  bytes(16).map(bytesToIp),
  fc
    .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
    .map((groups) => bytesToIp(Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])))),
  ipv4.map((host) => `::ffff:${host}`),
);

export function ipAddress(host: fc.Arbitrary<string>): fc.Arbitrary<IpAddress> {
  return fc.record({ kind: fc.constant('ip'), host, port });
}

/** Paths and abstract names that fit a `sun_path`, as `parseAddress` reads them. */
export const unixAddress: fc.Arbitrary<UnixAddress> = fc
  .tuple(fc.constantFrom('/', '@', ''), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }))
  .map(([begin, rest]) => begin + rest.replace(/[\0\s]/g, '').replace(/^[/@]+/, ''))
  .filter((path) => !['', '/', '@'].includes(path) && Buffer.byteLength(path) <= 107)
  .map((path) => ({ kind: 'unix', path }));

const label = fc.stringMatching(/^[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?$/);

/** Every address that `parseAddress` can answer. */
export const address: fc.Arbitrary<Address> = fc.oneof(
  ipAddress(ipv4),
  ipAddress(ipv6.filter((host) => !(host.startsWith('::ffff:') && host.includes('.')))),
  ipAddress(ipv6.filter((host) => !host.includes('.')).map((host) => `${host}%eth0`)),
  unixAddress,
  fc
    .tuple(fc.array(label, { minLength: 1, maxLength: 4 }), fc.constantFrom('', '.'), port)
    .map(([labels, end, port]) => ({ kind: 'name' as const, name: labels.join('.') + end, port }))
    .filter(({ name }) => !/^[\d.]+$/.test(name)),
  port.map((port) => ({ kind: 'any' as const, port })),
);
