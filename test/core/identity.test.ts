import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeshproxyError } from '../../src/core/errors.js';
import {
  authorityIdentity,
  formatSpiffeId,
  isAuthorityIdentity,
  parseIdentity,
  parseSpiffeId,
  parseTrustDomain,
} from '../../src/core/identity.js';

const domain = fc.stringMatching(/^[a-z0-9._-]{1,60}$/);
const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/).filter((text) => text !== '.' && text !== '..');
const id = fc.record({ trustDomain: domain, namespace: segment, name: segment });

describe('a SPIFFE ID', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(id, (one) => {
        expect(parseSpiffeId(formatSpiffeId(one))).toEqual(one);
      }),
    );
  });

  it('is known by its short form within a trust domain', () => {
    fc.assert(
      fc.property(id, ({ trustDomain, namespace, name }) => {
        const short = `ns/${namespace}/sa/${name}`;
        expect(parseIdentity(short, trustDomain)).toEqual({ trustDomain, namespace, name });
        expect(parseIdentity(`spiffe://${trustDomain}/${short}`, 'another.test')).toEqual({
          trustDomain,
          namespace,
          name,
        });
      }),
    );
  });

  it('is the only text that reads as what it is: whatever is accepted is written the same again', () => {
    const text = fc.oneof(
      fc.string(),
      id
        .map(formatSpiffeId)
        .chain((whole) =>
          fc.nat(whole.length).chain((at) => fc.string().map((more) => whole.slice(0, at) + more + whole.slice(at))),
        ),
    );
    fc.assert(
      fc.property(text, (one) => {
        try {
          expect(formatSpiffeId(parseSpiffeId(one))).toBe(one);
        } catch (error) {
          expect(error).toBeInstanceOf(MeshproxyError);
        }
      }),
    );
  });

  it.each([
    ['https://example.org/ns/a/sa/b', 'does not begin with spiffe://'],
    ['spiffe://Example.org/ns/a/sa/b', 'lower case'],
    ['spiffe://example.org:80/ns/a/sa/b', 'lower case'],
    ['spiffe:///ns/a/sa/b', 'the trust domain is missing'],
    ['spiffe://example.org/ns//sa/b', 'empty segment'],
    ['spiffe://example.org/ns/../sa/b', 'the segment ".."'],
    ['spiffe://example.org/ns/a/sa/b/', 'empty segment'],
    ['spiffe://example.org/ns/a/sa/b%20', 'letters, digits'],
    ['spiffe://example.org/sa/b', 'its path is not /ns/NAMESPACE/sa/NAME'],
    ['spiffe://example.org', 'its path is not /ns/NAMESPACE/sa/NAME'],
    [`spiffe://example.org/ns/a/sa/${'b'.repeat(2048)}`, 'longer than 2048 bytes'],
  ])('is not %s', (text, why) => {
    expect(() => parseSpiffeId(text)).toThrow(why);
  });
});

it('a trust domain is a name alone', () => {
  expect(parseTrustDomain('example.org')).toBe('example.org');
  expect(() => parseTrustDomain('spiffe://example.org')).toThrow('lower case letters');
  expect(() => parseTrustDomain('')).toThrow('missing');
});

it('the authority has a name of its own', () => {
  expect(formatSpiffeId(authorityIdentity('example.org'))).toBe('spiffe://example.org/ns/meshproxy/sa/ca');
  expect(isAuthorityIdentity(parseSpiffeId('spiffe://other.test/ns/meshproxy/sa/ca'))).toBe(true);
  expect(isAuthorityIdentity(parseSpiffeId('spiffe://example.org/ns/meshproxy/sa/web'))).toBe(false);
});
