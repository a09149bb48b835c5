/** Writes the PROXY protocol header that names the client to an upstream. */
import { isIPv4 } from 'node:net';
import { type IpAddress, type SocketAddress, unmapped } from '../core/address.js';
import { crc32c } from '../core/crc32c.js';
import { MeshproxyError } from '../core/errors.js';
import { canonicalIpv6, ipToBytes } from '../core/ip.js';
import {
  CRC32C_BYTES,
  FAMILY,
  PROTOCOL,
  TLV,
  type Tlv,
  UNIX_PATH_BYTES,
  V2_FIXED_BYTES,
  V2_LOCAL,
  V2_MAX_BYTES,
  V2_PROXY,
  V2_SIGNATURE,
} from './sniff/proxy-format.js';

/** What only version 2 can carry. Left out where the addresses are unknown, as receivers would discard it. */
export interface ProxyHeaderExtras {
  /** Passed on as they are. A checksum among them is not: it would be of another header. */
  readonly tlvs?: readonly Tlv[];
  /** Adds a CRC32c of the header. Off by default: TCP has checksums of its own, and simple receivers know no TLV. */
  readonly checksum?: boolean;
}

/**
 * The header of a connection from `source` to `destination`. Where one of them is unknown, or they have nothing in
 * common (an IP and a unix address), it says only that: `UNKNOWN` in version 1, `LOCAL` in version 2, which is what
 * HAProxy sends too; `PROXY` with an unspecified family would be closer, but HAProxy 2.6 and Envoy refuse it. Unix
 * clients are nearly always unknown, as they have no name; those with one make a header that HAProxy 2.6 refuses.
 *
 * Throws a `MeshproxyError` `protocol` where the TLVs make it longer than receivers take.
 */
export function encodeProxyHeader(
  version: 'v1' | 'v2',
  source: SocketAddress | undefined,
  destination: SocketAddress | undefined,
  extras: ProxyHeaderExtras = {},
): Buffer {
  const pair = inOneFamily(source, destination);
  return version === 'v1' ? encodeV1(pair) : encodeV2(pair, extras);
}

/** Both ends in one address family, as a header has only one. */
type Pair =
  | { readonly family: 'inet' | 'inet6'; readonly source: IpAddress; readonly destination: IpAddress }
  | { readonly family: 'unix'; readonly source: Buffer; readonly destination: Buffer }
  | { readonly family: 'unspecified' };

function inOneFamily(source: SocketAddress | undefined, destination: SocketAddress | undefined): Pair {
  if (source?.kind === 'ip' && destination?.kind === 'ip') return inOneIpFamily(source, destination);
  if (source?.kind === 'unix' && destination?.kind === 'unix') return inUnixFamily(source.path, destination.path);
  return { family: 'unspecified' };
}

/** IPv4 where both are, in either of its forms; else IPv6, with an IPv4 address in its IPv4-mapped form. */
function inOneIpFamily(source: IpAddress, destination: IpAddress): Pair {
  const hosts = [source.host, destination.host].map((host) => (isIPv4(host) ? host : unmapped(canonicalIpv6(host))));
  const family = hosts.every((host) => isIPv4(host)) ? 'inet' : 'inet6';
  const [from = '', to = ''] = hosts.map((host) => (family === 'inet6' && isIPv4(host) ? `::ffff:${host}` : host));
  return { family, source: { ...source, host: from }, destination: { ...destination, host: to } };
}

function inUnixFamily(sourcePath: string, destinationPath: string): Pair {
  const source = unixField(sourcePath);
  const destination = unixField(destinationPath);
  return source && destination ? { family: 'unix', source, destination } : { family: 'unspecified' };
}

/** A `sun_path`: padded with zero bytes, and with one in place of the `@`; `undefined` where it does not fit. */
function unixField(path: string): Buffer | undefined {
  const name = Buffer.from(path.replace(/^@/, '\0'));
  return name.length <= UNIX_PATH_BYTES ? Buffer.concat([name], UNIX_PATH_BYTES) : undefined;
}

function encodeV1(pair: Pair): Buffer {
  if (pair.family === 'unix' || pair.family === 'unspecified') return Buffer.from('PROXY UNKNOWN\r\n');
  const { family, source, destination } = pair;
  const protocol = family === 'inet' ? 'TCP4' : 'TCP6';
  return Buffer.from(`PROXY ${protocol} ${source.host} ${destination.host} ${source.port} ${destination.port}\r\n`);
}

function encodeV2(pair: Pair, extras: ProxyHeaderExtras): Buffer {
  if (pair.family === 'unspecified') return frame(V2_LOCAL, FAMILY.unspecified << 4, Buffer.alloc(0));
  const tlvs = (extras.tlvs ?? []).filter((tlv) => tlv.type !== TLV.crc32c);
  if (extras.checksum) tlvs.push({ type: TLV.crc32c, value: new Uint8Array(CRC32C_BYTES) });
  const body = Buffer.concat([addressBlock(pair), ...tlvs.map(encodeTlv)]);
  const header = frame(V2_PROXY, (FAMILY[pair.family] << 4) | PROTOCOL.stream, body);
  // The checksum is taken with zeroes in its place, which is the end.
  if (extras.checksum) header.writeUInt32BE(crc32c(header), header.length - CRC32C_BYTES);
  return header;
}

function addressBlock(pair: Exclude<Pair, { family: 'unspecified' }>): Buffer {
  if (pair.family === 'unix') return Buffer.concat([pair.source, pair.destination]);
  const { source, destination } = pair;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  return Buffer.concat([ipToBytes(source.host), ipToBytes(destination.host), ports]);
}

function encodeTlv(tlv: Tlv): Buffer {
  // A length that does not fit is a header that does not either, and `frame` refuses it.
  const fixed = Buffer.from([tlv.type, (tlv.value.length >> 8) & 0xff, tlv.value.length & 0xff]);
  return Buffer.concat([fixed, tlv.value]);
}

function frame(command: number, familyAndProtocol: number, body: Buffer): Buffer {
  const length = V2_FIXED_BYTES + body.length;
  if (length > V2_MAX_BYTES) {
    throw new MeshproxyError(
      'protocol',
      `a PROXY v2 header of ${length} bytes cannot be sent: receivers take ${V2_MAX_BYTES}`,
      { hint: 'have the proxy in front send fewer or shorter TLVs' },
    );
  }
  const fixed = Buffer.from([...V2_SIGNATURE, command, familyAndProtocol, body.length >> 8, body.length & 0xff]);
  return Buffer.concat([fixed, body]);
}
