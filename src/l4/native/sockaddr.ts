/** Socket addresses between our form and the kernel's `struct sockaddr` (ip(7), ipv6(7), unix(7)). */
import { networkInterfaces } from 'node:os';
import type { SocketAddress } from '../../core/address.js';
import { bytesToIp, ipToBytes } from '../../core/ip.js';
import { unixPath } from '../../core/unix-socket.js';

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** The largest of them: `sockaddr_un`, rounded up as `sockaddr_storage` is. */
export const SOCKADDR_BYTES = 128;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;
const PATH_OFFSET = 2;

/** Writes `address` into `target`, which has at least `SOCKADDR_BYTES`, and gives the length that the kernel is to be told. */
export function encodeSockaddr(address: SocketAddress, target: Buffer): number {
  target.fill(0);
  if (address.kind === 'unix') {
    target.writeUInt16LE(AF_UNIX, 0);
    const path = unixPath(address.path);
    const length = target.write(path, PATH_OFFSET);
    // An abstract name ends where the length says, one of a file with a zero.
    return PATH_OFFSET + length + (path.startsWith('\0') ? 0 : 1);
  }
  const [host = '', zone] = address.host.split('%', 2);
  const bytes = ipToBytes(host);
  target.writeUInt16BE(address.port, 2);
  if (bytes.length === 4) {
    target.writeUInt16LE(AF_INET, 0);
    target.set(bytes, 4);
    return SOCKADDR_IN_BYTES;
  }
  target.writeUInt16LE(AF_INET6, 0);
  target.set(bytes, 8);
  if (zone !== undefined) target.writeUInt32LE(scopeOf(zone), 24);
  return SOCKADDR_IN6_BYTES;
}

/** Reads what the kernel wrote; `undefined` for an unnamed unix socket, or a family that is not ours. */
export function decodeSockaddr(source: Buffer, length: number): SocketAddress | undefined {
  if (length < PATH_OFFSET) return undefined;
  switch (source.readUInt16LE(0)) {
    case AF_INET:
      return { kind: 'ip', host: `${source[4]}.${source[5]}.${source[6]}.${source[7]}`, port: source.readUInt16BE(2) };
    case AF_INET6:
      return { kind: 'ip', host: bytesToIp(source.subarray(8, 24)), port: source.readUInt16BE(2) };
    case AF_UNIX:
      return decodeUnix(source.subarray(PATH_OFFSET, Math.min(length, SOCKADDR_BYTES)));
    default:
      return undefined;
  }
}

function decodeUnix(path: Buffer): SocketAddress | undefined {
  if (path.length === 0) return undefined;
  if (path[0] === 0) return { kind: 'unix', path: `@${path.toString('utf8', 1)}` };
  const end = path.indexOf(0);
  return { kind: 'unix', path: path.toString('utf8', 0, end === -1 ? path.length : end) };
}

/** The number of an interface, by its name or as a number: what makes a link-local address mean one host. */
function scopeOf(zone: string): number {
  if (/^\d{1,9}$/.test(zone)) return Number(zone);
  for (const address of networkInterfaces()[zone] ?? []) if (address.family === 'IPv6') return address.scopeid ?? 0;
  return 0;
}
