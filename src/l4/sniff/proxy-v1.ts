/** Version 1 of the PROXY protocol: one line of text (section 2.1 of the specification). */
import { isIPv4, isIPv6 } from 'node:net';
import type { IpAddress } from '../../core/address.js';
import { canonicalIpv6 } from '../../core/ip.js';
import { type ProxyHeader, V1_MAX_BYTES } from './proxy-format.js';
import { match, needMore, noMatch, quoted, type SniffResult } from './result.js';

/** What a line can begin with, and how many bytes, CRLF included, it has then at least and at most. */
const FORMS = [
  // PROXY TCP4 1.1.1.1 1.1.1.1 0 0 and PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535
  { begin: 'PROXY TCP4 ', least: 32, most: 56 },
  // PROXY TCP6 :: :: 0 0; hexadecimal groups need 104 at most, but senders also write ::ffff:10.0.0.1.
  { begin: 'PROXY TCP6 ', least: 22, most: V1_MAX_BYTES },
  { begin: 'PROXY UNKNOWN', least: 15, most: V1_MAX_BYTES },
] as const;

/** `bytes` begins like `PROXY`. The addresses are read only when the line is complete, as the specification asks. */
export function parseProxyV1(bytes: Uint8Array): SniffResult<ProxyHeader> {
  const text = Buffer.from(bytes.subarray(0, V1_MAX_BYTES)).toString('latin1');
  const [line = ''] = text.split(/[\r\n]/, 1);
  const forms = FORMS.filter(({ begin }) => begin.startsWith(line) || line.startsWith(begin));
  if (forms.length === 0) return refuse('neither TCP4, TCP6 nor UNKNOWN', line);
  const end = text.slice(line.length);
  if (end.startsWith('\r\n')) return parseLine(line);
  if (end !== '' && end !== '\r') return refuse('it does not end with CRLF', line);
  const least = Math.max(line.length + '\r\n'.length, Math.min(...forms.map((form) => form.least)));
  const most = Math.max(...forms.map((form) => form.most));
  return least <= most ? needMore(least) : refuse(`no CRLF in its first ${most} bytes`, line);
}

/** `line` is complete and without its CRLF. */
function parseLine(line: string): SniffResult<ProxyHeader> {
  const length = line.length + '\r\n'.length;
  // What follows UNKNOWN means nothing, whatever it looks like.
  if (/^PROXY UNKNOWN( |$)/.test(line)) return match(header(undefined, undefined), length);
  const [, family, sourceHost = '', destinationHost = '', sourcePort = '', destinationPort = '', ...rest] =
    line.split(' ');
  if (destinationPort === '' || rest.length > 0) return refuse('it does not have six words', line);
  const source = parseEndpoint(family, sourceHost, sourcePort);
  if (typeof source === 'string') return noMatch(`PROXY v1 line: the source ${source}`);
  const destination = parseEndpoint(family, destinationHost, destinationPort);
  if (typeof destination === 'string') return noMatch(`PROXY v1 line: the destination ${destination}`);
  return match(header(source, destination), length);
}

/** The address, or what is wrong with it. */
function parseEndpoint(family: string | undefined, host: string, port: string): IpAddress | string {
  if (!/^(0|[1-9]\d{0,4})$/.test(port) || Number(port) > 65535) return `port ${quoted(port)} is not one`;
  if (family === 'TCP4') {
    return isIPv4(host) ? { kind: 'ip', host, port: Number(port) } : `${quoted(host)} is not an IPv4 address`;
  }
  // A zone (%eth0) would be valid to Node, but is no part of an address that travels.
  if (!isIPv6(host) || host.includes('%')) return `${quoted(host)} is not an IPv6 address`;
  return { kind: 'ip', host: canonicalIpv6(host), port: Number(port) };
}

function header(source: IpAddress | undefined, destination: IpAddress | undefined): ProxyHeader {
  return { version: 1, command: 'proxy', source, destination, tlvs: [] };
}

function refuse(why: string, line: string): SniffResult<never> {
  return noMatch(`PROXY v1 line: ${why}: ${quoted(line)}`);
}
