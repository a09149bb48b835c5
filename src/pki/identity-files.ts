/** Who a proxy is and whom it trusts, read from files: checked as far as can be told before anybody shakes hands with it. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';

/** Immutable, and plain enough to be sent to a thread. */
export interface Identity {
  /** Counts up. */
  readonly version: number;
  /** PEM: the leaf first, then what leads to a root; and its key. Absent where there is only somebody to trust. */
  readonly credential: { readonly chain: string; readonly key: string } | undefined;
  /** PEM; absent where the public authorities are trusted. */
  readonly roots: string | undefined;
  /** Whom not to trust all the same. */
  readonly revoked: Revoked;
  /** 80 bytes at random, by which TLS sessions of this version can be resumed in any thread; absent where none is. */
  readonly ticketKeys?: Uint8Array | undefined;
}

export const TICKET_KEY_BYTES = 80;

export interface Revoked {
  /** SPIFFE IDs. */
  readonly identities: readonly string[];
  /** Of certificates: hexadecimal, lower case. */
  readonly serials: readonly string[];
  /**
   * SHA-256 of roots that have left the bundle in order: hexadecimal, lower case. What was opened while they were in it is
   * left alone; of any other root that leaves, it is not.
   */
  readonly retiredRoots: readonly string[];
}

export const NOTHING_REVOKED: Revoked = { identities: [], serials: [], retiredRoots: [] };

/** Of a proxy that speaks TLS nowhere. */
export const NOBODY: Identity = { version: 0, credential: undefined, roots: undefined, revoked: NOTHING_REVOKED };

export interface IdentityFiles {
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
  readonly bundle?: string | undefined;
  /** JSON: `{"identities": […], "serials": […]}`. */
  readonly revoked?: string | undefined;
}

export interface LoadedIdentity {
  readonly credential: Identity['credential'];
  readonly roots: string | undefined;
  readonly revoked: Revoked;
  /** The leaf's: its URI, or else its subject; and how long it lives, ms since 1970. */
  readonly name: string | undefined;
  readonly notBefore: number | undefined;
  readonly notAfter: number | undefined;
  /** What an operator should hear of, though it works. */
  readonly warnings: readonly string[];
}

/** Certificates and keys are some kilobytes; a bundle of all public authorities is 220. */
const MOST_BYTES = 1024 * 1024;
/** More than an authority sends (`MOST_REVOKED_BYTES` in revoke.ts). */
const MOST_LIST_BYTES = 16 * 1024 * 1024;
const GROUP_AND_OTHERS = 0o077;

/** Rejects with `file` or `bad-certificate`: which file, what is wrong with it, what to do. */
export async function loadIdentity({
  certificate,
  key,
  bundle,
  revoked: list,
}: IdentityFiles): Promise<LoadedIdentity> {
  // In this order: whoever takes a root out of the bundle has it among the retired before.
  const roots = bundle === undefined ? undefined : await loadBundle(bundle);
  const revoked =
    list === undefined ? NOTHING_REVOKED : parseRevoked((await readBounded(list, MOST_LIST_BYTES)).text, list);
  if (certificate === undefined || key === undefined) {
    return {
      credential: undefined,
      roots,
      revoked,
      name: undefined,
      notBefore: undefined,
      notAfter: undefined,
      warnings: [],
    };
  }
  const chainFile = await readBounded(certificate);
  const keyFile = await readBounded(key);
  const chain = readAllCertificates(chainFile.text, certificate);
  const [leaf] = chain;
  if (leaf === undefined) throw bad(certificate, 'there is no certificate in it');
  checkOrder(chain, certificate);
  if (!leaf.checkPrivateKey(parseKey(keyFile.text, key))) {
    throw bad(
      key,
      `it is not the key of the certificate in ${certificate}`,
      'if they are just being replaced, nothing is to be done',
    );
  }
  return {
    credential: { chain: chain.map(String).join(''), key: keyFile.text },
    roots,
    revoked,
    name: nameOf(leaf),
    notBefore: Date.parse(leaf.validFrom),
    notAfter: Date.parse(leaf.validTo),
    warnings: isOpen(keyFile.mode) ? [`${key}: others than its owner can read this private key; chmod 600 it`] : [],
  };
}

async function loadBundle(file: string): Promise<string> {
  const roots = readAllCertificates((await readBounded(file)).text, file);
  if (roots.length === 0) throw bad(file, 'there is no certificate in it');
  const stranger = roots.find((root) => !root.ca);
  if (stranger !== undefined) throw bad(file, `${nameOf(stranger)} is no authority: only roots belong into a bundle`);
  return roots.map(String).join('');
}

async function readBounded(path: string, most = MOST_BYTES): Promise<{ readonly text: string; readonly mode: number }> {
  try {
    const file = await open(path, 'r');
    try {
      const { size, mode } = await file.stat();
      if (size > most) throw bad(path, `it has ${size} bytes, and no more than ${most} can be meant`);
      const buffer = Buffer.alloc(Math.max(size, MOST_BYTES));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
      return { text: buffer.toString('latin1', 0, bytesRead), mode };
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof MeshproxyError) throw cause;
    const hint = errnoOf(cause) === 'EACCES' ? 'let the user that runs meshproxy read it' : undefined;
    throw new MeshproxyError('file', `${path}: ${describeError(cause)}`, { cause, ...(hint && { hint }) });
  }
}

function parseRevoked(text: string, file: string): Revoked {
  const value = parseJson(text);
  if (typeof value === 'object' && value !== null) {
    const {
      identities,
      serials,
      retiredRoots = [],
    }: { identities?: unknown; serials?: unknown; retiredRoots?: unknown } = value;
    if (areTexts(identities) && areTexts(serials) && areTexts(retiredRoots)) {
      const revoked = { identities, serials: serials.map(asHex), retiredRoots: retiredRoots.map(asHex) };
      checkRevoked(revoked, file);
      return revoked;
    }
  }
  throw bad(file, 'it is no list of what is revoked, or not whole', LIST_FORM);
}

/** What can never match anybody's would be a revocation that nobody notices to be none. */
function checkRevoked({ identities, serials, retiredRoots }: Revoked, file: string): void {
  const wrong =
    identities.find((id) => !WORKLOAD.test(id)) ??
    serials.find((serial) => !SERIAL.test(serial)) ??
    retiredRoots.find((root) => !FINGERPRINT.test(root));
  if (wrong === undefined) return;
  const shown = JSON.stringify(wrong.slice(0, MOST_SHOWN));
  throw bad(file, `${shown} is no SPIFFE ID, serial or fingerprint, so nobody would be refused by it`, LIST_FORM);
}

const WORKLOAD = /^spiffe:\/\/[^\s/]+\/\S+$/;
const SERIAL = /^[0-9a-f]{1,40}$/;
const FINGERPRINT = /^[0-9a-f]{64}$/;
const LIST_FORM = '{"identities": ["spiffe://…"], "serials": ["4af4…"]}';
/** Of a text of unknown length. */
const MOST_SHOWN = 100;

/** As openssl prints it, or as we do. */
function asHex(text: string): string {
  return text.replaceAll(':', '').toLowerCase();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
const BEGIN = /-----BEGIN CERTIFICATE-----/g;

/** Each is parsed by itself, so that the one that is broken can be named. */
export function readAllCertificates(text: string, file: string): X509Certificate[] {
  const whole = text.match(CERTIFICATE) ?? [];
  const begun = text.match(BEGIN)?.length ?? 0;
  if (whole.length !== begun) throw bad(file, `certificate ${whole.length + 1} of it is not complete`, HALF_WRITTEN);
  return whole.map((pem, index) => {
    try {
      return new X509Certificate(pem);
    } catch (cause) {
      throw bad(file, `certificate ${index + 1} of it is broken: ${describeError(cause)}`, HALF_WRITTEN);
    }
  });
}

const HALF_WRITTEN = 'write it elsewhere first, and rename it: then nobody reads half of it';

function parseKey(text: string, file: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (cause) {
    if (/ENCRYPTED/.test(text)) throw bad(file, 'this private key is encrypted', 'give one without a passphrase');
    throw bad(file, `there is no private key in it that can be read: ${describeError(cause)}`);
  }
}

/** What follows has to be the issuer of what is before it (RFC 5246 section 7.4.2 asked for that; peers still count on it). */
function checkOrder(chain: readonly X509Certificate[], file: string): void {
  for (const [index, certificate] of chain.entries()) {
    const next = chain[index + 1];
    if (next === undefined || (certificate.checkIssued(next) && certificate.verify(next.publicKey))) continue;
    const [this1, that] = [nameOf(certificate), nameOf(next)];
    throw bad(
      file,
      `certificate ${index + 2} (${that}) did not issue the one before it (${this1})`,
      'put the leaf first, then its issuer',
    );
  }
}

function isOpen(mode: number): boolean {
  return process.platform !== 'win32' && (mode & GROUP_AND_OTHERS) !== 0;
}

function nameOf(certificate: X509Certificate): string {
  const uri = /(?:^|, )URI:([^,"]+)/.exec(certificate.subjectAltName ?? '')?.[1];
  return uri ?? (certificate.subject?.split('\n').join(', ') || `serial ${certificate.serialNumber}`);
}

function bad(file: string, what: string, hint?: string): MeshproxyError {
  return new MeshproxyError('bad-certificate', `${file}: ${what}`, hint === undefined ? {} : { hint });
}
