/** What is in a file of certificates, requests or keys, in facts. For people's own files: what peers send comes elsewhere. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { describeError } from '../core/errors.js';
import { readCsr } from './csr.js';
import { toPem } from './pem.js';

export interface CertificateFacts {
  readonly kind: 'certificate';
  /** URI, or else the subject. */
  readonly name: string;
  readonly names: string;
  readonly issuer: string;
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly authority: boolean;
  readonly usages: readonly string[];
  readonly key: string;
  /** SHA-256 of the DER, and of the SubjectPublicKeyInfo. */
  readonly fingerprint: string;
  readonly publicKey: string;
}

export type Facts =
  | CertificateFacts
  | { readonly kind: 'request'; readonly key: string; readonly publicKey: string }
  | { readonly kind: 'key'; readonly key: string; readonly publicKey: string; readonly encrypted: false }
  | { readonly kind: 'key'; readonly encrypted: true }
  | { readonly kind: 'broken'; readonly label: string; readonly why: string };

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*(?:-----END \1-----)?/g;

/** In the order of the file; PEM, or one certificate or request in DER. Empty where there is nothing of the kind in it. */
export function inspect(bytes: Buffer): Facts[] {
  const text = bytes.toString('latin1');
  const blocks = [...text.matchAll(BLOCK)];
  if (blocks.length > 0) return blocks.map(([block, label = '']) => inspectBlock(label, block));
  if (bytes[0] !== 0x30) return [];
  const asCertificate = inspectBlock('CERTIFICATE', toPem('CERTIFICATE', bytes));
  return [
    asCertificate.kind === 'broken'
      ? inspectBlock('CERTIFICATE REQUEST', toPem('CERTIFICATE REQUEST', bytes))
      : asCertificate,
  ];
}

function inspectBlock(label: string, pem: string): Facts {
  try {
    if (!pem.includes(`-----END ${label}-----`)) throw new Error('its end is missing');
    if (label === 'CERTIFICATE') return factsOf(new X509Certificate(pem));
    if (label === 'CERTIFICATE REQUEST') {
      const { publicKey } = readCsr(pem);
      return { kind: 'request', key: describeKey(publicKey), publicKey: digestOf(publicKey) };
    }
    if (label === 'ENCRYPTED PRIVATE KEY' || pem.includes('Proc-Type: 4,ENCRYPTED'))
      return { kind: 'key', encrypted: true };
    if (label.endsWith('PRIVATE KEY')) {
      const key = createPrivateKey(pem);
      return { kind: 'key', key: describeKey(key), publicKey: digestOf(createPublicKey(key)), encrypted: false };
    }
    return { kind: 'broken', label, why: 'this is none of certificate, request and private key' };
  } catch (error) {
    return { kind: 'broken', label, why: describeError(error) };
  }
}

export function factsOf(certificate: X509Certificate): CertificateFacts {
  const {
    subjectAltName = '',
    subject,
    issuer,
    serialNumber,
    validFrom,
    validTo,
    ca,
    keyUsage,
    fingerprint256,
  } = certificate;
  const uri = /URI:([^,\s]+)/.exec(subjectAltName)?.[1];
  return {
    kind: 'certificate',
    name: uri !== undefined && !ca ? uri : oneLine(subject) || uri || 'nobody',
    names: subjectAltName,
    issuer: oneLine(issuer),
    serial: serialNumber.toLowerCase(),
    notBefore: Date.parse(validFrom),
    notAfter: Date.parse(validTo),
    authority: ca,
    usages: (keyUsage ?? []).map((oid) => USAGES.get(oid) ?? oid),
    key: describeKey(certificate.publicKey),
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
    publicKey: digestOf(certificate.publicKey),
  };
}

/** RFC 5280 section 4.2.1.12. */
const USAGES: ReadonlyMap<string, string> = new Map([
  ['1.3.6.1.5.5.7.3.1', 'server'],
  ['1.3.6.1.5.5.7.3.2', 'client'],
]);

function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ');
}

function describeKey(key: KeyObject): string {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const size =
    namedCurve === undefined ? (modulusLength ? ` ${modulusLength}` : '') : ` ${CURVES.get(namedCurve) ?? namedCurve}`;
  return `${(key.asymmetricKeyType ?? 'unknown').toUpperCase()}${size}`;
}

/** OpenSSL's names, and those that people use. */
const CURVES: ReadonlyMap<string, string> = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
]);

/** By it a key, a request and a certificate are seen to belong together. */
function digestOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}
