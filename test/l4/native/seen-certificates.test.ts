import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { parsedCertificate } from '../../../src/l4/native/seen-certificates.js';
import { buildRoot } from '../../../src/pki/profiles.js';

it('a certificate that was seen is parsed once, each is itself, and no more are kept than a bound', () => {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = Array.from({ length: 257 }, () =>
    buildRoot({ trustDomain: 'example.org', now: Date.now(), lifetimeMs: 3_600_000 }, keys),
  );
  const parsed = made.map((der) => parsedCertificate(der));
  for (const [index, der] of made.entries()) expect(parsed[index]?.raw.equals(der)).toBe(true);
  const [first, second] = made;
  if (!first || !second) throw new Error('unreachable');
  expect(parsedCertificate(Buffer.from(second))).toBe(parsed[1]);
  expect(parsedCertificate(first)).not.toBe(parsed[0]);
});
