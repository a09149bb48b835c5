import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createCsr, readCsr } from '../../src/pki/csr.js';
import { Issuer, LEAF_LIFETIME_MS, signerOf } from '../../src/pki/issuer.js';
import { toPem } from '../../src/pki/pem.js';
import { buildIssuing, buildRoot, ISSUER_LIFETIME_MS, type KeyPair, ROOT_LIFETIME_MS } from '../../src/pki/profiles.js';
import { spkiOf } from '../../src/pki/x509.js';
import { hasOpenssl } from '../e2e/mesh-certificates.js';

const DOMAIN = 'example.org';
const WEB = { trustDomain: DOMAIN, namespace: 'default', name: 'web' };

function newKeys(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** A root, an issuer below it, and their certificates as PEM. */
function authority(now = Date.now(), lifetimeMs = ISSUER_LIFETIME_MS) {
  const [rootKeys, issuerKeys] = [newKeys(), newKeys()];
  const rootDer = buildRoot({ trustDomain: DOMAIN, now, lifetimeMs: ROOT_LIFETIME_MS }, rootKeys);
  const signer = signerOf(new X509Certificate(rootDer), rootKeys.privateKey);
  const issuerDer = buildIssuing({ trustDomain: DOMAIN, publicKey: issuerKeys.publicKey, now, lifetimeMs }, signer);
  const [root, certificate] = [toPem('CERTIFICATE', rootDer), toPem('CERTIFICATE', issuerDer)];
  return { root, certificate, issuerKeys, issuer: new Issuer(certificate, issuerKeys.privateKey, DOMAIN) };
}

describe('an issuer', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meshproxy-issuer-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function file(name: string, contents: string): string {
    const path = join(folder, name);
    writeFileSync(path, contents);
    return path;
  }

  it('makes leaves that are SVIDs: for one workload, not an authority, no longer than it was asked for', () => {
    const { issuer, certificate } = authority();
    const now = Date.now();
    const keys = newKeys();
    const issued = issuer.issue({ spki: spkiOf(keys.publicKey), identity: WEB, lifetimeMs: LEAF_LIFETIME_MS, now });
    const leaf = new X509Certificate(issued.certificate);
    expect(leaf).toMatchObject({ ca: false, subjectAltName: 'URI:spiffe://example.org/ns/default/sa/web' });
    expect(leaf.serialNumber.toLowerCase()).toBe(issued.serial);
    expect(issued.serial).toMatch(/^[4-7][0-9a-f]{39}$/);
    expect(Date.parse(leaf.validTo)).toBe(issued.notAfter);
    expect(issued.notAfter).toBe(Math.floor((now + LEAF_LIFETIME_MS) / 1000) * 1000);
    expect(now - issued.notBefore).toBeGreaterThanOrEqual(30_000);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(leaf.verify(new X509Certificate(certificate).publicKey)).toBe(true);
    expect(leaf.publicKey.equals(keys.publicKey)).toBe(true);
  });

  it('makes none that outlives it, none for another trust domain, and none for too short or too long', () => {
    const now = Date.now();
    const { issuer } = authority(now, 600_000);
    const spki = spkiOf(newKeys().publicKey);
    const ask = { spki, identity: WEB, lifetimeMs: LEAF_LIFETIME_MS, now };
    expect(issuer.issue(ask).notAfter).toBe(issuer.notAfter);
    expect(() => issuer.issue({ ...ask, identity: { ...WEB, trustDomain: 'other.test' } })).toThrow(
      'not of other.test',
    );
    expect(() => issuer.issue({ ...ask, lifetimeMs: 1000 })).toThrow('is not between 5m and 7d');
    expect(() => issuer.issue({ ...ask, lifetimeMs: Number.NaN })).toThrow('is not between');
    expect(() => issuer.issue({ ...ask, now: now + 400_000 })).toThrow('too soon to issue anything');
  });

  it('is made of an authority and its own key', () => {
    const { certificate, issuerKeys, issuer } = authority();
    expect(() => new Issuer(certificate, newKeys().privateKey, DOMAIN)).toThrow(
      'the key is not the key of this certificate',
    );
    expect(() => new Issuer(certificate, issuerKeys.privateKey, 'other.test')).toThrow('not one of the trust domain');
    const leaf = issuer.issue({
      spki: spkiOf(issuerKeys.publicKey),
      identity: WEB,
      lifetimeMs: LEAF_LIFETIME_MS,
      now: Date.now(),
    });
    expect(() => new Issuer(leaf.certificate, issuerKeys.privateKey, DOMAIN)).toThrow('not an authority');
  });

  describe('by openssl', () => {
    beforeEach((context) => context.skip(!hasOpenssl, 'openssl is not on PATH'));

    function verify(certificate: string, root: string, chain: string): string {
      const [leaf, roots, above] = [file('leaf', certificate), file('root', root), file('chain', chain)];
      const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', roots, '-untrusted', above, leaf];
      try {
        return execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
      } catch (error) {
        return String((error as { stderr: string }).stderr);
      }
    }

    it('is verified to the letter, with its root and its leaves, and read', () => {
      const { root, certificate, issuer } = authority();
      const spki = spkiOf(newKeys().publicKey);
      const leaf = issuer.issue({ spki, identity: WEB, lifetimeMs: LEAF_LIFETIME_MS, now: Date.now() });
      expect(verify(leaf.certificate, root, issuer.chain)).toMatch(/: OK/);
      for (const pem of [root, certificate, leaf.certificate]) {
        const text = execFileSync('openssl', ['x509', '-noout', '-text'], { input: pem, encoding: 'utf8' });
        expect(text).toContain('Version: 3 (0x2)');
        expect(text).toContain('ecdsa-with-SHA256');
      }
    });

    it('is refused for a workload of another trust domain: its certificate does not permit that', () => {
      const { root, certificate, issuerKeys } = authority();
      // As one would who had stolen the key, and does not ask `issue`.
      class Thief extends Issuer {
        override readonly trustDomain = 'other.test';
      }
      const thief = new Thief(certificate, issuerKeys.privateKey, DOMAIN);
      const identity = { ...WEB, trustDomain: 'other.test' };
      const leaf = thief.issue({
        spki: spkiOf(newKeys().publicKey),
        identity,
        lifetimeMs: LEAF_LIFETIME_MS,
        now: Date.now(),
      });
      expect(verify(leaf.certificate, root, thief.chain)).toContain('permitted subtree violation');
    });

    it.each(['DNS:bank.example', 'IP:10.0.0.1', 'IP:2001:db8::1'])(
      'is refused for %s: who has stolen its key cannot pass for a host',
      (name) => {
        const { root, certificate, issuerKeys } = authority();
        const key = String(issuerKeys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
        const [issuer, issuerKey] = [file('thief.pem', certificate), file('thief.key', key)];
        const extensions = file('thief.ext', `subjectAltName=URI:spiffe://example.org/ns/a/sa/b,${name}\n`);
        const request = file('thief.csr', createCsr(newKeys()));
        const leaf = execFileSync(
          'openssl',
          [
            'x509',
            '-req',
            '-in',
            request,
            '-CA',
            issuer,
            '-CAkey',
            issuerKey,
            '-set_serial',
            '1',
            '-extfile',
            extensions,
          ],
          { encoding: 'utf8', stdio: 'pipe' },
        );
        expect(verify(leaf, root, certificate)).toContain('excluded subtree violation');
      },
    );

    it.each([
      [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
      [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
      [['-newkey', 'ed25519']],
      [['-newkey', 'rsa:2048']],
    ])('its requests are read (%j)', (kind) => {
      const args = ['req', ...kind, '-nodes', '-keyout', join(folder, 'key'), '-subj', '/CN=anybody/O=anything'];
      const request = execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
      const key = execFileSync('openssl', ['pkey', '-in', join(folder, 'key'), '-pubout'], { encoding: 'utf8' });
      expect(readCsr(request).publicKey.equals(createPublicKey(key))).toBe(true);
    });

    it('reads ours', () => {
      const text = execFileSync('openssl', ['req', '-noout', '-verify', '-text'], {
        input: createCsr(newKeys()),
        encoding: 'utf8',
        stdio: 'pipe',
      });
      expect(text).toContain('Certificate Request');
    });
  });
});
