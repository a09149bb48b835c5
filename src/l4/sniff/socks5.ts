/**
 * What a client of a SOCKS 5 proxy says (RFC 1928, and RFC 1929 for user and password), one message after the other, and
 * what it is answered. The messages are for the proxy: they are consumed, and never reach an endpoint.
 */
import { bytesToIp } from '../../core/ip.js';
import { match, needMore, noMatch, type SniffResult } from './result.js';

export const SOCKS_VERSION = 5;
const PASSWORD_VERSION = 1;
/** What a client wants is one byte each, and what a proxy picks. */
export const METHOD = { none: 0, password: 2, unacceptable: 0xff } as const;
const CONNECT = 1;
const ADDRESS = { ipv4: 1, name: 3, ipv6: 4 } as const;
/** Of an address of the kind: by kind. A name is as long as its first byte says. */
const ADDRESS_BYTES = { [ADDRESS.ipv4]: 4, [ADDRESS.ipv6]: 16 } as const;

/** How a request went (section 6). */
export const REPLY = {
  succeeded: 0,
  failed: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  timedOut: 6,
  commandNotSupported: 7,
  addressNotSupported: 8,
} as const;
export type Reply = (typeof REPLY)[keyof typeof REPLY];

export interface SocksRequest {
  /** A name in lower case, or an IP address. */
  readonly host: string;
  readonly port: number;
}

/** A request that is one, but that nobody here does. */
export interface SocksRefusal {
  readonly reply: Reply;
  /** In words. */
  readonly reason: string;
}

/** The methods that a client can identify itself by. */
export function parseSocksGreeting(bytes: Uint8Array): SniffResult<readonly number[]> {
  const [version, count] = bytes;
  if (version === undefined) return needMore(2);
  if (version !== SOCKS_VERSION) return refuse(`the first byte is ${version}, not ${SOCKS_VERSION}`);
  if (count === undefined) return needMore(2);
  if (count === 0) return refuse('the client offers no method to identify itself by');
  const end = 2 + count;
  return bytes.length < end ? needMore(end) : match([...bytes.subarray(2, end)], end);
}

export interface Password {
  readonly user: string;
  readonly password: string;
}

/** RFC 1929. */
export function parseSocksPassword(bytes: Uint8Array): SniffResult<Password> {
  const [version, userLength] = bytes;
  if (version === undefined) return needMore(5);
  if (version !== PASSWORD_VERSION) return refuse(`user and password are of version ${version}, not 1`);
  if (userLength === undefined) return needMore(5);
  if (userLength === 0) return refuse('the user is empty');
  const passwordAt = 2 + userLength + 1;
  const passwordLength = bytes[passwordAt - 1];
  if (passwordLength === undefined) return needMore(passwordAt);
  const end = passwordAt + passwordLength;
  if (bytes.length < end) return needMore(end);
  const text = Buffer.from(bytes.subarray(0, end));
  const user = text.toString('utf8', 2, passwordAt - 1);
  return match({ user, password: text.toString('utf8', passwordAt, end) }, end);
}

/** A name as it stands in DNS, and in the configuration of a mesh. */
const NAME = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$/;

export function parseSocksRequest(bytes: Uint8Array): SniffResult<SocksRequest | SocksRefusal> {
  const [version, command, reserved, kind, first] = bytes;
  if (version === undefined) return needMore(SHORTEST_REQUEST);
  if (version !== SOCKS_VERSION) return refuse(`a request of version ${version}, not ${SOCKS_VERSION}`);
  if (reserved !== undefined && reserved !== 0) return refuse('byte 3 of a request is not zero');
  if (kind === undefined || first === undefined || command === undefined) return needMore(SHORTEST_REQUEST);
  if (kind !== ADDRESS.ipv4 && kind !== ADDRESS.ipv6 && kind !== ADDRESS.name) {
    return match({ reply: REPLY.addressNotSupported, reason: `an address of kind ${kind}` }, bytes.length);
  }
  const start = kind === ADDRESS.name ? 5 : 4;
  const portAt = start + (kind === ADDRESS.name ? first : ADDRESS_BYTES[kind]);
  const end = portAt + 2;
  if (bytes.length < end) return needMore(end);
  const port = ((bytes[portAt] ?? 0) << 8) | (bytes[portAt + 1] ?? 0);
  if (command !== CONNECT) {
    const what = command === 2 ? 'BIND' : command === 3 ? 'UDP ASSOCIATE' : `command ${command}`;
    return match({ reply: REPLY.commandNotSupported, reason: `${what}, and only CONNECT is done` }, end);
  }
  const address = Buffer.from(bytes.subarray(start, portAt));
  if (kind !== ADDRESS.name) return match({ host: bytesToIp(address), port }, end);
  const name = address.toString('latin1').toLowerCase();
  if (!NAME.test(name)) return match({ reply: REPLY.addressNotSupported, reason: 'a name that no host has' }, end);
  return match({ host: name.replace(/\.$/, ''), port }, end);
}

/** A name of one character. */
const SHORTEST_REQUEST = 8;

/** Which method it is to be. */
export function methodReply(method: number): Uint8Array {
  return Uint8Array.of(SOCKS_VERSION, method);
}

export function passwordReply(isRight: boolean): Uint8Array {
  return Uint8Array.of(PASSWORD_VERSION, isRight ? 0 : 1);
}

/** Which address of ours the connection to the destination has is nobody's business, and no client's need: zeroes. */
export function requestReply(reply: Reply): Uint8Array {
  return Uint8Array.of(SOCKS_VERSION, reply, 0, ADDRESS.ipv4, 0, 0, 0, 0, 0, 0);
}

function refuse(why: string): SniffResult<never> {
  return noMatch(`no SOCKS 5: ${why}`);
}
