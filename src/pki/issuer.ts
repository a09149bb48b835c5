/** Issues the certificates of workloads. What is the same in all of them is made once, so that an hour's life is no burden. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { MeshproxyError } from '../core/errors.js';
import { formatSpiffeId, type SpiffeId, trustDomainId } from '../core/identity.js';
import { formatDuration } from '../core/units.js';
import type { Asn1 } from './asn1.js';
import { expectTag, readElement, readElements, TAG } from './der.js';
import { toPem } from './pem.js';
import { leafExtensions, type Signer, validity } from './profiles.js';
import { authorityKeyIdentifier, buildCertificate, EMPTY_NAME, keyIdentifier, newSerial, spkiOf } from './x509.js';

/** Short enough that a stolen key is soon worth nothing, long enough to sit out an authority that is down for minutes. */
export const LEAF_LIFETIME_MS = 3_600_000;
/** Renewal at two thirds must leave time for some attempts. */
export const MIN_LEAF_LIFETIME_MS = 5 * 60_000;
export const MAX_LEAF_LIFETIME_MS = 7 * 86_400_000;

export interface IssueRequest {
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly identity: SpiffeId;
  /** 5 minutes to 7 days. */
  readonly lifetimeMs: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface IssuedCertificate {
  /** PEM of the leaf alone; `Issuer.chain` follows it where it is presented. */
  readonly certificate: string;
  /** 40 hexadecimal digits, lower case. */
  readonly serial: string;
  /** Milliseconds since 1970, in whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export class Issuer {
  readonly trustDomain: string;
  /** PEM of the issuing certificate: what a workload presents behind its own. */
  readonly chain: string;
  /** Milliseconds since 1970. No leaf lives longer. */
  readonly notAfter: number;
  readonly #notBefore: number;
  readonly #signer: Signer;
  readonly #authority: Asn1;

  /** @throws MeshproxyError `bad-certificate` where `certificate` (PEM) is not an authority of `trustDomain`, or `key` not its key */
  constructor(certificate: string, key: KeyObject, trustDomain: string) {
    const parsed = readCertificate(certificate);
    if (!parsed.ca) throw bad('it is not an authority');
    if (parsed.subjectAltName !== `URI:${trustDomainId(trustDomain)}`) {
      throw bad(`it is not one of the trust domain ${trustDomain}: it has ${parsed.subjectAltName ?? 'no name'}`);
    }
    this.trustDomain = trustDomain;
    this.chain = toPem('CERTIFICATE', parsed.raw);
    this.#notBefore = Date.parse(parsed.validFrom);
    this.notAfter = Date.parse(parsed.validTo);
    this.#signer = signerOf(parsed, key);
    this.#authority = authorityKeyIdentifier(this.#signer.keyIdentifier);
  }

  /**
   * A leaf that lives for `lifetimeMs`, or for as long as this issuer where that ends before.
   * @throws MeshproxyError `bad-identity` for another trust domain, `usage` for a lifetime out of bounds,
   *   `bad-certificate` where the issuer itself has too little time left
   */
  issue({ spki, identity, lifetimeMs, now }: IssueRequest): IssuedCertificate {
    this.#check(identity, lifetimeMs, now);
    const serial = newSerial();
    const times = validity(now, Math.min(now + lifetimeMs, this.notAfter));
    const der = buildCertificate(
      {
        publicKey: spki,
        serial,
        issuer: this.#signer.subject,
        subject: EMPTY_NAME,
        ...times,
        extensions: leafExtensions(formatSpiffeId(identity), spki, this.#authority),
      },
      this.#signer.key,
    );
    return { certificate: toPem('CERTIFICATE', der), serial: Buffer.from(serial).toString('hex'), ...times };
  }

  #check({ trustDomain }: SpiffeId, lifetimeMs: number, now: number): void {
    if (trustDomain !== this.trustDomain) {
      throw new MeshproxyError('bad-identity', `this authority is of ${this.trustDomain}, not of ${trustDomain}`);
    }
    if (!(lifetimeMs >= MIN_LEAF_LIFETIME_MS && lifetimeMs <= MAX_LEAF_LIFETIME_MS)) {
      const [least, most] = [formatDuration(MIN_LEAF_LIFETIME_MS), formatDuration(MAX_LEAF_LIFETIME_MS)];
      throw new MeshproxyError(
        'usage',
        `a lifetime of ${formatDuration(lifetimeMs)} is not between ${least} and ${most}`,
      );
    }
    if (now < this.#notBefore) {
      const from = new Date(this.#notBefore).toISOString();
      throw new MeshproxyError('bad-certificate', `the issuing certificate is not valid before ${from}`, {
        hint: "set this machine's clock",
      });
    }
    if (this.notAfter - now < MIN_LEAF_LIFETIME_MS) {
      const until = new Date(this.notAfter).toISOString();
      throw new MeshproxyError(
        'bad-certificate',
        `the issuing certificate ends at ${until}: too soon to issue anything`,
        {
          hint: 'replace it: meshproxy ca rotate issuer',
        },
      );
    }
  }
}

/** Signs in the name that `certificate` has. Throws a `MeshproxyError` `bad-certificate` where `key` is not its key. */
export function signerOf(certificate: X509Certificate, key: KeyObject): Signer {
  if (!certificate.checkPrivateKey(key)) throw bad('the key is not the key of this certificate');
  return {
    subject: subjectOf(certificate.raw),
    key,
    keyIdentifier: subjectKeyIdentifierOf(certificate),
  };
}

export function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new MeshproxyError('bad-certificate', 'authority: there is no certificate that can be read', { cause });
  }
}

/** RFC 5280 section 4.1: version, serial, signature, issuer, validity, subject, key, extensions. */
function subjectOf(der: Uint8Array): Uint8Array {
  const [tbs] = readElements(readElement(der).content, 3);
  const fields = readElements(expectTag(tbs, TAG.sequence, 'the certificate').content, 10);
  return expectTag(fields[5], TAG.sequence, 'the subject').der;
}

/** SubjectKeyIdentifier: OID 2.5.29.14 (RFC 5280 section 4.2.1.2), as whoever looks for the issuer compares it. */
const SUBJECT_KEY_IDENTIFIER = Buffer.from('551d0e', 'hex');

/** What the certificate says, whoever made it; where it says nothing, as we would. */
function subjectKeyIdentifierOf(certificate: X509Certificate): Uint8Array {
  const [tbs] = readElements(readElement(certificate.raw).content, 3);
  const fields = readElements(expectTag(tbs, TAG.sequence, 'the certificate').content, 10);
  const wrapped = fields.find(({ tag }) => tag === TAG.context3);
  const extensions = wrapped === undefined ? [] : readElements(readElement(wrapped.content).content, MOST_EXTENSIONS);
  for (const { content } of extensions) {
    const [id, ...rest] = readElements(content, 3);
    const value = rest.at(-1);
    if (id !== undefined && value !== undefined && SUBJECT_KEY_IDENTIFIER.equals(id.content)) {
      return expectTag(readElement(value.content), TAG.octetString, 'the key identifier').content;
    }
  }
  return keyIdentifier(spkiOf(certificate.publicKey));
}

/** OpenSSL knows some fifty kinds. */
const MOST_EXTENSIONS = 64;

function bad(why: string): MeshproxyError {
  return new MeshproxyError('bad-certificate', `authority: ${why}`);
}
