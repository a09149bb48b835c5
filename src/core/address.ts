/**
 * Addresses as people write them, on both sides of the proxy, read by one parser.
 *
 * | written | means |
 * |---|---|
 * | `10.0.0.1:80`, `[::1]:80` | that address |
 * | `example.org:80` | that name, resolved when it is used |
 * | `:80` | every address of this machine to listen on; this machine itself to connect to |
 * | `unix:/run/app.sock` | a unix domain socket; `unix:@name` an abstract one (Linux) |
 */
import { isIPv4, isIPv6 } from 'node:net';
import { MeshproxyError } from './errors.js';
import { canonicalIpv6 } from './ip.js';

/** An IP address and port. `port` 0 asks for any free port when listening. */
export interface IpAddress {
  readonly kind: 'ip';
  readonly host: string;
  readonly port: number;
}

export interface UnixAddress {
  readonly kind: 'unix';
  /** The path of the socket; a leading `@` marks Linux's abstract name space. */
  readonly path: string;
}

/** A name to be resolved; `localhost` and `example.org` alike. */
export interface NameAddress {
  readonly kind: 'name';
  readonly name: string;
  readonly port: number;
}

/** `:80`, no host: all of this machine's addresses when listening, this machine when connecting. */
export interface AnyAddress {
  readonly kind: 'any';
  readonly port: number;
}

/** What a person may write. */
export type Address = IpAddress | UnixAddress | NameAddress | AnyAddress;

/** What a socket can be connected to, or is connected with: nothing left to resolve. */
export type SocketAddress = IpAddress | UnixAddress;

const ACCEPTED = 'accepted are host:port, :port, [ipv6]:port and unix:/path';

/** Linux `sun_path` holds 108 bytes with its closing zero; other systems hold fewer, and say so when asked. */
const MAX_UNIX_PATH_BYTES = 107;

/** One or more labels of letters, digits, `-` and `_`, none starting or ending with `-`; an optional closing dot (RFC 1123, with `_` as SRV and Docker names have it). */
const NAME = /^(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?$/i;

function bad(text: string, why: string, hint?: string): MeshproxyError {
  return new MeshproxyError(
    'bad-address',
    `address ${JSON.stringify(text)}: ${why}; ${ACCEPTED}`,
    hint ? { hint } : {},
  );
}

/** Reads an address. Throws a `MeshproxyError` `bad-address` that shows what is wrong and what is accepted. */
export function parseAddress(text: string): Address {
  if (text === '') throw bad(text, 'it is empty');
  if (/\s/.test(text)) throw bad(text, 'it contains white space');
  if (text.startsWith('unix:')) return parseUnix(text);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    throw bad(text, 'it is a URL', `leave out ${JSON.stringify(text.slice(0, text.indexOf('//') + 2))}`);
  }
  if (text.startsWith('/')) throw bad(text, 'a path needs a prefix', `write unix:${text}`);
  if (text.startsWith('[')) return parseBracketed(text);
  const colon = text.lastIndexOf(':');
  if (colon === -1) {
    throw bad(text, 'the port is missing', /^\d+$/.test(text) ? `write :${text}` : `write ${text}:80, for example`);
  }
  if (text.indexOf(':') !== colon) {
    if (isIPv6(text)) throw bad(text, 'the port is missing', `write [${text}]:80, for example`);
    throw bad(text, 'it has more than one colon', 'put an IPv6 address in brackets, as in [::1]:80');
  }
  const host = text.slice(0, colon);
  const port = parsePort(text, text.slice(colon + 1));
  if (host === '' || host === '*') return { kind: 'any', port };
  if (isIPv4(host)) return { kind: 'ip', host, port };
  if (/^[\d.]+$/.test(host)) throw bad(text, `${JSON.stringify(host)} is not an IPv4 address`);
  if (host.length > 253 || !NAME.test(host)) throw bad(text, `${JSON.stringify(host)} is not a host name`);
  return { kind: 'name', name: host.toLowerCase(), port };
}

function parseUnix(text: string): UnixAddress {
  // Also as a URL has it, unix:///run/app.sock: more than one slash at the beginning means the same as one.
  const path = text.slice('unix:'.length).replace(/^\/+/, '/');
  if (path === '' || path === '@') throw bad(text, 'the path is missing');
  if (path.includes('\0')) throw bad(text, 'the path contains a zero byte');
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_UNIX_PATH_BYTES) {
    throw bad(text, `the path is ${bytes} bytes long and the kernel takes ${MAX_UNIX_PATH_BYTES}`);
  }
  return { kind: 'unix', path };
}

function parseBracketed(text: string): IpAddress {
  const close = text.indexOf(']');
  if (close === -1) throw bad(text, 'the closing bracket is missing');
  const host = text.slice(1, close);
  if (!isIPv6(host)) throw bad(text, `${JSON.stringify(host)} is not an IPv6 address`);
  const rest = text.slice(close + 1);
  if (!rest.startsWith(':')) throw bad(text, 'the port is missing', `write [${host}]:80, for example`);
  return { kind: 'ip', host: canonicalHost(host), port: parsePort(text, rest.slice(1)) };
}

/** One text for one address, whichever way it was written: IPv4-mapped as IPv4, else with its zone (`%eth0`). */
export function canonicalHost(ipv6: string): string {
  const host = unmapped(canonicalIpv6(ipv6));
  return isIPv4(host) ? host : `${host}${/%.*$/.exec(ipv6) ?? ''}`;
}

function parsePort(text: string, port: string): number {
  if (port === '') throw bad(text, 'the port is missing');
  if (!/^\d+$/.test(port)) throw bad(text, `the port ${JSON.stringify(port)} is not a number`);
  const value = Number(port);
  if (value > 65535) throw bad(text, `the port ${port} is not between 0 and 65535`);
  return value;
}

/** The form that `parseAddress` reads back to the same address. */
export function formatAddress(address: Address): string {
  switch (address.kind) {
    case 'unix':
      return `unix:${address.path}`;
    case 'name':
      return `${address.name}:${address.port}`;
    case 'any':
      return `:${address.port}`;
    case 'ip':
      return formatHostPort(address.host, address.port);
  }
}

/** `10.0.0.1:80` or `[::1]:80`; IPv4 addresses that a dual-stack socket reports as `::ffff:10.0.0.1` are shown as IPv4. */
export function formatHostPort(host: string, port: number): string {
  const plain = unmapped(host);
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}

/** An IPv4 address out of its IPv4-mapped IPv6 form (RFC 4291 section 2.5.5.2); anything else as it is. */
export function unmapped(host: string): string {
  return host.startsWith('::ffff:') && host.includes('.') ? host.slice('::ffff:'.length) : host;
}

/** True where only this machine can reach the address. A name counts as such only if it is `localhost`. */
export function isLoopback(address: Address): boolean {
  switch (address.kind) {
    case 'unix':
      return true;
    case 'any':
      return false;
    case 'name':
      return /(^|\.)localhost\.?$/.test(address.name);
    case 'ip':
      return address.host === '::1' || unmapped(address.host).startsWith('127.');
  }
}
