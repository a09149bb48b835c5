/** Makes an authority: a root, which need not stay on the machine, and the issuer below it, which signs every day. */
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { MeshproxyError } from '../core/errors.js';
import { MAX_LEAF_LIFETIME_MS, signerOf } from './issuer.js';
import { toPem } from './pem.js';
import { buildIssuing, buildRoot, ISSUER_LIFETIME_MS, type KeyPair, ROOT_LIFETIME_MS } from './profiles.js';
import type { CaState } from './state.js';
import type { CaStore } from './store.js';
import { keyIdentifier, spkiOf } from './x509.js';

export interface NewMember {
  /** As `ca.json` has it. */
  readonly id: string;
  readonly certificate: X509Certificate;
  readonly keys: KeyPair;
}

/**
 * Rejects where the folder holds an authority already, and has changed nothing then.
 * @param now milliseconds since 1970
 */
export async function initAuthority(store: CaStore, trustDomain: string, now: number): Promise<CaState> {
  if (await store.has('ca.json')) throw taken(store, await store.readState());
  await store.prepareFolder();
  const root = newRoot(trustDomain, now);
  const issuer = newIssuer(trustDomain, root.certificate, root.keys.privateKey, now);
  await store.addMember(`root-${root.id}`, String(root.certificate), root.keys.privateKey);
  await store.addMember(`issuer-${issuer.id}`, String(issuer.certificate), issuer.keys.privateKey);
  const state: CaState = {
    trustDomain,
    roots: [{ id: root.id, role: 'active', since: now }],
    issuers: [{ id: issuer.id, role: 'active', since: now, root: root.id }],
  };
  await store.commit(state, 'create');
  return state;
}

/** Time enough to replace the root: the longest that a leaf lives. */
const LEAST_ISSUER_MS = MAX_LEAF_LIFETIME_MS;

export function newRoot(trustDomain: string, now: number): NewMember {
  const keys = newKeys();
  return member(buildRoot({ trustDomain, now, lifetimeMs: ROOT_LIFETIME_MS }, keys), keys);
}

/** Ends with its root where that ends before. Throws a `MeshproxyError` `bad-certificate` where that is too soon. */
export function newIssuer(trustDomain: string, root: X509Certificate, key: KeyObject, now: number): NewMember {
  const left = Date.parse(root.validTo) - now;
  if (left < LEAST_ISSUER_MS) {
    throw new MeshproxyError('bad-certificate', `the root ends at ${new Date(root.validTo).toISOString()}: too soon`, {
      hint: 'replace it: meshproxy ca rotate root',
    });
  }
  const keys = newKeys();
  const { publicKey } = keys;
  const lifetimeMs = Math.min(ISSUER_LIFETIME_MS, left);
  return member(buildIssuing({ trustDomain, publicKey, now, lifetimeMs }, signerOf(root, key)), keys);
}

export function newKeys(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function member(der: Buffer, keys: KeyPair): NewMember {
  const id = keyIdentifier(spkiOf(keys.publicKey)).toString('hex', 0, 4);
  return { id, certificate: new X509Certificate(toPem('CERTIFICATE', der)), keys };
}

function taken(store: CaStore, { trustDomain, roots }: CaState): MeshproxyError {
  const names = roots.map(({ id }) => id).join(', ');
  return new MeshproxyError(
    'usage',
    `${store.directory} holds the authority of ${trustDomain} already (root ${names}); nothing was changed`,
    { hint: 'choose another folder with --dir, or look at this one: meshproxy ca status' },
  );
}
