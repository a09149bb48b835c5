/**
 * What certificates are written with: a few names over node-forge's ASN.1, which encodes them as DER (X.690). Only what
 * we make ourselves goes through here; what others send is read by `der.ts` and OpenSSL.
 */
import forge from 'node-forge';
import { readElement } from './der.js';

const { Class, Type } = forge.asn1;

export type Asn1 = forge.asn1.Asn1;

/** X.690 section 8.1.2.5: the bit of a tag that says that elements are inside. */
const CONSTRUCTED = 0x20;

/** RFC 5280 section 4.1.2.5: UTCTime has two digits for the year, and 50 means 1950. */
const UTC_TIME_ENDS_MS = Date.UTC(2050, 0, 1);

export function sequence(...elements: readonly Asn1[]): Asn1 {
  return forge.asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...elements]);
}

export function set(...elements: readonly Asn1[]): Asn1 {
  return forge.asn1.create(Class.UNIVERSAL, Type.SET, true, [...elements]);
}

/** `[tag] EXPLICIT`, or an implicitly tagged SEQUENCE: the same bytes. */
export function tagged(tag: number, ...elements: readonly Asn1[]): Asn1 {
  return forge.asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [...elements]);
}

/** `[tag] IMPLICIT`, of a type that holds bytes. */
export function taggedBytes(tag: number, bytes: Uint8Array): Asn1 {
  return forge.asn1.create(Class.CONTEXT_SPECIFIC, tag, false, binary(bytes));
}

/** Dotted, `2.5.29.14`. */
export function oid(dotted: string): Asn1 {
  return primitive(Type.OID, forge.asn1.oidToDer(dotted).getBytes());
}

/** @param bytes big-endian two's complement, as DER has it */
export function integer(bytes: Uint8Array): Asn1 {
  return primitive(Type.INTEGER, binary(bytes));
}

export function smallInteger(value: number): Asn1 {
  return primitive(Type.INTEGER, forge.asn1.integerToDer(value).getBytes());
}

export function boolean(value: boolean): Asn1 {
  return primitive(Type.BOOLEAN, value ? '\u00ff' : '\0');
}

export function utf8(text: string): Asn1 {
  return primitive(Type.UTF8, binary(Buffer.from(text, 'utf8')));
}

export function octetString(bytes: Uint8Array): Asn1 {
  return primitive(Type.OCTETSTRING, binary(bytes));
}

/** @param unused how many of the last byte's bits, from the lowest, are not part of it */
export function bitString(bytes: Uint8Array, unused = 0): Asn1 {
  return primitive(Type.BITSTRING, String.fromCharCode(unused) + binary(bytes));
}

/** @param ms since 1970; written in whole seconds */
export function time(ms: number): Asn1 {
  const date = new Date(ms);
  return ms < UTC_TIME_ENDS_MS
    ? primitive(Type.UTCTIME, forge.asn1.dateToUtcTime(date))
    : primitive(Type.GENERALIZEDTIME, forge.asn1.dateToGeneralizedTime(date));
}

/** A SEQUENCE that is DER already: of OpenSSL's making, or encoded before because it never changes. */
export function encodedSequence(der: Uint8Array): Asn1 {
  const { content } = readElement(der);
  // As a primitive whose tag has the bit of a constructed one, so that forge writes what is inside as it is.
  return forge.asn1.create(Class.UNIVERSAL, Type.SEQUENCE | CONSTRUCTED, false, binary(content));
}

export function encode(element: Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(element).getBytes(), 'latin1');
}

function primitive(type: forge.asn1.Type, value: string): Asn1 {
  return forge.asn1.create(Class.UNIVERSAL, type, false, value);
}

/** Forge's strings of bytes: a character for each. */
function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
