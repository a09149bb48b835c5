/** An upstream as people write it: `config/schema.ts` says what each form means. */
import { type Address, type NameAddress, parseAddress } from '../core/address.js';
import { MeshproxyError } from '../core/errors.js';
import type { FileUpstream, SrvUpstream, Upstream } from '../core/upstream.js';
import { nearest } from './nearest.js';

const ACCEPTED =
  'accepted are host:port, tcp://host:port, dns://name:port, srv://_service._tcp.name, file:///path and unix:/path';

/** For editors, a little laxer than `parseUpstream`, which has the last word. */
export const UPSTREAM_PATTERN =
  '^(unix:.+|file:.+|srv://[^\\s/:]+/?|((tcp|dns)://)?(\\[[^\\s\\]]+\\]:\\d{1,5}|[^\\s:/\\[\\]]*:\\d{1,5})/?)$';

const SCHEMES = ['tcp', 'dns', 'srv', 'file', 'unix'];

/** What people paste from a browser; no slip of the keyboard. */
const WEB = new Set(['http', 'https', 'ws', 'wss']);

/** Reads an upstream. Throws a `MeshproxyError` `bad-address` that shows what is wrong and what is accepted. */
export function parseUpstream(text: string): Upstream {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  switch (scheme.toLowerCase()) {
    case 'tcp':
      return parseHost(text, rest);
    case 'dns':
      return parseName(text, rest);
    case 'srv':
      return parseSrv(text, rest);
    case 'file':
    case '':
      return /^file:/i.test(text) ? parseFile(text, text.slice('file:'.length)) : parseAddress(text);
    case 'unix':
      return parseAddress(text);
    default:
      throw unknownScheme(text, scheme);
  }
}

function unknownScheme(text: string, scheme: string): MeshproxyError {
  const near = WEB.has(scheme.toLowerCase()) ? undefined : nearest(scheme, SCHEMES);
  const hint =
    near === undefined
      ? `leave out ${JSON.stringify(`${scheme}://`)}: whatever the protocol, it is carried over TCP`
      : `did you mean ${near}:${near === 'unix' ? '' : '//'}?`;
  return bad(text, near === undefined ? 'it is a URL' : `there is no scheme ${JSON.stringify(scheme)}`, hint);
}

function parseHost(text: string, rest: string): Address {
  const address = within(text, () => parseAddress(rest.replace(/\/$/, '')));
  if (address.kind === 'unix') throw bad(text, 'a socket has no host', `write unix:${address.path}`);
  return address;
}

function parseName(text: string, rest: string): NameAddress {
  const address = parseHost(text, rest);
  if (address.kind === 'name') return address;
  throw bad(text, 'there is no name to resolve', `write tcp://${rest}`);
}

/** The labels of a host name, and underscores before those that name the service and its protocol. */
const SRV_NAME = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+\.?$/i;

function parseSrv(text: string, rest: string): SrvUpstream {
  const name = rest.replace(/\/$/, '');
  if (name === '') throw bad(text, 'the name is missing');
  if (/:\d*$/.test(name)) throw bad(text, 'it has a port', 'SRV records name the ports; leave it out');
  if (name.length > 253 || !SRV_NAME.test(name))
    throw bad(text, `${JSON.stringify(name)} is not a name of SRV records`);
  return { kind: 'srv', name: name.toLowerCase() };
}

/** RFC 8089: `file:///path`, `file:/path`, and as an extension of ours a relative path, `file:path`. */
function parseFile(text: string, rest: string): FileUpstream {
  const host = /^\/\/([^/]+)/.exec(rest)?.[1];
  if (host !== undefined && host.toLowerCase() !== 'localhost') {
    throw bad(text, `${JSON.stringify(host)} would be a host`, `write file:///PATH, or file:${rest.slice(2)}`);
  }
  const path = decoded(text, rest.replace(/^\/\/[^/]*/, ''));
  if (path === '' || path.endsWith('/')) throw bad(text, 'it names no file');
  if (path.includes('\0')) throw bad(text, 'the path contains a zero byte');
  return { kind: 'file', path };
}

function decoded(text: string, path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw bad(text, 'a % in it begins no two hexadecimal digits', 'write %25 for a percent sign');
  }
}

/** Says of the whole text what is wrong with a part of it. */
function within<T>(text: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof MeshproxyError)) throw error;
    const [, why = error.message] = /^address "(?:[^"\\]|\\.)*": (.*); accepted are/s.exec(error.message) ?? [];
    throw bad(text, why);
  }
}

function bad(text: string, why: string, hint?: string): MeshproxyError {
  return new MeshproxyError(
    'bad-address',
    `address ${JSON.stringify(text)}: ${why}; ${ACCEPTED}`,
    hint ? { hint } : {},
  );
}
