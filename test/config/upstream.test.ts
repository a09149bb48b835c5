import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseUpstream, UPSTREAM_PATTERN } from '../../src/config/upstream.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { formatUpstream, type Upstream } from '../../src/core/upstream.js';
import { address } from '../core/arbitraries.js';

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
const upstream: fc.Arbitrary<Upstream> = fc.oneof(
  address,
  fc
    .array(label, { minLength: 2, maxLength: 4 })
    .map((labels): Upstream => ({ kind: 'srv', name: `_${labels.join('.')}` })),
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    .filter((text) => !text.includes('\0'))
    .map((text): Upstream => ({ kind: 'file', path: `/${text.replace(/^\/+/, '')}x` })),
);

describe('an upstream', () => {
  it.each<[string, Upstream, string]>([
    ['10.0.0.1:80', { kind: 'ip', host: '10.0.0.1', port: 80 }, '10.0.0.1:80'],
    ['tcp://10.0.0.1:80', { kind: 'ip', host: '10.0.0.1', port: 80 }, '10.0.0.1:80'],
    ['TCP://[::1]:80/', { kind: 'ip', host: '::1', port: 80 }, '[::1]:80'],
    ['tcp://App.test:80', { kind: 'name', name: 'app.test', port: 80 }, 'app.test:80'],
    ['dns://app.test:80', { kind: 'name', name: 'app.test', port: 80 }, 'app.test:80'],
    ['srv://_app._tcp.Example.org', { kind: 'srv', name: '_app._tcp.example.org' }, 'srv://_app._tcp.example.org'],
    ['srv://app.service.consul/', { kind: 'srv', name: 'app.service.consul' }, 'srv://app.service.consul'],
    ['file:///etc/app.yaml', { kind: 'file', path: '/etc/app.yaml' }, 'file:///etc/app.yaml'],
    ['file:/etc/app.yaml', { kind: 'file', path: '/etc/app.yaml' }, 'file:///etc/app.yaml'],
    ['file://localhost/etc/app.yaml', { kind: 'file', path: '/etc/app.yaml' }, 'file:///etc/app.yaml'],
    ['file:app.yaml', { kind: 'file', path: 'app.yaml' }, 'file:app.yaml'],
    ['file:///a%20b%25.yaml', { kind: 'file', path: '/a b%.yaml' }, 'file:///a%20b%25.yaml'],
    ['unix:/run/app.sock', { kind: 'unix', path: '/run/app.sock' }, 'unix:/run/app.sock'],
    ['unix:///run/app.sock', { kind: 'unix', path: '/run/app.sock' }, 'unix:/run/app.sock'],
  ])('%s is %j, written %s', (text, expected, written) => {
    expect(parseUpstream(text)).toEqual(expected);
    expect(formatUpstream(expected)).toBe(written);
    expect(text.toLowerCase()).toMatch(new RegExp(UPSTREAM_PATTERN));
  });

  it.each([
    ['tpc://10.0.0.1:80', 'there is no scheme "tpc"', 'did you mean tcp://?'],
    ['fiel:///etc/app.yaml', 'there is no scheme "fiel"', 'did you mean file://?'],
    ['svr://_a._tcp.b', 'there is no scheme "svr"', 'did you mean srv://?'],
    ['unxi:///run/app.sock', 'there is no scheme "unxi"', 'did you mean unix:?'],
    ['http://10.0.0.1:80', 'it is a URL', 'leave out "http://"'],
    ['postgres://db:5432', 'it is a URL', 'leave out "postgres://"'],
    ['tcp://10.0.0.1', 'the port is missing', undefined],
    ['tcp://unix:/run/app.sock', 'a socket has no host', 'write unix:/run/app.sock'],
    ['dns://10.0.0.1:80', 'there is no name to resolve', 'write tcp://10.0.0.1:80'],
    ['dns://app.test', 'the port is missing', undefined],
    ['srv://', 'the name is missing', undefined],
    ['srv://_app._tcp.test:80', 'it has a port', 'SRV records name the ports'],
    ['srv://a b.test', 'is not a name of SRV records', undefined],
    ['srv://localhost', 'is not a name of SRV records', undefined],
    ['file://app.yaml', '"app.yaml" would be a host', 'write file:///PATH, or file:app.yaml'],
    ['file:///', 'it names no file', undefined],
    ['file:', 'it names no file', undefined],
    ['file:///a%zz', 'a % in it', 'write %25'],
    ['file:///a%00', 'zero byte', undefined],
  ])('%s is refused: %s (%s)', (text, why, hint) => {
    const refusal = refusalOf(text);
    expect(refusal).toMatchObject({ code: 'bad-address' });
    expect(refusal?.message).toContain(`address ${JSON.stringify(text)}: `);
    expect(refusal?.message).toContain(why);
    expect(refusal?.message).toContain('accepted are host:port, tcp://host:port');
    expect(refusal?.hint ?? '').toContain(hint ?? '');
  });

  it('written out is read back as the same, and is what the schema tells editors', () => {
    fc.assert(
      fc.property(upstream, (one) => {
        expect(parseUpstream(formatUpstream(one))).toEqual(one);
        expect(formatUpstream(one)).toMatch(new RegExp(UPSTREAM_PATTERN, 's'));
      }),
    );
  });

  it('is refused with words, whatever is written', () => {
    const part = fc.constantFrom(
      'tcp',
      'dns',
      'srv',
      'file',
      ':',
      '//',
      '/',
      '%',
      '[',
      ']',
      '80',
      'a',
      '_',
      '.',
      ' ',
      '\0',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((all) => all.join('')),
        ),
        (text) => {
          const refusal = refusalOf(text);
          if (refusal !== undefined) expect(refusal.message.startsWith(`address ${JSON.stringify(text)}: `)).toBe(true);
        },
      ),
    );
  });
});

/** Anything else that is thrown fails the test. */
function refusalOf(text: string): MeshproxyError | undefined {
  try {
    parseUpstream(text);
    return undefined;
  } catch (error) {
    if (error instanceof MeshproxyError) return error;
    throw error;
  }
}
