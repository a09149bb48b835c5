import { describe, expect, it, test } from 'vitest';
import { crc32c } from '../../../src/core/crc32c.js';
import { TLV } from '../../../src/l4/sniff/proxy-format.js';
import { parseProxyHeader } from '../../../src/l4/sniff/proxy-protocol.js';
import { tlvBytes, v2Bytes } from './arbitraries.js';

const inet = Buffer.from('0a010203' + '0a040506' + '1234' + '01bb', 'hex');
const inet6 = Buffer.from(
  '20010db8000000000000000000000001' + '00000000000000000000ffff0a000001' + '0001' + 'ffff',
  'hex',
);

function unixBlock(source: string, destination: string): Buffer {
  const block = Buffer.alloc(216);
  block.write(source, 0, 'latin1');
  block.write(destination, 108, 'latin1');
  return block;
}

/** With the checksum of the whole in the four bytes at the end of `body`. */
function withChecksum(family: number, body: Buffer): Buffer {
  const bytes = v2Bytes(0x21, family, body);
  bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4);
  return bytes;
}

const noChecksum = tlvBytes(TLV.crc32c, Buffer.alloc(4));

function read(bytes: Buffer) {
  const result = parseProxyHeader(bytes);
  if (result.kind !== 'match') throw new Error(JSON.stringify(result));
  expect(result.length).toBe(bytes.length);
  return result.value;
}

describe('the addresses of a PROXY v2 header', () => {
  const ipv4 = { source: { host: '10.1.2.3', port: 0x1234 }, destination: { host: '10.4.5.6', port: 443 } };
  const ipv6 = { source: { host: '2001:db8::1', port: 1 }, destination: { host: '::ffff:10.0.0.1', port: 65535 } };
  const nothing = { source: undefined, destination: undefined };

  test.each([
    ['TCP over IPv4', 0x11, inet, ipv4],
    ['UDP over IPv4', 0x12, inet, ipv4],
    ['TCP over IPv6', 0x21, inet6, ipv6],
    ['UDP over IPv6', 0x22, inet6, ipv6],
    [
      'unix stream',
      0x31,
      unixBlock('/tmp/a', '/run/b.sock'),
      { source: { path: '/tmp/a' }, destination: { path: '/run/b.sock' } },
    ],
    [
      'unix datagram',
      0x32,
      unixBlock('\0name', '/run/b.sock'),
      { source: { path: '@name' }, destination: { path: '/run/b.sock' } },
    ],
    [
      'unix without a name',
      0x31,
      unixBlock('', '/run/b.sock'),
      { source: undefined, destination: { path: '/run/b.sock' } },
    ],
    [
      'unix, of full length',
      0x31,
      unixBlock('/'.padEnd(108, 'x'), '\0'.padEnd(108, 'y')),
      { source: { path: '/'.padEnd(108, 'x') }, destination: { path: '@'.padEnd(108, 'y') } },
    ],
    [
      'unix with rubbish behind the path',
      0x31,
      unixBlock('/a\0rubbish', '\0b\0rubbish'),
      { source: { path: '/a' }, destination: { path: '@b' } },
    ],
    ['nothing', 0x00, Buffer.alloc(0), nothing],
    ['an unspecified family', 0x01, Buffer.alloc(0), nothing],
    ['an unspecified protocol over IPv4', 0x10, inet, nothing],
    ['an unspecified protocol over IPv6', 0x20, inet6, nothing],
    ['an unspecified protocol over unix', 0x30, unixBlock('/a', '/b'), nothing],
  ])('%s', (_, family, block, expected) => {
    expect(read(v2Bytes(0x21, family, block))).toMatchObject({ version: 2, command: 'proxy', tlvs: [], ...expected });
    // What follows the block is TLVs, whatever the family.
    const tlvs = [{ type: TLV.uniqueId, value: new Uint8Array([7]) }];
    const more = Buffer.concat([block, tlvBytes(TLV.uniqueId, '\x07')]);
    expect(read(v2Bytes(0x21, family, more))).toMatchObject({ tlvs, ...expected });
  });
});

describe('a LOCAL header', () => {
  test.each([
    ['nothing', v2Bytes(0x20, 0x00, Buffer.alloc(0))],
    ['addresses', v2Bytes(0x20, 0x11, inet)],
    ['an address block that is too short', v2Bytes(0x20, 0x31, inet)],
    ['a family that does not exist', v2Bytes(0x20, 0xff, inet)],
    ['TLVs that overrun', v2Bytes(0x20, 0x00, tlvBytes(5, 'abc', 999))],
    ['a wrong checksum', v2Bytes(0x20, 0x00, noChecksum)],
  ])('is accepted with %s in it, which is skipped', (_, bytes) => {
    expect(read(bytes)).toEqual({ version: 2, command: 'local', source: undefined, destination: undefined, tlvs: [] });
  });
});

describe('a malformed PROXY v2 header', () => {
  test.each([
    ['version 1', v2Bytes(0x11, 0x11, inet), 13, 'byte 13 is 0x11, neither 0x20 (LOCAL) nor 0x21 (PROXY)'],
    ['version 3', v2Bytes(0x31, 0x11, inet), 13, 'byte 13 is 0x31'],
    ['an unknown command', v2Bytes(0x22, 0x11, inet), 13, 'byte 13 is 0x22'],
    ['an unknown family', v2Bytes(0x21, 0x41, inet), 14, 'byte 14 is 0x41: no such address family and protocol'],
    ['an unknown protocol', v2Bytes(0x21, 0x13, inet), 14, 'byte 14 is 0x13: no such address family and protocol'],
    ['too little for IPv4', v2Bytes(0x21, 0x11, inet, 11), 16, 'it says 27 bytes, and its address family needs 28'],
    ['too little for IPv6', v2Bytes(0x21, 0x21, inet6, 35), 16, 'it says 51 bytes, and its address family needs 52'],
    ['too little for unix', v2Bytes(0x21, 0x31, inet6, 215), 16, 'it says 231 bytes, and its address family needs 232'],
    ['more than is accepted', v2Bytes(0x21, 0x11, inet, 4081), 16, 'it is 4097 bytes long, and 4096 are accepted'],
    ['more than is accepted, LOCAL', v2Bytes(0x20, 0x00, inet, 65535), 16, 'it is 65551 bytes long'],
  ])('that says %s is refused as soon as that is read', (_, bytes, certain, reason) => {
    expect(parseProxyHeader(bytes.subarray(0, certain - 1))).toEqual({ kind: 'need-more', atLeast: 16 });
    const refusal = { kind: 'no-match', reason: expect.stringContaining(`PROXY v2 header: ${reason}`) };
    expect(parseProxyHeader(bytes.subarray(0, certain))).toEqual(refusal);
  });

  test.each([
    ['ends in the type of a TLV', Buffer.from([5]), '1 bytes are left at its end, too few for a TLV'],
    ['ends in the length of a TLV', Buffer.from([5, 0]), '2 bytes are left at its end'],
    ['has a TLV that overruns it', tlvBytes(5, 'abc', 4), 'TLV 0x05 says 4 bytes, and 3 are left'],
    ['has a TLV that overruns it by far', tlvBytes(0xea, '', 65535), 'TLV 0xea says 65535 bytes, and 0 are left'],
    ['has padding that overruns it', tlvBytes(TLV.noop, '', 1), 'TLV 0x04 says 1 bytes, and 0 are left'],
    ['has a wrong checksum', noChecksum, 'its checksum is wrong'],
    ['has a checksum of 3 bytes', tlvBytes(TLV.crc32c, 'abc'), 'its checksum is 3 bytes long, not 4'],
    ['has a checksum of 5 bytes', tlvBytes(TLV.crc32c, 'abcde'), 'its checksum is 5 bytes long, not 4'],
  ])('that %s is refused', (_, tlvs, reason) => {
    const result = parseProxyHeader(v2Bytes(0x21, 0x11, Buffer.concat([inet, tlvs])));
    expect(result).toEqual({ kind: 'no-match', reason: expect.stringContaining(`PROXY v2 header: ${reason}`) });
  });

  it('that has two checksums is refused, even where the first is right', () => {
    const body = Buffer.concat([inet, noChecksum, noChecksum]);
    const bytes = v2Bytes(0x21, 0x11, body);
    bytes.writeUInt32BE(crc32c(bytes), bytes.length - 11);
    expect(parseProxyHeader(bytes)).toEqual({ kind: 'no-match', reason: 'PROXY v2 header: it has two checksums' });
  });
});

describe('the TLVs of a PROXY v2 header', () => {
  it('are handed on in their order, without padding and checksum', () => {
    const body = [
      inet,
      tlvBytes(TLV.noop, 'padding'),
      tlvBytes(0xea, ''),
      tlvBytes(TLV.alpn, 'h2'),
      tlvBytes(0xea, 'x'),
      noChecksum,
    ];
    expect(read(withChecksum(0x11, Buffer.concat(body))).tlvs).toEqual([
      { type: 0xea, value: new Uint8Array() },
      { type: TLV.alpn, value: new Uint8Array(Buffer.from('h2')) },
      { type: 0xea, value: new Uint8Array(Buffer.from('x')) },
    ]);
  });

  it('are many, where they are small', () => {
    const body = Buffer.concat([inet, ...Array.from({ length: 1356 }, () => tlvBytes(0xe0, ''))]);
    expect(read(v2Bytes(0x21, 0x11, body)).tlvs).toHaveLength(1356);
  });
});

describe('the checksum of a PROXY v2 header', () => {
  it('is accepted where it is right, in the middle too', () => {
    expect(read(withChecksum(0x21, Buffer.concat([inet6, noChecksum]))).tlvs).toEqual([]);
    const bytes = v2Bytes(0x21, 0x11, Buffer.concat([inet, noChecksum, tlvBytes(TLV.uniqueId, 'id')]));
    bytes.writeUInt32BE(crc32c(bytes), bytes.length - 9);
    expect(read(bytes).tlvs).toHaveLength(1);
  });

  it('is checked where the addresses are unspecified', () => {
    expect(read(withChecksum(0x00, noChecksum)).source).toBeUndefined();
    expect(parseProxyHeader(v2Bytes(0x21, 0x00, noChecksum)).kind).toBe('no-match');
  });

  it('is accepted as another implementation works it out', () => {
    // Sent by HAProxy 2.6 with send-proxy-v2 and proxy-v2-options crc32c,unique-id,authority.
    const bytes = Buffer.from(
      '0d0a0d0a000d0a515549540a21110023' +
        '0a0102030a040506123401bb' +
        '030004b19f8bca' +
        '02000665782e6f7267' +
        '05000469642d31',
      'hex',
    );
    expect(read(bytes).tlvs.map(({ value }) => Buffer.from(value).toString())).toEqual(['ex.org', 'id-1']);
  });
});
