import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../src/core/clock.js';
import { FollowedIdentity } from '../src/followed-identity.js';
import type { Identity } from '../src/pki/identity-files.js';
import { ProxyIdentity } from '../src/proxy-identity.js';
import { newAuthority, newFolder, newLeaf, WEB } from './fakes/authority.js';

const NOBODY_REVOKED = { identities: [], serials: [], retiredRoots: [] };

/** The files of an identity, and how its list of revocations is written. */
async function newFiles() {
  const { authority } = await newAuthority();
  const folder = newFolder();
  const path = (name: string): string => join(folder, name);
  const files = { certificate: path('a.pem'), key: path('a.key'), bundle: path('roots.pem'), revoked: path('revoked') };
  const revoke = (...identities: string[]): void =>
    writeFileSync(files.revoked, JSON.stringify({ ...NOBODY_REVOKED, identities }));
  const certify = async (): Promise<void> => {
    const { cert, key } = await newLeaf(authority);
    writeFileSync(files.certificate, cert);
    writeFileSync(files.key, key, { mode: 0o600 });
  };
  await certify();
  writeFileSync(files.bundle, authority.trust.bundle);
  revoke();
  return { files, revoke, certify };
}

describe('an identity that is followed', () => {
  it('takes in what was written after it was loaded and before it is watched', async () => {
    const { files, revoke } = await newFiles();
    const changes: Identity[] = [];
    let versions = 0;
    const followed = await FollowedIdentity.load({
      files,
      clock: systemClock,
      nextVersion: () => ++versions,
      onChange: (identity) => changes.push(identity),
      say: () => {},
    });
    onTestFinished(() => followed.stop());
    revoke(WEB);
    await followed.follow();
    expect(changes.map(({ revoked }) => revoked.identities)).toEqual([[WEB]]);
    expect(followed.identity.revoked.identities).toEqual([WEB]);
  });

  it('takes a revocation though its own certificate is broken, and a new certificate though the list is', async () => {
    const { files, revoke, certify } = await newFiles();
    const said: string[] = [];
    let versions = 0;
    const followed = await FollowedIdentity.load({
      files,
      clock: systemClock,
      nextVersion: () => ++versions,
      onChange: () => {},
      say: (_, message) => said.push(message),
    });
    onTestFinished(() => followed.stop());
    await followed.follow();
    const first = followed.identity.credential;
    writeFileSync(files.certificate, 'half');
    revoke(WEB);
    await expect.poll(() => followed.identity.revoked.identities, { timeout: 10_000 }).toEqual([WEB]);
    expect(followed.identity.credential).toEqual(first);
    await expect.poll(() => followed.status?.refused, { timeout: 10_000 }).toMatch(/a\.pem: there is no certificate/);
    writeFileSync(files.revoked, '{"identities": [');
    await certify();
    await expect.poll(() => followed.identity.credential, { timeout: 10_000 }).not.toEqual(first);
    expect(followed.identity.revoked.identities).toEqual([WEB]);
    await expect.poll(() => followed.status?.refused, { timeout: 10_000 }).toMatch(/revoked: it is no list/);
    expect(said.at(-1)).toMatch(/what was there before stays in force$/);
  });

  it('is told as it is now when a configuration takes effect that was prepared before it changed', async () => {
    const { files, revoke } = await newFiles();
    const changes: Identity[] = [];
    const identity = new ProxyIdentity({
      clock: systemClock,
      onChange: (next) => changes.push(next),
      say: () => {},
    });
    onTestFinished(() => identity.stop());
    await (await identity.prepare(files)).commit();
    const prepared = await identity.prepare(files);
    revoke(WEB);
    await expect.poll(() => changes.length, { timeout: 10_000 }).toBe(1);
    expect(prepared.identity.revoked.identities).toEqual([]);
    await prepared.commit();
    expect(changes.at(-1)?.revoked.identities).toEqual([WEB]);
    expect(changes).toHaveLength(2);
  });
});
