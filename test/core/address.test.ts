import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { formatAddress, formatHostPort, isLoopback, parseAddress, unmapped } from '../../src/core/address.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { ipToBytes } from '../../src/core/ip.js';
import * as arbitrary from './arbitraries.js';

function refusal(text: string): MeshproxyError {
  try {
    parseAddress(text);
  } catch (error) {
    if (error instanceof MeshproxyError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(text)} was accepted`);
}

describe('an address as people write it', () => {
  test.each([
    ['10.0.0.1:80', { kind: 'ip', host: '10.0.0.1', port: 80 }],
    ['0.0.0.0:0', { kind: 'ip', host: '0.0.0.0', port: 0 }],
    ['[::1]:65535', { kind: 'ip', host: '::1', port: 65535 }],
    ['[2001:DB8:0:0::1]:80', { kind: 'ip', host: '2001:db8::1', port: 80 }],
    ['[fe80::1%eth0]:80', { kind: 'ip', host: 'fe80::1%eth0', port: 80 }],
    ['[::ffff:10.0.0.1]:80', { kind: 'ip', host: '10.0.0.1', port: 80 }],
    ['[::FFFF:a00:1]:80', { kind: 'ip', host: '10.0.0.1', port: 80 }],
    [':80', { kind: 'any', port: 80 }],
    ['*:80', { kind: 'any', port: 80 }],
    ['localhost:0080', { kind: 'name', name: 'localhost', port: 80 }],
    ['Example.ORG.:443', { kind: 'name', name: 'example.org.', port: 443 }],
    ['_http._tcp.db_1:1', { kind: 'name', name: '_http._tcp.db_1', port: 1 }],
    ['10.example:80', { kind: 'name', name: '10.example', port: 80 }],
    ['unix:/run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
    ['unix:///run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
    ['unix://///run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
    ['unix:app.sock', { kind: 'unix', path: 'app.sock' }],
    ['unix:@app', { kind: 'unix', path: '@app' }],
    [`unix:/${'x'.repeat(106)}`, { kind: 'unix', path: `/${'x'.repeat(106)}` }],
  ])('%s', (text, expected) => {
    expect(parseAddress(text)).toEqual(expected);
  });

  it('is written so that it is read back as the same', () => {
    fc.assert(
      fc.property(arbitrary.address, (address) => {
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });

  it('has one form, whichever way it was written', () => {
    fc.assert(
      fc.property(arbitrary.ipv6, arbitrary.port, (host, port) => {
        const groups = Buffer.from(ipToBytes(host)).toString('hex').toUpperCase().match(/.{4}/g) ?? [];
        expect(formatAddress(parseAddress(`[${groups.join(':')}]:${port}`))).toBe(formatHostPort(host, port));
      }),
    );
  });
});

describe('what is not an address', () => {
  test.each([
    ['', 'it is empty', undefined],
    ['10.0.0.1: 80', 'white space', undefined],
    ['10.0.0.1:80\n', 'white space', undefined],
    ['8080', 'the port is missing', 'write :8080'],
    ['example.org', 'the port is missing', 'write example.org:80, for example'],
    ['example.org:', 'the port is missing', undefined],
    ['::1', 'the port is missing', 'write [::1]:80, for example'],
    ['[::1]', 'the port is missing', 'write [::1]:80, for example'],
    ['[::1]80', 'the port is missing', 'write [::1]:80, for example'],
    ['[::1', 'the closing bracket is missing', undefined],
    ['[]:80', '"" is not an IPv6 address', undefined],
    ['[10.0.0.1]:80', '"10.0.0.1" is not an IPv6 address', undefined],
    ['[::g]:80', '"::g" is not an IPv6 address', undefined],
    ['a:1:2', 'more than one colon', 'put an IPv6 address in brackets, as in [::1]:80'],
    ['http://example.org:80', 'it is a URL', 'leave out "http://"'],
    ['/run/app.sock', 'a path needs a prefix', 'write unix:/run/app.sock'],
    ['unix:', 'the path is missing', undefined],
    ['unix:@', 'the path is missing', undefined],
    ['unix:/a\0b', 'zero byte', undefined],
    [`unix:/${'ü'.repeat(54)}`, 'the path is 109 bytes long and the kernel takes 107', undefined],
    ['a:80x', 'the port "80x" is not a number', undefined],
    ['a:-1', 'the port "-1" is not a number', undefined],
    ['a:0x50', 'the port "0x50" is not a number', undefined],
    ['a:65536', 'the port 65536 is not between 0 and 65535', undefined],
    [`a:${'9'.repeat(400)}`, 'is not between 0 and 65535', undefined],
    ['10.0.0.256:80', '"10.0.0.256" is not an IPv4 address', undefined],
    ['10.0.0.01:80', '"10.0.0.01" is not an IPv4 address', undefined],
    ['1.2.3:80', '"1.2.3" is not an IPv4 address', undefined],
    ['-a:80', '"-a" is not a host name', undefined],
    ['a-.b:80', '"a-.b" is not a host name', undefined],
    ['a..b:80', '"a..b" is not a host name', undefined],
    [`${'a'.repeat(64)}:80`, 'is not a host name', undefined],
    [`${'a.'.repeat(127)}a:80`, 'is not a host name', undefined],
    ['bücher.example:80', '"bücher.example" is not a host name', undefined],
  ])('%j is refused in words', (text, words, hint) => {
    const error = refusal(text);
    expect(error.code).toBe('bad-address');
    expect(error.message).toContain(words);
    expect(error.message).toContain(JSON.stringify(text));
    expect(error.message).toContain('accepted are host:port, :port, [ipv6]:port and unix:/path');
    expect(error.hint).toBe(hint);
  });

  const pieces = [
    '[',
    ']',
    ':',
    '.',
    '-',
    '_',
    '%',
    '*',
    '@',
    '/',
    'unix:',
    'http://',
    '::',
    '1',
    '255',
    '65536',
    'a',
    ' ',
    '\0',
  ];
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.constantFrom(...pieces)).map((all) => all.join('')),
  );

  it('is refused with a bad-address error and nothing else, and what is accepted has one form', () => {
    fc.assert(
      fc.property(text, (text) => {
        try {
          const address = parseAddress(text);
          expect(parseAddress(formatAddress(address))).toEqual(address);
        } catch (error) {
          expect(error).toBeInstanceOf(MeshproxyError);
          expect(error).toMatchObject({ code: 'bad-address' });
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('addresses of sockets', () => {
  it('are shown as IPv4 where a dual-stack socket reports them as IPv4-mapped', () => {
    expect(formatHostPort('::ffff:10.0.0.1', 80)).toBe('10.0.0.1:80');
    expect(formatHostPort('::1', 80)).toBe('[::1]:80');
    expect(unmapped('::ffff:a')).toBe('::ffff:a');
  });

  test.each([
    ['127.0.0.1:80', true],
    ['127.255.0.1:80', true],
    ['[::1]:80', true],
    ['[0:0::0:1]:80', true],
    ['[::ffff:127.0.0.1]:80', true],
    ['localhost:80', true],
    ['a.localhost.:80', true],
    ['unix:/run/app.sock', true],
    [':80', false],
    ['0.0.0.0:80', false],
    ['[::]:80', false],
    ['128.0.0.1:80', false],
    ['notlocalhost:80', false],
    ['localhost.example:80', false],
  ])('%s is reached from this machine only: %s', (text, expected) => {
    expect(isLoopback(parseAddress(text))).toBe(expected);
  });
});
