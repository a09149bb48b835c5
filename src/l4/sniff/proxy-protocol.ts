/**
 * Reads the header with which a proxy in front of us names the client (HAProxy's PROXY protocol, versions 1 and 2).
 * Where a listener expects one it is required: the specification forbids guessing, as anybody could then claim any
 * address.
 */
import { type ProxyHeader, V1_MAX_BYTES, V1_SIGNATURE, V2_SIGNATURE } from './proxy-format.js';
import { parseProxyV1 } from './proxy-v1.js';
import { parseProxyV2 } from './proxy-v2.js';
import { noMatch, quoted, type SniffResult } from './result.js';

/** Reads a header of either version from everything received so far. At most `V2_MAX_BYTES` are ever asked for. */
export function parseProxyHeader(bytes: Uint8Array): SniffResult<ProxyHeader> {
  // No bytes at all fit both: version 1, the shorter one, says how many to wait for.
  if (fits(bytes, V1_SIGNATURE)) return parseProxyV1(bytes);
  if (fits(bytes, V2_SIGNATURE)) return parseProxyV2(bytes);
  return noMatch(
    `no PROXY protocol header: the connection begins with ${quoted(Buffer.from(bytes.subarray(0, V1_MAX_BYTES)).toString('latin1'))}`,
  );
}

/** True while what is there of `bytes` agrees with `signature`. */
function fits(bytes: Uint8Array, signature: Uint8Array): boolean {
  return signature.subarray(0, bytes.length).every((byte, at) => bytes[at] === byte);
}
