import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { parseAddress, type SocketAddress } from '../../src/core/address.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { encodeProxyHeader } from '../../src/l4/proxy-header.js';
import { TLV, V1_MAX_BYTES, V2_MAX_BYTES } from '../../src/l4/sniff/proxy-format.js';
import { parseProxyHeader } from '../../src/l4/sniff/proxy-protocol.js';
import { ipAddress, ipv4, ipv6, unixAddress } from '../core/arbitraries.js';
import { samePair, tlvs } from './sniff/arbitraries.js';

function socket(text: string): SocketAddress {
  const address = parseAddress(text);
  if (address.kind === 'ip' || address.kind === 'unix') return address;
  throw new Error(`${text} is not what a socket has`);
}

const mapped = (host: string, port: number): SocketAddress => ({ kind: 'ip', host: `::ffff:${host}`, port });

describe('a version 1 header', () => {
  test.each([
    [socket('192.0.2.1:1234'), socket('192.0.2.2:443'), 'PROXY TCP4 192.0.2.1 192.0.2.2 1234 443'],
    [socket('[2001:db8::1]:1'), socket('[::1]:65535'), 'PROXY TCP6 2001:db8::1 ::1 1 65535'],
    [mapped('192.0.2.1', 1), mapped('192.0.2.2', 2), 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2'],
    [mapped('192.0.2.1', 1), socket('192.0.2.2:2'), 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2'],
    [socket('192.0.2.1:1'), socket('[::1]:2'), 'PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2'],
    [socket('[::1]:1'), mapped('192.0.2.2', 2), 'PROXY TCP6 ::1 ::ffff:192.0.2.2 1 2'],
    [socket('[fe80::1%eth0]:1'), socket('[fe80::2]:2'), 'PROXY TCP6 fe80::1 fe80::2 1 2'],
    [socket('unix:/a'), socket('unix:/b'), 'PROXY UNKNOWN'],
    [socket('192.0.2.1:1'), socket('unix:/b'), 'PROXY UNKNOWN'],
    [undefined, socket('192.0.2.2:2'), 'PROXY UNKNOWN'],
    [socket('192.0.2.1:1'), undefined, 'PROXY UNKNOWN'],
    [undefined, undefined, 'PROXY UNKNOWN'],
  ])('from %o to %o', (source, destination, line) => {
    expect(encodeProxyHeader('v1', source, destination, { tlvs: [], checksum: true }).toString()).toBe(`${line}\r\n`);
  });
});

describe('a version 2 header', () => {
  const fixed = (rest: string) => `0d0a0d0a000d0a515549540a${rest}`;
  const path = (text: string) => Buffer.from(text).toString('hex').padEnd(216, '0');
  const longest = `/${'x'.repeat(107)}`;
  test.each([
    [socket('192.0.2.1:4660'), socket('192.0.2.2:443'), '2111000cc0000201c0000202123401bb'],
    [mapped('192.0.2.1', 4660), mapped('192.0.2.2', 443), '2111000cc0000201c0000202123401bb'],
    [
      socket('192.0.2.1:1'),
      socket('[2001:db8::1]:2'),
      '2121002400000000000000000000ffffc000020120010db800000000000000000000000100010002',
    ],
    [socket('unix:/a'), socket('unix:@b'), `213100d8${path('/a')}${path('\0b')}`],
    [{ kind: 'unix', path: longest } as const, socket('unix:b'), `213100d8${path(longest)}${path('b')}`],
    [{ kind: 'unix', path: `${longest}x` } as const, socket('unix:b'), '20000000'],
    [socket('unix:/a'), socket('192.0.2.1:1'), '20000000'],
    [undefined, socket('unix:/a'), '20000000'],
    [undefined, socket('192.0.2.1:1'), '20000000'],
    [undefined, undefined, '20000000'],
  ])('from %o to %o', (source, destination, expected) => {
    expect(encodeProxyHeader('v2', source, destination).toString('hex')).toBe(fixed(expected));
  });

  it('carries TLVs as they are, and a checksum where it is asked for', () => {
    const client = socket('192.0.2.1:4660');
    const server = socket('192.0.2.2:443');
    const tlvs = [{ type: TLV.alpn, value: new Uint8Array(Buffer.from('h2')) }];
    const addresses = 'c0000201c0000202123401bb';
    expect(encodeProxyHeader('v2', client, server, { tlvs }).toString('hex')).toBe(
      fixed(`21110011${addresses}0100026832`),
    );
    const checked = encodeProxyHeader('v2', client, server, { tlvs, checksum: true }).toString('hex');
    expect(checked.slice(0, -8)).toBe(fixed(`21110018${addresses}0100026832030004`));
    expect(parseProxyHeader(Buffer.from(checked, 'hex'))).toMatchObject({ kind: 'match', value: { tlvs } });
  });

  it('has none of the checksum of the header that its TLVs came from', () => {
    const stale = [{ type: TLV.crc32c, value: new Uint8Array(4) }];
    const [client, server] = [socket('192.0.2.1:1'), socket('192.0.2.2:2')];
    expect(encodeProxyHeader('v2', client, server, { tlvs: stale })).toEqual(encodeProxyHeader('v2', client, server));
  });

  it('holds nothing but LOCAL where the addresses are unknown, as receivers discard the rest', () => {
    const tlvs = [{ type: TLV.uniqueId, value: new Uint8Array(8) }];
    expect(encodeProxyHeader('v2', undefined, undefined, { tlvs, checksum: true }).toString('hex')).toBe(
      fixed('20000000'),
    );
  });

  test.each([
    ['a TLV too long for its length field', [65536], 65567],
    ['a TLV too long for a receiver', [V2_MAX_BYTES - 30], V2_MAX_BYTES + 1],
    ['TLVs too long together', [2048, 2048], 4130],
  ])('is refused with %s', (_, lengths, length) => {
    const tlvs = lengths.map((length) => ({ type: 0xe0, value: new Uint8Array(length) }));
    const encode = () => encodeProxyHeader('v2', socket('192.0.2.1:1'), socket('192.0.2.2:2'), { tlvs });
    expect(encode).toThrow(MeshproxyError);
    expect(encode).toThrow(`a PROXY v2 header of ${length} bytes cannot be sent: receivers take ${V2_MAX_BYTES}`);
  });

  it('of the greatest length is accepted by our own parser', () => {
    const tlvs = [{ type: 0xe0, value: new Uint8Array(V2_MAX_BYTES - 31) }];
    const bytes = encodeProxyHeader('v2', socket('192.0.2.1:1'), socket('192.0.2.2:2'), { tlvs });
    expect(parseProxyHeader(bytes)).toMatchObject({ kind: 'match', length: V2_MAX_BYTES });
  });
});

describe('what is written', () => {
  it('is read back as it was, TLVs and all', () => {
    fc.assert(
      fc.property(samePair, tlvs, fc.boolean(), ([source, destination], tlvs, checksum) => {
        const bytes = encodeProxyHeader('v2', source, destination, { tlvs, checksum });
        const value = { version: 2, command: 'proxy', source, destination, tlvs };
        expect(parseProxyHeader(bytes)).toEqual({ kind: 'match', length: bytes.length, value });
      }),
    );
  });

  it('is a valid header for any two sockets, in both versions, that never says less than both can', () => {
    const any = fc.option(fc.oneof(ipAddress(ipv4), ipAddress(ipv6), unixAddress), { nil: undefined });
    fc.assert(
      fc.property(fc.constantFrom('v1' as const, 'v2' as const), any, any, (version, source, destination) => {
        const bytes = encodeProxyHeader(version, source, destination);
        if (version === 'v1') expect(bytes.length).toBeLessThanOrEqual(V1_MAX_BYTES);
        const result = parseProxyHeader(bytes);
        if (result.kind !== 'match') throw new Error(JSON.stringify(result));
        expect(result.length).toBe(bytes.length);
        const bothIp = source?.kind === 'ip' && destination?.kind === 'ip';
        const bothUnix = source?.kind === 'unix' && destination?.kind === 'unix';
        expect(result.value.source?.kind).toBe(bothIp ? 'ip' : bothUnix && version === 'v2' ? 'unix' : undefined);
        if (bothIp) {
          const ports = [result.value.source, result.value.destination].map((end) => end?.kind === 'ip' && end.port);
          expect(ports).toEqual([source.port, destination.port]);
        }
      }),
    );
  });
});
