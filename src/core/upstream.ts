/** What an upstream of a service can be: an address, or a place where addresses are found. `config/upstream.ts` reads them. */
import { type Address, formatAddress } from './address.js';

/** `srv://_service._tcp.name`: SRV records (RFC 2782), which name hosts with ports, weights and priorities. */
export interface SrvUpstream {
  readonly kind: 'srv';
  readonly name: string;
}

/** `file:///path`: a list of endpoints that somebody else keeps. */
export interface FileUpstream {
  readonly kind: 'file';
  readonly path: string;
}

/** An address of kind `name` stands for all addresses of that name. */
export type Upstream = Address | SrvUpstream | FileUpstream;

/** The form that is read back to the same upstream; of `tcp://` and `dns://`, which only say more, the address alone. */
export function formatUpstream(upstream: Upstream): string {
  switch (upstream.kind) {
    case 'srv':
      return `srv://${upstream.name}`;
    case 'file':
      // A relative path has no host before it that two slashes would announce (RFC 8089 section 2).
      return `${upstream.path.startsWith('/') ? 'file://' : 'file:'}${encodePath(upstream.path)}`;
    default:
      return formatAddress(upstream);
  }
}

/** Only what would be read as something else: the path of a log line is to be pasted into a shell. */
function encodePath(path: string): string {
  return path.replace(/[%\s]/g, encodeURIComponent);
}
