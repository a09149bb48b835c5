/**
 * The identity that a renewer keeps for its workload, in a folder: `identity.pem` (the key and the chain in one file, so
 * that one rename swaps both), `bundle.pem` and `revoked.json`. Whoever serves with it watches these files.
 */
import { createHash, createPrivateKey, type X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import { parseSpiffeId, type SpiffeId } from '../core/identity.js';
import type { Trust } from './authority.js';
import { readAllCertificates } from './identity-files.js';
import { fileError, SECRET_MODE, writeWhole } from './safe-files.js';

export interface KeptIdentity {
  /** PEM: the leaf, then its issuer. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
  readonly identity: SpiffeId;
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Id of its issuer, as `Trust.issuer` has it. */
  readonly issuer: string;
}

export function identityFilesIn(directory: string) {
  const identity = join(directory, 'identity.pem');
  return {
    certificate: identity,
    key: identity,
    bundle: join(directory, 'bundle.pem'),
    revoked: join(directory, 'revoked.json'),
  };
}

/** @throws MeshproxyError `bad-certificate` where they do not belong together, or are for nobody */
export function readIdentity(chain: string, key: string, where: string): KeptIdentity {
  const [leaf, issuer] = readAllCertificates(chain, where);
  if (leaf === undefined || issuer === undefined) throw bad(where, 'there are no two certificates in it');
  if (!matches(leaf, key)) throw bad(where, 'its key is not that of its certificate');
  const uri = /^URI:([^,\s]+)$/.exec(leaf.subjectAltName ?? '')?.[1];
  if (uri === undefined) throw bad(where, 'its certificate names no workload');
  return {
    chain,
    key,
    identity: parseSpiffeId(uri),
    serial: leaf.serialNumber.toLowerCase(),
    notBefore: Date.parse(leaf.validFrom),
    notAfter: Date.parse(leaf.validTo),
    issuer: issuerId(issuer),
  };
}

/** Rejects where the folder holds something that cannot be used; `undefined` where it holds nothing yet. */
export async function loadKept(directory: string): Promise<{ kept: KeptIdentity; bundle: string } | undefined> {
  const { certificate: path, bundle } = identityFilesIn(directory);
  const text = await read(path);
  const roots = await read(bundle);
  if (text === undefined || roots === undefined) return undefined;
  const at = text.indexOf('-----BEGIN CERTIFICATE-----');
  if (at === -1) throw bad(path, 'there is no certificate in it');
  if (readAllCertificates(roots, bundle).length === 0) throw bad(bundle, 'there is no root in it');
  return { kept: readIdentity(text.slice(at), text.slice(0, at), path), bundle: roots };
}

export async function saveIdentity(directory: string, { key, chain }: KeptIdentity): Promise<void> {
  const { certificate } = identityFilesIn(directory);
  await writeWhole(certificate, key + chain, { how: 'replace', mode: SECRET_MODE });
}

/**
 * Before the identity, where both are new: who sees that finds whom to trust. What is revoked comes before the bundle: a
 * root that leaves that must be known as retired by then.
 */
export async function saveTrust(directory: string, trust: Trust): Promise<void> {
  const { bundle, revoked } = identityFilesIn(directory);
  await makeFolder(directory);
  const list = `${JSON.stringify(trust.revoked)}\n`;
  if ((await read(revoked)) !== list) await writeWhole(revoked, list, { how: 'replace' });
  if ((await read(bundle)) !== trust.bundle) await writeWhole(bundle, trust.bundle, { how: 'replace' });
}

/** Throws where the authority would have nobody trust anything: an accident, or not the authority. */
export function checkBundle({ bundle }: Trust): void {
  const roots = readAllCertificates(bundle, 'the bundle of the authority');
  if (roots.length === 0 || roots.some((root) => !root.ca)) {
    throw bad('the bundle of the authority', 'it holds no root, or something that is none');
  }
}

async function makeFolder(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fileError(directory, 'cannot be made', cause);
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw fileError(path, 'cannot be read', cause);
  }
}

function matches(leaf: X509Certificate, key: string): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** As `x509.ts` makes a key identifier, of which an id is the beginning; said here again so that who only renews need not load what issues. */
function issuerId(issuer: X509Certificate): string {
  const spki = issuer.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 8);
}

function bad(where: string, why: string, cause?: unknown): MeshproxyError {
  return new MeshproxyError(
    'bad-certificate',
    `${where}: ${why}${cause === undefined ? '' : `: ${describeError(cause)}`}`,
  );
}
