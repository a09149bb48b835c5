import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeshproxyError } from '../../src/core/errors.js';
import { createCsr, readCsr } from '../../src/pki/csr.js';
import { readElement } from '../../src/pki/der.js';
import { fromPem } from '../../src/pki/pem.js';

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const der = fromPem('CERTIFICATE REQUEST', createCsr(keys));

describe('a certificate request', () => {
  it('brings its key, as PEM in text or bytes, and as DER', () => {
    const pem = createCsr(keys);
    for (const request of [pem, Buffer.from(pem), der])
      expect(readCsr(request).publicKey.equals(keys.publicKey)).toBe(true);
  });

  it('is refused wherever a byte of it is another: the key is never that of somebody else', () => {
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(der);
        changed[at] = (changed[at] ?? 0) ^ change;
        expect(() => readCsr(changed)).toThrow(MeshproxyError);
      }),
      { numRuns: 300 },
    );
  });

  it('is refused with words, whatever the bytes are', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc
        .tuple(fc.nat(der.length), fc.uint8Array({ maxLength: 40 }), fc.nat(40))
        .map(([at, put, drop]) => Buffer.concat([der.subarray(0, at), put, der.subarray(at + drop + 1)])),
    );
    fc.assert(
      fc.property(bytes, (request) => {
        if (der.equals(request)) return;
        expect(() => readCsr(request)).toThrow(/^certificate request: /);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused where it is too long, or its key too weak', () => {
    expect(() => readCsr(Buffer.alloc(100_000, 0x30))).toThrow('longer than 16384 bytes');
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    expect(() => readCsr(createCsr(weak))).toThrow(/RSA key has 1024 bits|signature/);
    const other = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    expect(() => readCsr(createCsr(other))).toThrow('none of P-256, P-384, Ed25519 and RSA');
  });
});

describe('DER', () => {
  it.each([
    ['3080', 'indefinite length'],
    ['30810130', 'a length in more bytes than it needs'],
    ['3085000000000000', 'a length of 5 bytes'],
    ['3003', 'an element of 3 bytes where 0 are left'],
    ['30000000', '2 bytes follow the end'],
    ['1f8101', 'a tag number above 30'],
    ['30', 'ends within an element'],
    ['3082', 'ends within a length'],
  ])('%s is refused', (hex, why) => {
    expect(() => readElement(Buffer.from(hex, 'hex'))).toThrow(why);
  });
});
