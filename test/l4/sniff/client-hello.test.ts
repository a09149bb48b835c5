import tls from 'node:tls';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLIENT_HELLO_MAX_BYTES, parseClientHello } from '../../../src/l4/sniff/client-hello.js';
import { firstBytesOf, missing, program } from './clients.js';
import { atEverySplit, feed } from './feeding.js';

const isWhole = (bytes: Buffer): boolean => bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt16BE(3);
const node = (options: tls.ConnectionOptions) => (port: number) => {
  const socket = tls.connect({ ...options, port, host: '127.0.0.1', rejectUnauthorized: false });
  socket.on('error', () => {});
  return () => void socket.destroy();
};
const openssl = (...more: string[]) =>
  program('openssl', (port) => ['s_client', '-connect', `127.0.0.1:${port}`, ...more]);
const curl = (...more: string[]) =>
  program('curl', (port) => [
    '-sk',
    '--resolve',
    `orders.example:${port}:127.0.0.1`,
    ...more,
    `https://orders.example:${port}/`,
  ]);

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const vector = (size: 1 | 2, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([size === 1 ? Buffer.from([body.length]) : u16(body.length), body]);
};
const extension = (type: number, body: Uint8Array): Buffer => Buffer.concat([u16(type), vector(2, body)]);
const hostName = (name: string | Uint8Array, type = 0): Buffer =>
  Buffer.concat([Buffer.from([type]), vector(2, Buffer.from(name))]);
const serverName = (...names: Buffer[]): Buffer => extension(0, vector(2, ...names));
const alpn = (...protocols: string[]): Buffer =>
  extension(16, vector(2, ...protocols.map((one) => vector(1, Buffer.from(one)))));

function message(extensions: Buffer | undefined, suites = Buffer.from('1301', 'hex')): Buffer {
  const fixed = Buffer.concat([Buffer.from('0303', 'hex'), Buffer.alloc(32, 7)]);
  const parts = [fixed, vector(1, Buffer.alloc(32)), vector(2, suites), vector(1, Buffer.alloc(1))];
  const body = Buffer.concat(extensions === undefined ? parts : [...parts, vector(2, extensions)]);
  return Buffer.concat([Buffer.from([1, 0]), u16(body.length), body]);
}

/** In records of these sizes, the last one again and again. */
function inRecords(bytes: Buffer, sizes: readonly number[] = [1 << 14]): Buffer {
  const records: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index += 1) {
    const size = sizes[Math.min(index, sizes.length - 1)] ?? 1;
    const fragment = bytes.subarray(at, at + size);
    records.push(Buffer.concat([Buffer.from('160301', 'hex'), u16(fragment.length), fragment]));
    at += fragment.length;
  }
  return Buffer.concat(records);
}

const hello = (...extensions: Buffer[]): Buffer => inRecords(message(Buffer.concat(extensions)));

describe('the ClientHello', () => {
  it.for([
    ['Node, TLS 1.3', node({ servername: 'Orders.Example' }), 'orders.example', []],
    ['Node, TLS 1.2', node({ servername: 'a.b', maxVersion: 'TLSv1.2', ALPNProtocols: ['x'] }), 'a.b', ['x']],
    ['Node without a name', node({ ALPNProtocols: ['h2', 'http/1.1'] }), undefined, ['h2', 'http/1.1']],
    ['openssl', openssl('-servername', 'db.internal', '-alpn', 'postgresql'), 'db.internal', ['postgresql']],
    ['openssl, TLS 1.2', openssl('-servername', 'db.internal', '-tls1_2'), 'db.internal', []],
    ['openssl without a name', openssl('-noservername'), undefined, []],
    ['curl', curl(), 'orders.example', ['h2', 'http/1.1']],
    ['curl, HTTP/1.1', curl('--http1.1'), 'orders.example', ['http/1.1']],
  ] as const)('of %s is read, at every split', async ([who, client, name, protocols], { skip }) => {
    skip(missing(who) !== undefined, missing(who));
    const bytes = await firstBytesOf(client, isWhole);
    const result = atEverySplit(parseClientHello, bytes);
    expect(result).toEqual({
      kind: 'match',
      value: { serverName: name, alpn: protocols, encrypted: false },
      length: bytes.length,
    });
    // A message is the same in whatever records it comes.
    const content = bytes.subarray(5);
    for (const sizes of [[1], [3, 1, 1000], [100]])
      expect(parseClientHello(inRecords(content, sizes))).toMatchObject({
        value: result.kind === 'match' && result.value,
      });
  });

  it('says that what is really asked for is encrypted', () => {
    const bytes = hello(serverName(hostName('public.example')), extension(0xfe0d, Buffer.alloc(100)));
    expect(parseClientHello(bytes)).toMatchObject({ value: { serverName: 'public.example', encrypted: true } });
  });

  it.each([
    ['no extensions at all, as before TLS 1.3', inRecords(message(undefined)), undefined],
    ['extensions, and no name', hello(alpn('h2')), undefined],
    ['a name with the dot of the root', hello(serverName(hostName('a.example.'))), 'a.example'],
    ['a name with an underscore', hello(serverName(hostName('_a.b_c.example'))), '_a.b_c.example'],
    ['a name that no host has', hello(serverName(hostName('a b'))), undefined],
    ['a name with a zero byte', hello(serverName(hostName('a\0.example'))), undefined],
    ['an empty label', hello(serverName(hostName('a..b'))), undefined],
    ['a name that is too long', hello(serverName(hostName(`${'a.'.repeat(127)}b`))), undefined],
    ['a name of a kind that nobody knows', hello(serverName(hostName('a.example', 7))), undefined],
  ])('with %s is one', (_, bytes, name) => {
    expect(atEverySplit(parseClientHello, bytes)).toMatchObject({ kind: 'match', value: { serverName: name } });
  });

  it.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), /first byte is 71, not 22/],
    ['an alert', Buffer.from('15030100020128', 'hex'), /first byte is 21/],
    ['SSL 2', Buffer.from('802e0100', 'hex'), /first byte is 128/],
    ['another version of records', Buffer.from('16020100', 'hex'), /version is 2, not 3/],
    ['a ServerHello', Buffer.from('160303000402000000', 'hex'), /begins with message 2/],
    ['an empty record', Buffer.from('1603010000', 'hex'), /a record is empty/],
    ['a record that is too long', Buffer.from('1603014001', 'hex'), /16385 bytes, and 16384/],
    ['a message that is too long', Buffer.from('160301400001ffffff', 'hex'), /16777219 bytes long, and 65536/],
    [
      'another record in between',
      Buffer.concat([inRecords(Buffer.from('01', 'hex')), Buffer.from('15', 'hex')]),
      /type 21 comes in between/,
    ],
    ['no cipher suites', inRecords(message(Buffer.alloc(0), Buffer.alloc(0))), /cipher suites/],
    ['an extension that comes twice', hello(alpn('a'), alpn('b')), /16 comes twice/],
    ['an extension that says too much', hello(Buffer.from('00100005', 'hex')), /cut short/],
    ['two names', hello(serverName(hostName('a'), hostName('b'))), /server name is malformed/],
    ['an empty list of names', hello(extension(0, vector(2))), /server name is malformed/],
    ['a name that says too much', hello(extension(0, vector(2, Buffer.from('00ffff', 'hex')))), /server name/],
    ['an empty protocol', hello(alpn('')), /protocols is malformed/],
    [
      'more behind its extensions',
      inRecords(Buffer.concat([Buffer.from('0100002c', 'hex'), message(Buffer.alloc(0)).subarray(4, 44 + 4)])),
      /short|long/,
    ],
  ])('is not there in %s', (_, bytes, why) => {
    const result = parseClientHello(bytes);
    expect(result).toMatchObject({ kind: 'no-match', reason: expect.stringMatching(why) });
    expect(feed(parseClientHello, bytes).result).toEqual(result);
  });

  it('of 64 KB in records of one byte each is read in a few dozen looks', () => {
    const padding = Array.from({ length: 4 }, (_, index) => extension(1000 + index, Buffer.alloc(15_000)));
    const bytes = inRecords(message(Buffer.concat([...padding, serverName(hostName('a.example'))])), [1]);
    const { result, asked } = feed(parseClientHello, bytes);
    expect(result).toMatchObject({ kind: 'match', value: { serverName: 'a.example' }, length: bytes.length });
    expect(asked).toBeLessThan(100);
    expect(CLIENT_HELLO_MAX_BYTES).toBeGreaterThan(60_000);
  });

  it('is looked for in anything without harm', () => {
    const good = hello(serverName(hostName('a.example')), alpn('h2'));
    const broken = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
      const bytes = Buffer.from(good);
      bytes[at] = byte;
      return bytes;
    });
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      broken,
      fc.uint8Array().map((rest) => Buffer.concat([good.subarray(0, 5), rest])),
    );
    fc.assert(
      fc.property(anything, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (bytes, sizes) => {
        const whole = parseClientHello(bytes);
        const { result } = feed(parseClientHello, bytes, sizes);
        expect(result.kind).toBe(whole.kind);
        if (whole.kind === 'match') expect(whole.length).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2000 },
    );
  });
});
