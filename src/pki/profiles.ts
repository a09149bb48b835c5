/** The three kinds of certificates, after RFC 5280 and SPIFFE's X509-SVID.md sections 3 and 4. */
import type { KeyObject } from 'node:crypto';
import { trustDomainId } from '../core/identity.js';
import type { Asn1 } from './asn1.js';
import {
  authorityKeyIdentifier,
  basicConstraints,
  buildCertificate,
  encodeName,
  KEY_USAGE,
  keyIdentifier,
  keyUsage,
  newSerial,
  onlyUrisOf,
  serverAndClientAuth,
  spkiOf,
  subjectKeyIdentifier,
  uriNames,
} from './x509.js';

const DAY_MS = 86_400_000;

/** Whoever verifies knows the root from a file, and it may be kept offline: seldom replaced. */
export const ROOT_LIFETIME_MS = 3650 * DAY_MS;
/** Its key is on a machine that answers requests: replaced each year. */
export const ISSUER_LIFETIME_MS = 365 * DAY_MS;
/** Clocks of two machines differ. */
export const BACKDATED_MS = 30_000;

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface AuthoritySpec {
  readonly trustDomain: string;
  readonly publicKey: KeyObject;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly lifetimeMs: number;
}

/** DER. Self-signed. */
export function buildRoot({ trustDomain, now, lifetimeMs }: Omit<AuthoritySpec, 'publicKey'>, key: KeyPair): Buffer {
  const publicKey = spkiOf(key.publicKey);
  const name = authorityName('root', trustDomain, publicKey);
  return buildCertificate(
    {
      publicKey,
      serial: newSerial(),
      issuer: name,
      subject: name,
      ...validity(now, now + lifetimeMs),
      extensions: [
        basicConstraints({}),
        keyUsage(KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign),
        subjectKeyIdentifier(keyIdentifier(publicKey)),
        uriNames([trustDomainId(trustDomain)], false),
      ],
    },
    key.privateKey,
  );
}

/** Who signs: its name as its own certificate has it, and its key. */
export interface Signer {
  /** DER of the Name. */
  readonly subject: Uint8Array;
  readonly key: KeyObject;
  readonly keyIdentifier: Uint8Array;
}

/** DER. May issue leaves of its trust domain, and no authorities. */
export function buildIssuing({ trustDomain, publicKey, now, lifetimeMs }: AuthoritySpec, root: Signer): Buffer {
  const spki = spkiOf(publicKey);
  return buildCertificate(
    {
      publicKey: spki,
      serial: newSerial(),
      issuer: root.subject,
      subject: authorityName('issuer', trustDomain, spki),
      ...validity(now, now + lifetimeMs),
      extensions: [
        basicConstraints({ pathLength: 0 }),
        keyUsage(KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign),
        onlyUrisOf(trustDomain),
        subjectKeyIdentifier(keyIdentifier(spki)),
        authorityKeyIdentifier(root.keyIdentifier),
        uriNames([trustDomainId(trustDomain)], false),
      ],
    },
    root.key,
  );
}

/** What all leaves have alike: made once. */
const LEAF_EXTENSIONS: readonly Asn1[] = [
  basicConstraints(false),
  keyUsage(KEY_USAGE.digitalSignature),
  serverAndClientAuth(),
];

/** Those of a leaf with an empty subject. @param authority the `authorityKeyIdentifier` of its issuer */
export function leafExtensions(identity: string, publicKey: Uint8Array, authority: Asn1): Asn1[] {
  return [...LEAF_EXTENSIONS, subjectKeyIdentifier(keyIdentifier(publicKey)), authority, uriNames([identity], true)];
}

/** Begins a little earlier, and both in whole seconds, as certificates have them. */
export function validity(now: number, notAfter: number): { readonly notBefore: number; readonly notAfter: number } {
  return { notBefore: wholeSeconds(now - BACKDATED_MS), notAfter: wholeSeconds(notAfter) };
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** Of one key only: while one authority replaces another, people and programs must tell them apart. */
function authorityName(kind: 'root' | 'issuer', trustDomain: string, publicKey: Uint8Array): Buffer {
  const id = keyIdentifier(publicKey).toString('hex', 0, 4);
  return encodeName({ organization: trustDomain, commonName: `meshproxy ${kind} ${id}` });
}
