/** PEM (RFC 7468), written, and read from strangers. */
import { MeshproxyError } from '../core/errors.js';

export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST';

/** RFC 7468 section 2: 64 characters in a line. */
export function toPem(label: PemLabel, der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}

/** The one block that `text` holds, with nothing but white space around it. Throws a `MeshproxyError` `bad-certificate`. */
export function fromPem(label: PemLabel, text: string): Buffer {
  const body = new RegExp(`^\\s*-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*)-----END ${label}-----\\s*$`).exec(
    text,
  )?.[1];
  if (body === undefined)
    throw new MeshproxyError('bad-certificate', `there is no PEM block ${label}, or more than that`);
  const base64 = body.replace(/\s/g, '');
  const der = Buffer.from(base64, 'base64');
  if (der.toString('base64') !== base64) throw new MeshproxyError('bad-certificate', `${label}: its base64 is broken`);
  return der;
}
