/** Asking the authority for a certificate: the first by a token, each next one by the one there is. */
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdir, readFile, unlink } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import type { CancelSignal } from '../core/cancel.js';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import { formatSpiffeId, type SpiffeId } from '../core/identity.js';
import type { Trust } from './authority.js';
import type { CertificateAnswer } from './ca-answers.js';
import { type CaCalls, CaRefusal } from './ca-client.js';
import { createCsr } from './csr.js';
import { readAllCertificates } from './identity-files.js';
import { newKeys } from './init.js';
import { fingerprintOf, type JoinToken, parseJoinToken } from './join-token.js';
import { type KeptIdentity, readIdentity } from './kept-identity.js';
import type { KeyPair } from './profiles.js';
import { SECRET_MODE, writeWhole } from './safe-files.js';

export interface Got {
  readonly kept: KeptIdentity;
  readonly trust: Trust;
}

export interface JoinOptions {
  readonly client: CaCalls;
  readonly directory: string;
  readonly tokenFile: string | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * The key is on the disk before it is shown: the token is worth one certificate for one key, and where the answer is
 * lost, asking again with the same key gets another.
 */
export async function join({ client, directory, tokenFile, now }: JoinOptions, signal: CancelSignal): Promise<Got> {
  const { text, token } = await readToken(tokenFile, directory);
  if (token.expires <= now) {
    const at = new Date(token.expires).toISOString();
    throw new MeshproxyError('bad-token', `${tokenFile}: the join token expired at ${at}`, { hint: NEW_TOKEN });
  }
  const bundle = rootsByFingerprint(await client.unverifiedTrust(signal), token, client.address);
  const keys = await pendingKeys(pendingIn(directory), directory);
  const session = { trustDomain: token.identity.trustDomain, bundle };
  const answer = await client.certificate(session, createCsr(keys), text, signal);
  const got = read(answer, keys, token.identity, client.address);
  // What was opened without a certificate is of no use from now on.
  client.close();
  return got;
}

/** Once the identity is on the disk, and not before: the token is of no use without this key. */
export async function joined(directory: string): Promise<void> {
  await unlink(pendingIn(directory)).catch(() => {});
}

function pendingIn(directory: string): string {
  return joinPath(directory, 'joining.key');
}

export interface RenewOptions {
  readonly client: CaCalls;
  readonly kept: KeptIdentity;
  /** PEM of the roots that are trusted now. */
  readonly bundle: string;
}

export async function renew({ client, kept, bundle }: RenewOptions, signal: CancelSignal): Promise<Got> {
  const keys = newKeys();
  const session = { trustDomain: kept.identity.trustDomain, bundle, credential: kept };
  const answer = await client.certificate(session, createCsr(keys), undefined, signal);
  return read(answer, keys, kept.identity, client.address);
}

const NEW_TOKEN = 'get a new one from where the authority is: meshproxy ca token --identity …';

async function readToken(file: string | undefined, directory: string): Promise<{ text: string; token: JoinToken }> {
  if (file === undefined) {
    throw new MeshproxyError(
      'bad-token',
      `${directory}: there is no identity in it yet, and no token to get one with`,
      {
        hint: `give --token-file FILE; ${NEW_TOKEN}`,
      },
    );
  }
  try {
    const text = (await readFile(file, 'latin1')).trim();
    return { text, token: parseJoinToken(text) };
  } catch (cause) {
    if (cause instanceof MeshproxyError) {
      throw new MeshproxyError(cause.code, `${file}: ${cause.message}`, { cause, hint: NEW_TOKEN });
    }
    throw new MeshproxyError('file', `${file}: ${describeError(cause)}`, { cause, hint: NEW_TOKEN });
  }
}

/** Of all that somebody shows, what whoever made the token vouches for. */
function rootsByFingerprint({ bundle }: Trust, { roots }: JoinToken, address: string): string {
  const shown = readAllCertificates(bundle, `the authority at ${address}`);
  const known = shown.filter((root) => roots.includes(fingerprintOf(root)));
  if (known.length > 0) return known.map(String).join('');
  const seen = shown.map(fingerprintOf).join(', ') || 'none';
  throw new CaRefusal(
    `the authority at ${address} is not the one that the token is from: it shows root ${seen}, the token names ${roots.join(', ')}`,
    { refusal: 'bad-request', hint: 'compare the address with the authority; the token was not sent' },
  );
}

async function pendingKeys(path: string, directory: string): Promise<KeyPair> {
  try {
    const privateKey = createPrivateKey(await readFile(path, 'latin1'));
    return { privateKey, publicKey: createPublicKey(privateKey) };
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') await unlink(path).catch(() => {});
  }
  const keys = newKeys();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeWhole(path, pemOf(keys.privateKey), { how: 'replace', mode: SECRET_MODE });
  return keys;
}

function read({ chain, trust }: CertificateAnswer, keys: KeyPair, wanted: SpiffeId, address: string): Got {
  const where = `the authority at ${address} answers`;
  const kept = readIdentity(chain, pemOf(keys.privateKey), where);
  if (formatSpiffeId(kept.identity) !== formatSpiffeId(wanted)) {
    throw new MeshproxyError(
      'bad-certificate',
      `${where}: a certificate for ${formatSpiffeId(kept.identity)}, not for ${formatSpiffeId(wanted)}`,
    );
  }
  const issuer = readAllCertificates(chain, where)[1];
  const roots = readAllCertificates(trust.bundle, where);
  if (issuer === undefined || !roots.some((root) => issuer.checkIssued(root) && issuer.verify(root.publicKey))) {
    throw new MeshproxyError('bad-certificate', `${where}: a certificate that leads to no root of its bundle`);
  }
  const leaf = new X509Certificate(chain);
  if (!leaf.checkIssued(issuer) || !leaf.verify(issuer.publicKey)) {
    throw new MeshproxyError('bad-certificate', `${where}: a certificate that its issuer has not signed`);
  }
  return { kept, trust };
}

function pemOf(key: KeyObject): string {
  return String(key.export({ type: 'pkcs8', format: 'pem' }));
}
