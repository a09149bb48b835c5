import http2 from 'node:http2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseHttp2 } from '../../../src/l4/sniff/http2.js';
import { firstBytesOf, missing, program } from './clients.js';
import { atEverySplit, feed, withoutReason } from './feeding.js';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const SETTINGS = frame(4, 0, Buffer.alloc(0));

function frame(
  type: number,
  flags: number,
  body: Uint8Array,
  length = body.length,
  stream = type === 4 ? 0 : 1,
): Buffer {
  return Buffer.concat([
    Buffer.from([length >> 16, (length >> 8) & 255, length & 255, type, flags, 0, 0, 0, stream]),
    body,
  ]);
}
const request = (...frames: Buffer[]): Buffer => Buffer.concat([PREFACE, SETTINGS, ...frames]);
/** A literal value of the static table's `:authority`. */
const authority = (text: string): Buffer => Buffer.concat([Buffer.from([0x01, text.length]), Buffer.from(text)]);

const node = (headers: http2.OutgoingHttpHeaders) => (port: number) => {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  session.request(headers).on('error', () => {});
  return () => void session.destroy();
};
const isWhole = (bytes: Buffer): boolean => {
  for (let at = PREFACE.length; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
    if (bytes[at + 3] === 1) return at + 9 + bytes.readUIntBE(at, 3) <= bytes.length;
  return false;
};

describe('the first request of an HTTP/2 connection', () => {
  it.for([
    ['Node', node({ ':path': '/', ':authority': 'Orders.Example:8080' }), { host: 'orders.example', port: 8080 }],
    [
      'Node, with a host in place of an authority',
      node({ ':path': '/', ':authority': '', host: 'orders' }),
      { host: 'orders' },
    ],
    [
      'Node, with many fields',
      node({
        ':authority': 'a',
        ...Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`x-${i}`, 'y'.repeat(i)])),
      }),
      { host: 'a' },
    ],
    [
      'curl',
      program('curl', (port) => ['-s', '--http2-prior-knowledge', `http://127.0.0.1:${port}/`]),
      { host: '127.0.0.1' },
    ],
  ] as const)('of %s is read, at every split', async ([who, client, expected], { skip }) => {
    skip(missing(who) !== undefined, missing(who));
    const bytes = await firstBytesOf(client, isWhole);
    expect(atEverySplit(parseHttp2, bytes)).toMatchObject({ kind: 'match', value: { authority: expected } });
  });

  it('is read whatever characters its host has, as nghttp2 compresses them', async () => {
    for (const host of [
      'abcdefghijklmnopqrstuvwxyz',
      '0123456789.-_~',
      "!$&'()*+,;=",
      'x%20y',
      '[2001:db8::1]:65535',
    ]) {
      const bytes = await firstBytesOf(node({ ':path': '/', ':authority': host }), isWhole);
      const port = host.endsWith(':65535') ? 65_535 : undefined;
      const value = { authority: { host: port === undefined ? host : '2001:db8::1', port } };
      expect(parseHttp2(bytes)).toMatchObject({ kind: 'match', value });
    }
  });

  it.each([
    ['padding', request(frame(1, 0x0c, Buffer.concat([Buffer.from([3]), authority('a'), Buffer.alloc(3)])))],
    ['a priority', request(frame(1, 0x24, Buffer.concat([Buffer.alloc(5), authority('a')])))],
    [
      'both',
      request(frame(1, 0x2c, Buffer.concat([Buffer.from([1]), Buffer.alloc(5), authority('a'), Buffer.alloc(1)]))),
    ],
    [
      'a header in pieces',
      request(
        frame(1, 0, authority('a').subarray(0, 1)),
        frame(9, 0, Buffer.alloc(0)),
        frame(9, 4, authority('a').subarray(1)),
      ),
    ],
    [
      'frames before it',
      request(frame(8, 0, Buffer.alloc(4)), frame(16, 0, Buffer.from('u=1')), frame(1, 4, authority('a'))),
    ],
    ['another size of the table', request(frame(1, 4, Buffer.concat([Buffer.from('3fe11f', 'hex'), authority('a')])))],
    [
      'fields of its own making before it',
      request(frame(1, 4, Buffer.concat([Buffer.from('40017801798287be', 'hex'), authority('a')]))),
    ],
    [
      'its name in full',
      request(
        frame(
          1,
          4,
          Buffer.concat([Buffer.from([0, 10]), Buffer.from(':authority'), Buffer.from([1]), Buffer.from('a')]),
        ),
      ),
    ],
  ])('with %s is read, at every split', (_, bytes) => {
    expect(atEverySplit(parseHttp2, bytes)).toMatchObject({
      kind: 'match',
      value: { authority: { host: 'a' } },
      length: bytes.length,
    });
  });

  it('may be for nobody', () => {
    expect(parseHttp2(request(frame(1, 4, Buffer.from('828486', 'hex'))))).toMatchObject({
      kind: 'match',
      value: { authority: undefined },
    });
  });

  it.each([
    ['HTTP/1', Buffer.from('GET / HTTP/1.1\r\n'), /begins with/],
    ['another version', Buffer.from('PRI * HTTP/3.0'), /begins with/],
    ['no settings first', Buffer.concat([PREFACE, frame(1, 4, authority('a'))]), /first frame is of type 1/],
    ['data first', request(frame(0, 0, Buffer.from('x'))), /type 0 comes before/],
    ['a frame that is too long', request(frame(1, 4, Buffer.alloc(0), 16_385)), /16385 bytes/],
    ['more padding than there is', request(frame(1, 0x0c, Buffer.from([9, 0]))), /padded/],
    ['no end', request(frame(1, 0, authority('a')), frame(4, 0, Buffer.alloc(0))), /not continued/],
    [
      'more pieces than make sense',
      request(frame(1, 0, authority('a')), ...Array.from({ length: 10 }, () => frame(9, 0, Buffer.alloc(1)))),
      /too many pieces/,
    ],
    ['a string that says too much', request(frame(1, 4, Buffer.from('017f61', 'hex'))), /cannot be read/],
    ['a number without end', request(frame(1, 4, Buffer.from('ffffffffffffff', 'hex'))), /cannot be read/],
    ['Huffman padding of zeroes', request(frame(1, 4, Buffer.from('018118', 'hex'))), /cannot be read/],
    [
      'a whole byte of Huffman padding',
      request(frame(1, 4, Buffer.from('018207ff', 'hex').subarray(0, 4))),
      /cannot be read/,
    ],
    ['a host that is none', request(frame(1, 4, authority('a b'))), /it is for/],
  ])('is not there in %s', (_, bytes, why) => {
    const result = parseHttp2(bytes);
    expect(result).toMatchObject({ kind: 'no-match', reason: expect.stringMatching(why) });
    expect(feed(parseHttp2, bytes).result.kind).toBe('no-match');
  });

  it('is looked for in anything without harm', () => {
    const block = fc.uint8Array({ maxLength: 60 });
    const bytes = fc
      .tuple(fc.nat(16), fc.nat(255), block)
      .map(([type, flags, body]) => request(frame(type, flags, body)));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          block.map((body) => request(frame(1, 4, body))),
          bytes,
        ),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
        (all, sizes) => {
          expect(withoutReason(feed(parseHttp2, all, sizes).result)).toEqual(withoutReason(parseHttp2(all)));
        },
      ),
      { numRuns: 3000 },
    );
  });
});
