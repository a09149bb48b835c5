/** Valid PROXY protocol headers for property tests, with what they say. */
import fc from 'fast-check';
import type { SocketAddress } from '../../../src/core/address.js';
import { encodeProxyHeader } from '../../../src/l4/proxy-header.js';
import { type ProxyHeader, TLV, type Tlv } from '../../../src/l4/sniff/proxy-format.js';
import { ipAddress, ipv4, ipv6, unixAddress } from '../../core/arbitraries.js';

/** Bytes on the wire and what they mean. */
export interface Sample {
  readonly bytes: Buffer;
  readonly header: ProxyHeader;
}

export const plainIpv6 = ipv6.filter((host) => !host.startsWith('::ffff:'));

/** Types that a receiver hands on: neither padding nor checksum. */
export const tlv: fc.Arbitrary<Tlv> = fc.record({
  type: fc.nat(255).filter((type) => type !== TLV.crc32c && type !== TLV.noop),
  value: fc.uint8Array({ maxLength: 40 }),
});

export const tlvs = fc.array(tlv, { maxLength: 6 });

/** Two addresses that one header can hold as they are. */
export const samePair: fc.Arbitrary<readonly [SocketAddress, SocketAddress]> = fc.oneof(
  fc.tuple(ipAddress(ipv4), ipAddress(ipv4)),
  fc.tuple(ipAddress(plainIpv6), ipAddress(plainIpv6)),
  fc.tuple(unixAddress, unixAddress),
);

const v1 = samePair.map(([source, destination]): Sample => {
  const isIp = source.kind === 'ip';
  return {
    bytes: encodeProxyHeader('v1', source, destination),
    header: {
      version: 1,
      command: 'proxy',
      source: isIp ? source : undefined,
      destination: isIp ? destination : undefined,
      tlvs: [],
    },
  };
});

const v1Unknown = fc.stringMatching(/^[ -~]{0,91}$/).map(
  (ignored): Sample => ({
    bytes: Buffer.from(`PROXY UNKNOWN ${ignored}\r\n`),
    header: { version: 1, command: 'proxy', source: undefined, destination: undefined, tlvs: [] },
  }),
);

export const v2 = fc.tuple(samePair, tlvs, fc.boolean()).map(([[source, destination], tlvs, checksum]): Sample => {
  const bytes = encodeProxyHeader('v2', source, destination, { tlvs, checksum });
  return { bytes, header: { version: 2, command: 'proxy', source, destination, tlvs } };
});

const v2Local = fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 300 })).map(
  ([family, body]): Sample => ({
    bytes: v2Bytes(0x20, family, body),
    header: { version: 2, command: 'local', source: undefined, destination: undefined, tlvs: [] },
  }),
);

export const sample = fc.oneof(v1, v1Unknown, v2, v2Local);

/** A version 2 header byte by byte, right or wrong; `length` lies where it is given. */
export function v2Bytes(command: number, family: number, body: Uint8Array, length = body.length): Buffer {
  return Buffer.concat([
    Buffer.from('0d0a0d0a000d0a515549540a', 'hex'),
    Buffer.from([command, family, length >> 8, length & 0xff]),
    body,
  ]);
}

/** A TLV, right or wrong; `length` lies where it is given. */
export function tlvBytes(type: number, value: Uint8Array | string, length = value.length): Buffer {
  return Buffer.concat([Buffer.from([type, length >> 8, length & 0xff]), Buffer.from(value)]);
}
