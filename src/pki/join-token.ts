/**
 * Join tokens, as they travel: what a workload that has no certificate yet shows to get its first one. A token is worth
 * one identity, once, for a short time; and it names the roots by their fingerprints, so that the workload knows the
 * authority when it meets it (as `sha256:` hashes in kubeadm's and smallstep's join commands do).
 */
import type { X509Certificate } from 'node:crypto';
import { parseAddress } from '../core/address.js';
import { MeshproxyError } from '../core/errors.js';
import { formatSpiffeId, parseSpiffeId, type SpiffeId } from '../core/identity.js';

export interface JoinToken {
  /** 32 random bytes, base64url: what the authority recognises it by. */
  readonly secret: string;
  readonly identity: SpiffeId;
  /** SHA-256 of the DER of each root that is trusted: 64 hexadecimal digits, lower case. At least one. */
  readonly roots: readonly string[];
  /** Milliseconds since 1970. What the authority's own record says is what counts. */
  readonly expires: number;
  /** Where the authority is served, if who made the token said so. */
  readonly ca?: string;
}

/** Says what it is and how it is read, to people and to scanners for leaked secrets. */
const PREFIX = 'mpj1.';
const SECRET = /^[A-Za-z0-9_-]{43}$/;
const FINGERPRINT = /^[0-9a-f]{64}$/;
/** Roots are two while one replaces another. */
const MAX_ROOTS = 8;
/** The longest identity, the most roots and an address, in base64. */
const MAX_LENGTH = 8192;

/** One line without white space. @throws MeshproxyError `bad-token` where it would not be read back */
export function formatJoinToken({ identity, ...rest }: JoinToken): string {
  const json = JSON.stringify({ ...rest, identity: formatSpiffeId(identity) });
  const text = PREFIX + Buffer.from(json).toString('base64url');
  parseJoinToken(text);
  return text;
}

/**
 * Reads a token; white space around it is a file's or a terminal's.
 * @throws MeshproxyError `bad-token`, whatever the text is; the words hold nothing of it, for it is a secret
 */
export function parseJoinToken(text: string): JoinToken {
  if (text.length > MAX_LENGTH) throw bad(`it is longer than ${MAX_LENGTH} characters`);
  const token = text.trim();
  if (token === '') throw bad('it is empty');
  if (!token.startsWith(PREFIX)) throw bad(`it does not begin with ${PREFIX}`);
  const { secret, identity, roots, expires, ca } = parseObject(token.slice(PREFIX.length));
  if (typeof secret !== 'string' || !SECRET.test(secret)) throw bad('its secret is missing or not whole');
  if (!isRoots(roots)) throw bad('it names no root, or not by fingerprints');
  if (typeof expires !== 'number' || !Number.isSafeInteger(expires)) throw bad('it does not say when it expires');
  return { secret, identity: readIdentity(identity), roots, expires, ...(ca !== undefined && { ca: readAddress(ca) }) };
}

/** Of a root, as a token names it. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

function parseObject(base64url: string): Readonly<Record<string, unknown>> {
  if (!/^[A-Za-z0-9_-]+$/.test(base64url)) throw bad('there are characters in it that no token has');
  const value = parseJson(Buffer.from(base64url, 'base64url').toString('utf8'));
  if (typeof value !== 'object' || value === null) throw bad('it is not whole: was all of it copied?');
  return { ...value };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Without the cause, whose words quote the text.
    throw bad('it is not whole: was all of it copied?');
  }
}

function isRoots(roots: unknown): roots is readonly string[] {
  if (!Array.isArray(roots) || roots.length === 0 || roots.length > MAX_ROOTS) return false;
  return roots.every((root) => typeof root === 'string' && FINGERPRINT.test(root));
}

function readIdentity(identity: unknown): SpiffeId {
  try {
    return parseSpiffeId(String(identity));
  } catch (cause) {
    throw bad('it is for no identity that can be read', cause);
  }
}

function readAddress(ca: unknown): string {
  try {
    parseAddress(String(ca));
    return String(ca);
  } catch (cause) {
    throw bad('its address of the authority cannot be read', cause);
  }
}

function bad(why: string, cause?: unknown): MeshproxyError {
  return new MeshproxyError('bad-token', `join token: ${why}`, {
    hint: 'meshproxy ca token --identity ID makes one; it is one line that begins with mpj1.',
    ...(cause !== undefined && { cause }),
  });
}
