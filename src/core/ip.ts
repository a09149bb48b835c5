/** IP addresses between the text that people and Node's sockets use and the bytes that protocols carry. */
import { isIPv4, SocketAddress } from 'node:net';

/**
 * The one way to write an IPv6 address (RFC 5952), the same as Node's sockets report: lower case, the longest run of
 * zeroes as `::`, IPv4-mapped ones as `::ffff:10.0.0.1`. Zones (`%eth0`) are dropped: they mean nothing elsewhere.
 */
export function canonicalIpv6(text: string): string {
  const [address = ''] = text.split('%', 1);
  return new SocketAddress({ family: 'ipv6', address }).address;
}

/** 4 bytes for an IPv4 address, 16 for an IPv6 one. `host` is one of the two. */
export function ipToBytes(host: string): Uint8Array {
  if (isIPv4(host)) return Uint8Array.from(host.split('.'), Number);
  const [head = '', tail = ''] = canonicalIpv6(host).split('::');
  const before = bytesOfGroups(head);
  const after = bytesOfGroups(tail);
  const bytes = new Uint8Array(16);
  bytes.set(before);
  bytes.set(after, bytes.length - after.length);
  return bytes;
}

/** `20:a::` without its `::`: two bytes for each group, four for a dotted one at the end. */
function bytesOfGroups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** The text of 4 bytes (IPv4) or 16 (IPv6). */
export function bytesToIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const hex = Buffer.from(bytes).toString('hex');
  return canonicalIpv6(hex.match(/.{4}/g)?.join(':') ?? '');
}
