import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadIdentity } from '../../src/pki/identity-files.js';
import { hasOpenssl } from '../e2e/mesh-certificates.js';
import { CertificateMaker, type Issued, leafOf } from '../fakes/certificates.js';

function encrypted(key: string): string {
  const format = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' } as const;
  return createPrivateKey(key).export(format).toString();
}

const ID = 'spiffe://example.org/ns/default/sa/a';

describe('an identity in files', () => {
  let maker: CertificateMaker;
  let root: Issued;
  let middle: Issued;
  let leaf: Issued;
  let folder: string;
  beforeAll(() => {
    if (!hasOpenssl) return;
    maker = new CertificateMaker();
    root = maker.root('root');
    middle = maker.intermediate('middle', root);
    leaf = maker.leaf({ name: 'a', extensions: leafOf(ID) }, middle);
    folder = mkdtempSync(join(tmpdir(), 'meshproxy-identity-'));
  });
  afterAll(() => {
    maker?.close();
    if (folder) rmSync(folder, { recursive: true });
  });
  beforeEach((context) => context.skip(!hasOpenssl, 'openssl is not on PATH'));

  function file(name: string, contents: string, mode = 0o600): string {
    const path = join(folder, name);
    rmSync(path, { force: true });
    writeFileSync(path, contents, { mode });
    return path;
  }

  function files(parts: { chain?: string; key?: string; bundle?: string; mode?: number } = {}) {
    return {
      certificate: file('a.crt', parts.chain ?? leaf.chain),
      key: file('a.key', parts.key ?? leaf.key, parts.mode),
      bundle: file('roots.pem', parts.bundle ?? root.certificate),
    };
  }

  it('is read: who it is, until when, and its chain', async () => {
    const loaded = await loadIdentity(files());
    expect(loaded).toMatchObject({ name: ID, warnings: [] });
    expect(loaded.credential?.chain.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(loaded.roots?.match(/BEGIN CERTIFICATE/g)).toHaveLength(1);
    expect(loaded.notAfter).toBeGreaterThan(loaded.notBefore ?? Number.POSITIVE_INFINITY);
  });

  it('may be only somebody to trust', async () => {
    const { bundle } = files();
    expect(await loadIdentity({ bundle })).toMatchObject({
      credential: undefined,
      roots: expect.stringContaining('BEGIN'),
    });
  });

  it('is warned of where others can read its key', async () => {
    expect((await loadIdentity(files({ mode: 0o644 }))).warnings).toEqual([
      expect.stringMatching(/a\.key: others .* chmod 600/),
    ]);
  });

  it.each<[string, () => Parameters<typeof files>[0], RegExp]>([
    ['half a certificate', () => ({ chain: leaf.chain.slice(0, 400) }), /a\.crt: certificate 1 of it is not complete/],
    [
      'the second of them cut',
      () => ({ chain: leaf.chain.slice(0, -100) }),
      /a\.crt: certificate 2 of it is not complete/,
    ],
    ['nothing', () => ({ chain: '' }), /a\.crt: there is no certificate in it/],
    [
      'a certificate with a letter changed',
      () => ({ chain: leaf.chain.replace(/\nMII/, '\nMIJ') }),
      /a\.crt: certificate 1 of it is broken/,
    ],
    [
      'the chain upside down',
      () => ({ chain: middle.certificate + leaf.certificate, key: middle.key }),
      /did not issue the one before it/,
    ],
    ["somebody else's key", () => ({ key: root.key }), /a\.key: it is not the key of the certificate/],
    ['a key that is none', () => ({ key: 'secret' }), /a\.key: there is no private key in it/],
    ['an encrypted key', () => ({ key: encrypted(leaf.key) }), /a\.key: this private key is encrypted/],
    ['a bundle without a root', () => ({ bundle: '# none\n' }), /roots\.pem: there is no certificate in it/],
    [
      'a bundle with a leaf in it',
      () => ({ bundle: root.certificate + leaf.certificate }),
      /roots\.pem: .*sa\/a is no authority/,
    ],
    ['a file of megabytes', () => ({ chain: 'x'.repeat(2 ** 21) }), /a\.crt: it has 2097152 bytes/],
  ])('is refused with words: %s', async (_, parts, words) => {
    await expect(loadIdentity(files(parts()))).rejects.toThrow(words);
  });

  it('is refused with words: no file', async () => {
    await expect(loadIdentity({ ...files(), key: join(folder, 'none') })).rejects.toThrow(/none: no such file/);
  });

  it.each([
    ['an identity without its trust domain', { identities: ['ns/default/sa/a'], serials: [] }, '"ns/default/sa/a"'],
    ['an identity with a space behind it', { identities: [`${ID} `], serials: [] }, `"${ID} "`],
    ['a serial that is none', { identities: [], serials: ['4aq'] }, '"4aq"'],
    ['half a fingerprint', { identities: [], serials: [], retiredRoots: ['ab'.repeat(16)] }, '"abab'],
  ])('a revocation that could never match is refused with words: %s', async (_, list, shown) => {
    const revoked = file('revoked.json', JSON.stringify(list));
    await expect(loadIdentity({ ...files(), revoked })).rejects.toThrow(`revoked.json: ${shown}`);
  });

  it('may come with tens of thousands of revocations', async () => {
    const serials = Array.from({ length: 50_000 }, (_, index) => index.toString(16).padStart(40, '0'));
    const revoked = file('revoked.json', JSON.stringify({ identities: [], serials }));
    expect((await loadIdentity({ ...files(), revoked })).revoked.serials).toEqual(serials);
  });
});
