import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseHttpRequest } from '../../../src/l4/sniff/http1.js';
import { firstBytesOf, missing, program } from './clients.js';
import { atEverySplit, feed, withoutReason } from './feeding.js';

const parse = (text: string) => parseHttpRequest(Buffer.from(text, 'latin1'));
const curl = (...more: string[]) => program('curl', (port) => ['-s', ...more, `http://127.0.0.1:${port}/path?q`]);

describe('an HTTP/1 request', () => {
  it.for([
    ['curl', curl(), { host: '127.0.0.1' }, false],
    ['curl for a name', curl('-H', 'Host: Orders.Example:8080'), { host: 'orders.example', port: 8080 }, false],
    [
      'curl through a proxy',
      program('curl', (port) => ['-s', '-x', `http://127.0.0.1:${port}`, 'http://orders/']),
      { host: 'orders' },
      false,
    ],
    [
      'curl by CONNECT',
      program('curl', (port) => ['-s', '-p', '-x', `http://127.0.0.1:${port}`, 'http://orders/']),
      { host: 'orders', port: 80 },
      true,
    ],
  ] as const)('of %s is read, at every split', async ([who, client, authority, isConnect], { skip }) => {
    skip(missing(who) !== undefined, missing(who));
    const bytes = await firstBytesOf(client, (all) => all.includes('\r\n\r\n'));
    expect(atEverySplit(parseHttpRequest, bytes)).toMatchObject({ kind: 'match', value: { isConnect, authority } });
  });

  it.each([
    ['a host', 'GET / HTTP/1.1\r\nHost: a\r\n', { host: 'a', port: undefined }],
    ['a host and a port', 'GET / HTTP/1.1\r\nHost:a:80\r\n', { host: 'a', port: 80 }],
    ['a host in capitals, with spaces', 'GET / HTTP/1.1\r\nHOST: \t A.B. \t\r\n', { host: 'a.b', port: undefined }],
    ['an address', 'GET / HTTP/1.1\r\nHost: [2001:DB8::1]:8080\r\n', { host: '2001:db8::1', port: 8080 }],
    ['other fields before it', 'GET / HTTP/1.1\r\nAccept: */*\r\nX-Host: b\r\nHost: a\r\n', { host: 'a' }],
    ['bare line feeds', 'GET / HTTP/1.0\nHost: a\n', { host: 'a' }],
    ['a target that overrules', 'GET http://u:p@b:81/x@y HTTP/1.1\r\nHost: a\r\n', { host: 'b', port: 81 }],
    ['a target for an address', 'OPTIONS https://[::1] HTTP/1.1\r\n', { host: '::1', port: undefined }],
    ['no host (HTTP/1.0)', 'GET / HTTP/1.0\r\n\r\n', undefined],
    ['an empty host', 'GET / HTTP/1.1\r\nHost:\r\n', undefined],
    ['a host in a body', 'POST / HTTP/1.0\r\n\r\nHost: a\r\n', undefined],
  ])('with %s is for that one', (_, text, authority) => {
    const result = atEverySplit(parseHttpRequest, Buffer.from(text));
    expect(result).toMatchObject({ kind: 'match', value: { isConnect: false } });
    const read = result.kind === 'match' ? result.value.authority : undefined;
    if (authority === undefined) expect(read).toBeUndefined();
    else expect(read).toMatchObject(authority);
  });

  it.each([
    ['TLS', '\x16\x03\x01', /begins with/],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n', /begins with "SSH-2.0-OpenSSH_9.2/],
    ['SMTP', 'EHLO example.com\r\n', /begins with/],
    ['a space first', ' GET', /begins with/],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\n', /begins with/],
    ['HTTP/0.9', 'GET /\r\n', /begins with/],
    ['a method without end', 'A'.repeat(33), /begins with/],
    ['a first line without end', `GET /${'a'.repeat(20_000)}`, /first line is too long/],
    ['a field without end', `GET / HTTP/1.1\r\nA: ${'a'.repeat(20_000)}`, /a line of its header is too long/],
    ['a host that is none', 'GET / HTTP/1.1\r\nHost: a b\r\n', /it is for "a b"/],
    ['a port that is none', 'GET / HTTP/1.1\r\nHost: a:65536\r\n', /it is for "a:65536"/],
    ['two hosts in one', 'GET / HTTP/1.1\r\nHost: a, b\r\n', /it is for/],
    ['an address that is none', 'GET / HTTP/1.1\r\nHost: [::g]\r\n', /it is for/],
  ])('is not there in %s', (_, text, why) => {
    const result = parse(text);
    expect(result).toMatchObject({ kind: 'no-match', reason: expect.stringMatching(why) });
    expect(feed(parseHttpRequest, Buffer.from(text, 'latin1')).result.kind).toBe('no-match');
  });

  it('of 64 KB that come byte by byte is read no line of twice', () => {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(10_000)}Host: a\r\n`);
    let read = 0;
    const { result } = feed((all, from = 0) => {
      read += Math.max(0, all.length - from - 8);
      return parseHttpRequest(all, from);
    }, bytes);
    expect(result).toMatchObject({ kind: 'match', value: { authority: { host: 'a' } } });
    // Of its first line alone every byte is looked at again; of the others, none that is in a line before the last.
    expect(read).toBeLessThan(100);
  });

  it('is looked for in anything without harm', () => {
    const text = fc.array(
      fc.constantFrom(
        'GET ',
        '/',
        ' HTTP/1.1',
        '\r\n',
        'Host: ',
        'a',
        ':80',
        '\0',
        ' ',
        '\xff',
        'CONNECT ',
        'http://',
        '@',
        '[',
        ']',
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          text.map((parts) => Buffer.from(parts.join(''), 'latin1')),
        ),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
        (bytes, sizes) => {
          expect(withoutReason(feed(parseHttpRequest, bytes, sizes).result)).toEqual(
            withoutReason(parseHttpRequest(bytes)),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });
});
