/**
 * Certificate requests (PKCS #10, RFC 2986). A request brings a key and the proof that who sends it has the private one;
 * whatever else it asks for is not read, because the authority decides.
 */
import {
  createPublicKey,
  type JsonWebKey,
  type JsonWebKeyInput,
  type KeyObject,
  type PublicKeyInput,
  verify,
} from 'node:crypto';
import { describeError, MeshproxyError } from '../core/errors.js';
import { encode, encodedSequence, sequence, smallInteger, tagged } from './asn1.js';
import { expectTag, readElement, readElements, TAG, wholeBytes } from './der.js';
import { fromPem, toPem } from './pem.js';
import type { KeyPair } from './profiles.js';
import { EMPTY_NAME, signed, spkiOf } from './x509.js';

/** PEM. It asks for no name: that is the authority's to give. @param key P-256 */
export function createCsr(key: KeyPair): string {
  const info = sequence(
    smallInteger(0),
    encodedSequence(EMPTY_NAME),
    encodedSequence(spkiOf(key.publicKey)),
    tagged(0),
  );
  return toPem('CERTIFICATE REQUEST', signed(encode(info), key.privateKey));
}

/** An RSA key of 4096 bits makes a request of 1.7 KB; names and attributes that others ask for come on top. */
const MAX_CSR_BYTES = 16 * 1024;

/** Beginnings of a SubjectPublicKeyInfo in the one form that everybody writes: named curve, uncompressed point (RFC 5480). */
const KEY_FORMS = [
  { name: 'P-256', begin: '3059301306072a8648ce3d020106082a8648ce3d03010703420004', bytes: 91 },
  { name: 'P-384', begin: '3076301006072a8648ce3d020106052b8104002203620004', bytes: 120 },
  { name: 'Ed25519', begin: '302a300506032b6570032100', bytes: 44 },
] as const;

/** Below, RSA is broken or soon will be (NIST SP 800-131A); above, each verification costs the authority dearly. */
const RSA_BITS = { least: 2048, most: 4096 } as const;
/** The one exponent in use. A large one would make verification slow. */
const RSA_EXPONENT = 65537n;

/** Signature algorithms by the DER of their OID's content, with the type of key and the hash that go with them (RFC 5758, RFC 4055, RFC 8410). */
const SIGNATURES: ReadonlyMap<string, { readonly key: string; readonly hash: string | null }> = new Map([
  ['2a8648ce3d040302', { key: 'ec', hash: 'sha256' }],
  ['2a8648ce3d040303', { key: 'ec', hash: 'sha384' }],
  ['2a8648ce3d040304', { key: 'ec', hash: 'sha512' }],
  ['2b6570', { key: 'ed25519', hash: null }],
  ['2a864886f70d01010b', { key: 'rsa', hash: 'sha256' }],
  ['2a864886f70d01010c', { key: 'rsa', hash: 'sha384' }],
  ['2a864886f70d01010d', { key: 'rsa', hash: 'sha512' }],
]);

function bad(why: string, cause?: unknown): MeshproxyError {
  return new MeshproxyError('bad-certificate', `certificate request: ${why}`, cause === undefined ? {} : { cause });
}

/** The key that a request brought. */
export interface RequestedKey {
  readonly publicKey: KeyObject;
  /** DER of its SubjectPublicKeyInfo, as it was sent: to write it again costs as much as to issue a certificate. */
  readonly spki: Uint8Array;
}

/**
 * The key of a request that somebody sent, after the request's own signature has been verified with it.
 * @param request DER, or PEM as text or bytes
 * @throws MeshproxyError `bad-certificate`, and nothing else, whatever the bytes are
 */
export function readCsr(request: Uint8Array | string): RequestedKey {
  try {
    if (request.length > 2 * MAX_CSR_BYTES) throw bad(`it is longer than ${MAX_CSR_BYTES} bytes`);
    const parts = readParts(derOf(request));
    const key = readPublicKey(parts.publicKey);
    verifyOwn(parts, key);
    return { publicKey: key, spki: parts.publicKey };
  } catch (error) {
    if (error instanceof MeshproxyError && !error.message.startsWith('certificate request')) {
      throw bad(error.message, error);
    }
    throw error;
  }
}

interface CsrParts {
  readonly info: Uint8Array;
  readonly publicKey: Uint8Array;
  /** Content of the OID. */
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
}

function derOf(request: Uint8Array | string): Uint8Array {
  // PEM as text or as bytes; DER begins with 0x30, which is the digit 0.
  const isPem = typeof request === 'string' || request[0] !== TAG.sequence;
  const text = typeof request === 'string' ? request : Buffer.from(request).toString('latin1');
  const der = isPem ? fromPem('CERTIFICATE REQUEST', text) : request;
  if (typeof der === 'string') throw bad('it is text, and not PEM');
  if (der.length > MAX_CSR_BYTES) throw bad(`it is longer than ${MAX_CSR_BYTES} bytes`);
  return der;
}

/** RFC 2986 section 4.2. */
function readParts(der: Uint8Array): CsrParts {
  const outer = expectTag(readElement(der), TAG.sequence, 'the request');
  const [info, algorithm, signature] = readElements(outer.content, 3);
  const body = readElements(expectTag(info, TAG.sequence, 'the part that is signed').content, 4);
  const [version, subject, publicKey, attributes] = body;
  const number = expectTag(version, TAG.integer, 'the version').content;
  if (number.length !== 1 || number[0] !== 0) throw bad('its version is not 1');
  expectTag(subject, TAG.sequence, 'the subject');
  // RFC 2986 wants the attributes even where there are none; some leave them out.
  if (attributes !== undefined) expectTag(attributes, TAG.context0, 'the attributes');
  const [id] = readElements(expectTag(algorithm, TAG.sequence, 'the signature algorithm').content, 2);
  return {
    info: expectTag(info, TAG.sequence, 'the part that is signed').der,
    publicKey: expectTag(publicKey, TAG.sequence, 'the public key').der,
    algorithm: expectTag(id, TAG.oid, 'the signature algorithm').content,
    signature: wholeBytes(expectTag(signature, TAG.bitString, 'the signature'), 'the signature'),
  };
}

/** @param spki DER of a SubjectPublicKeyInfo */
function readPublicKey(spki: Uint8Array): KeyObject {
  const der = Buffer.from(spki);
  const key = openKey(isP256(der) ? { key: jwkOf(der), format: 'jwk' } : { key: der, format: 'der', type: 'spki' });
  if (key.asymmetricKeyType === 'rsa') {
    checkRsa(key);
  } else if (!KEY_FORMS.some(({ begin, bytes }) => der.length === bytes && der.toString('hex').startsWith(begin))) {
    throw bad('its key is none of P-256, P-384, Ed25519 and RSA, or not in the usual form');
  }
  return key;
}

function openKey(input: PublicKeyInput | JsonWebKeyInput): KeyObject {
  try {
    return createPublicKey(input);
  } catch (cause) {
    throw bad(`its public key cannot be read: ${describeError(cause)}`, cause);
  }
}

function isP256(der: Buffer): boolean {
  const [{ begin, bytes }] = KEY_FORMS;
  return der.length === bytes && der.toString('hex', 0, begin.length / 2) === begin;
}

/** The coordinates of a P-256 key: OpenSSL takes these in half the time of the DER, and looks as closely whether they are on the curve. */
function jwkOf(der: Buffer): JsonWebKey {
  const x = der.length - 64;
  return {
    kty: 'EC',
    crv: 'P-256',
    x: der.toString('base64url', x, x + 32),
    y: der.toString('base64url', x + 32),
  };
}

function checkRsa(key: KeyObject): void {
  const { modulusLength = 0, publicExponent } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < RSA_BITS.least || modulusLength > RSA_BITS.most) {
    throw bad(`its RSA key has ${modulusLength} bits; ${RSA_BITS.least} to ${RSA_BITS.most} are accepted`);
  }
  if (publicExponent !== RSA_EXPONENT) throw bad(`its RSA key has another exponent than ${RSA_EXPONENT}`);
}

function verifyOwn({ info, algorithm, signature }: CsrParts, key: KeyObject): void {
  const known = SIGNATURES.get(Buffer.from(algorithm).toString('hex'));
  if (known === undefined) throw bad('it is signed with an algorithm that is not accepted');
  if (known.key !== key.asymmetricKeyType) throw bad('its signature is not of the kind that its key makes');
  if (!isGenuine(known.hash, info, key, signature)) {
    throw bad('its signature is wrong: who sent it does not have the private key, or it was changed on its way');
  }
}

function isGenuine(hash: string | null, info: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(hash, info, key, signature);
  } catch {
    // OpenSSL throws where the signature is not even in form.
    return false;
  }
}
