/** X.509 v3 certificates (RFC 5280 section 4): their form, with the extensions that meshproxy's have. What goes into which is in `profiles.ts`. */
import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  type Asn1,
  bitString,
  boolean,
  encode,
  encodedSequence,
  integer,
  octetString,
  oid,
  sequence,
  set,
  smallInteger,
  tagged,
  taggedBytes,
  time,
  utf8,
} from './asn1.js';

export interface CertificateSpec {
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** Big-endian, positive: `newSerial()`. */
  readonly serial: Uint8Array;
  /** DER of the Name. */
  readonly issuer: Uint8Array;
  /** DER of the Name. */
  readonly subject: Uint8Array;
  /** Milliseconds since 1970, written in whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly Asn1[];
}

/** ecdsa-with-SHA256 (RFC 5758 section 3.2), which every signer here uses: keys of authorities are P-256. */
export const ECDSA_SHA256 = encode(sequence(oid('1.2.840.10045.4.3.2')));

const VERSION_3 = tagged(0, smallInteger(2));
const ALGORITHM = encodedSequence(ECDSA_SHA256);

/** DER. @param signer a P-256 private key */
export function buildCertificate(spec: CertificateSpec, signer: KeyObject): Buffer {
  const tbs = encode(
    sequence(
      VERSION_3,
      integer(spec.serial),
      ALGORITHM,
      encodedSequence(spec.issuer),
      sequence(time(spec.notBefore), time(spec.notAfter)),
      encodedSequence(spec.subject),
      encodedSequence(spec.publicKey),
      tagged(3, sequence(...spec.extensions)),
    ),
  );
  return signed(tbs, signer);
}

/** What is signed, how, and the signature: the form of certificates and of requests alike. */
export function signed(tbs: Uint8Array, signer: KeyObject): Buffer {
  return encode(sequence(encodedSequence(tbs), ALGORITHM, bitString(sign('sha256', tbs, signer))));
}

/** RFC 5280 section 4.1.2.2: at most 20 bytes, positive. Always 20 of them, 158 bits at random. */
export function newSerial(): Uint8Array {
  const serial = randomBytes(20);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

/** DER of a Name. X.520 allows 64 characters; longer texts are cut. */
export function encodeName({ organization, commonName }: { organization: string; commonName: string }): Buffer {
  const attribute = (type: string, value: string): Asn1 => set(sequence(oid(type), utf8(value.slice(0, 64))));
  return encode(sequence(attribute('2.5.4.10', organization), attribute('2.5.4.3', commonName)));
}

export const EMPTY_NAME = encode(sequence());

/** RFC 7093 section 2, method 4, in 160 bits: so long is what everybody expects of a key identifier. */
export function keyIdentifier(publicKey: Uint8Array): Buffer {
  return createHash('sha256').update(publicKey).digest().subarray(0, 20);
}

export function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

export function basicConstraints(authority: false | { readonly pathLength?: number }): Asn1 {
  if (authority === false) return extension('2.5.29.19', true, sequence());
  const { pathLength } = authority;
  const limit = pathLength === undefined ? [] : [smallInteger(pathLength)];
  return extension('2.5.29.19', true, sequence(boolean(true), ...limit));
}

/** RFC 5280 section 4.2.1.3, as the bits of the first byte. */
export const KEY_USAGE = { digitalSignature: 0x80, keyCertSign: 0x04, cRLSign: 0x02 } as const;

export function keyUsage(bits: number): Asn1 {
  // DER: no zero bits at the end of a list of named bits. Index of the lowest one that is set.
  const unused = 31 - Math.clz32(bits & -bits);
  return extension('2.5.29.15', true, bitString(Uint8Array.of(bits), unused));
}

export function serverAndClientAuth(): Asn1 {
  return extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2')));
}

export function subjectKeyIdentifier(id: Uint8Array): Asn1 {
  return extension('2.5.29.14', false, octetString(id));
}

export function authorityKeyIdentifier(id: Uint8Array): Asn1 {
  return extension('2.5.29.35', false, sequence(taggedBytes(0, id)));
}

/** GeneralName `[6]`: uniformResourceIdentifier. */
function uri(text: string): Asn1 {
  return taggedBytes(6, Buffer.from(text, 'latin1'));
}

/** @param critical has to be, where the subject is empty (RFC 5280 section 4.2.1.6) */
export function uriNames(uris: readonly string[], critical: boolean): Asn1 {
  return extension('2.5.29.17', critical, sequence(...uris.map(uri)));
}

/**
 * RFC 5280 section 4.2.1.10: of URIs, only those of this host, which is the trust domain in a SPIFFE ID; and no
 * hosts, by name or by address: whoever steals the key of this authority cannot pass for a web site with it.
 */
export function onlyUrisOf(host: string): Asn1 {
  const subtree = (name: Asn1): Asn1 => sequence(name);
  const excluded = [
    // dNSName: an empty one stands for all.
    taggedBytes(2, Buffer.alloc(0)),
    // iPAddress: an address and its mask, of IPv4 and of IPv6.
    taggedBytes(7, Buffer.alloc(8)),
    taggedBytes(7, Buffer.alloc(32)),
  ];
  return extension('2.5.29.30', true, sequence(tagged(0, subtree(uri(host))), tagged(1, ...excluded.map(subtree))));
}

function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(encode(value)));
}
