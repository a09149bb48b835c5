/** Blocks of IP addresses (RFC 4632, RFC 4291): `10.0.0.0/8`, `2001:db8::/32`; an address alone is a block of one. */
import { isIPv4, isIPv6 } from 'node:net';
import { canonicalHost } from './address.js';
import { MeshproxyError } from './errors.js';
import { bytesToIp, ipToBytes } from './ip.js';

export interface Cidr {
  /** Its first address: what is behind the prefix is zero. 4 bytes or 16. */
  readonly network: Uint8Array;
  /** How many of the leading bits all its addresses share. */
  readonly bits: number;
}

/** Throws a `MeshproxyError` `bad-address`. */
export function parseCidr(text: string): Cidr {
  const [host = '', prefix, ...more] = text.split('/');
  const address = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (more.length > 0 || !(isIPv4(address) || (isIPv6(address) && !address.includes('%'))))
    throw bad(text, 'it is no IP address, with or without a prefix');
  const network = ipToBytes(isIPv4(address) ? address : canonicalHost(address));
  const most = network.length * 8;
  // Of an IPv4 address written as an IPv6 one the first 96 bits say only that.
  const mapped = most === 32 && !isIPv4(address) ? 96 : 0;
  if (prefix !== undefined && !/^\d{1,3}$/.test(prefix))
    throw bad(text, `the prefix ${JSON.stringify(prefix)} is no number`);
  const bits = prefix === undefined ? most : Number(prefix) - mapped;
  if (bits < 0 || bits > most) throw bad(text, `the prefix is not between ${mapped} and ${most + mapped}`);
  const masked = network.map((byte, index) => byte & maskOf(bits - 8 * index));
  if (masked.some((byte, index) => byte !== network[index]))
    throw bad(text, `it has bits behind its prefix`, `write ${bytesToIp(masked)}/${bits}, or the address alone`);
  return { network, bits };
}

/** Of a byte of which so many leading bits count; fewer than none and more than all are none and all. */
function maskOf(bits: number): number {
  return bits >= 8 ? 0xff : bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}

/** @param address 4 bytes or 16: those of another family are in no block */
export function contains({ network, bits }: Cidr, address: Uint8Array): boolean {
  if (address.length !== network.length) return false;
  for (let index = 0; 8 * index < bits; index += 1) {
    if ((((address[index] ?? 0) ^ (network[index] ?? 0)) & maskOf(bits - 8 * index)) !== 0) return false;
  }
  return true;
}

export function formatCidr({ network, bits }: Cidr): string {
  const host = bytesToIp(network);
  return bits === network.length * 8 ? host : `${host}/${bits}`;
}

function bad(text: string, why: string, hint?: string): MeshproxyError {
  const message = `${JSON.stringify(text)}: ${why}; accepted are 10.1.2.3, 10.0.0.0/8 and 2001:db8::/32`;
  return new MeshproxyError('bad-address', message, hint === undefined ? {} : { hint });
}
