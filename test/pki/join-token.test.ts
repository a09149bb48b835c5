import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { MeshproxyError } from '../../src/core/errors.js';
import { fingerprintOf, formatJoinToken, type JoinToken, parseJoinToken } from '../../src/pki/join-token.js';
import { hasOpenssl } from '../e2e/mesh-certificates.js';
import { CertificateMaker } from '../fakes/certificates.js';

const TOKEN: JoinToken = {
  secret: 'x'.repeat(43),
  identity: { trustDomain: 'example.org', namespace: 'default', name: 'web' },
  roots: ['ab'.repeat(32)],
  expires: 1_800_000_000_000,
};

/** The text of a token that has other fields than it should. */
function written(fields: object): string {
  const identity = 'spiffe://example.org/ns/default/sa/web';
  return `mpj1.${Buffer.from(JSON.stringify({ ...TOKEN, identity, ...fields })).toString('base64url')}`;
}

describe('a join token', () => {
  const hex = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const segment = fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/);
  const token: fc.Arbitrary<JoinToken> = fc.record(
    {
      secret: hex.map((bytes) => Buffer.from(bytes).toString('base64url')),
      identity: fc.record({ trustDomain: segment, namespace: segment, name: segment }),
      roots: fc.array(
        hex.map((bytes) => Buffer.from(bytes).toString('hex')),
        { minLength: 1, maxLength: 8 },
      ),
      expires: fc.nat(),
      ca: fc.constantFrom('ca.internal:8443', '10.0.0.1:1', '[::1]:8443', 'unix:/run/ca.sock'),
    },
    { requiredKeys: ['secret', 'identity', 'roots', 'expires'] },
  );

  it('is one word that is read back to the same, with the white space of a file around it', () => {
    fc.assert(
      fc.property(token, (one) => {
        const text = formatJoinToken(one);
        expect(text).toMatch(/^mpj1\.[\w-]+$/);
        expect(parseJoinToken(` ${text}\r\n`)).toEqual(one);
      }),
    );
  });

  it('is refused in words that do not repeat it, wherever it is cut or changed', () => {
    const text = formatJoinToken(TOKEN);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), (at, put) => {
        const changed = text.slice(0, at) + put;
        try {
          parseJoinToken(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(MeshproxyError);
          expect((error as MeshproxyError).code).toBe('bad-token');
          expect((error as MeshproxyError).message).not.toContain(TOKEN.secret.slice(0, 8));
        }
      }),
    );
  });

  it.each([
    ['', 'it is empty'],
    ['hvs.CAESI', 'it does not begin with mpj1.'],
    ['mpj1.%%%', 'characters in it that no token has'],
    [formatJoinToken(TOKEN).slice(0, -9), 'was all of it copied?'],
    [`mpj1.${'A'.repeat(9000)}`, 'longer than 8192'],
    [`mpj1.${Buffer.from('null').toString('base64url')}`, 'not whole'],
    [written({ secret: 'short' }), 'its secret'],
    [written({ roots: [] }), 'names no root'],
    [written({ roots: Array(9).fill(TOKEN.roots[0]) }), 'names no root'],
    [written({ roots: ['AB:CD'] }), 'not by fingerprints'],
    [written({ identity: 'web' }), 'no identity that can be read'],
    [written({ identity: { toString: 1 } }), 'no identity that can be read'],
    [written({ expires: 'soon' }), 'when it expires'],
    [written({ ca: 'nowhere' }), 'address of the authority'],
  ])('that is %j is refused: %s', (text, why) => {
    expect(() => parseJoinToken(text)).toThrow(why);
  });

  it('is not made of what would not be read back', () => {
    expect(() => formatJoinToken({ ...TOKEN, roots: [] })).toThrow('names no root');
  });
});

describe('the fingerprint of a root', () => {
  const maker = new CertificateMaker();
  afterEach(() => maker.close());

  it('is what openssl and a person see, without colons', (context) => {
    context.skip(!hasOpenssl, 'openssl is not on PATH');
    const root = new X509Certificate(maker.root('root').certificate);
    expect(fingerprintOf(root)).toMatch(/^[0-9a-f]{64}$/);
    expect(fingerprintOf(root)).toBe(root.fingerprint256.split(':').join('').toLowerCase());
  });
});
