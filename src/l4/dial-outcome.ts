/** What both engines say of a connect that failed, and the one success that is none. */
import { formatAddress, isLoopback, type SocketAddress } from '../core/address.js';
import type { CancelSignal } from '../core/cancel.js';
import { describeError, MeshproxyError } from '../core/errors.js';
import { classifyDisconnect } from './disconnect.js';

/** The lowest port that common systems give to clients (Linux 32768, the others 49152). Others need not be asked. */
const FIRST_EPHEMERAL_PORT = 32768;

/**
 * A connect to a free port of this machine out of the range that clients' ports are taken from can, once in some ten
 * thousand, meet itself: the kernel picks the very port that is dialled (simultaneous open, RFC 9293 section 3.5).
 */
export function couldMeetItself(address: SocketAddress): boolean {
  return address.kind === 'ip' && address.port >= FIRST_EPHEMERAL_PORT && isLoopback(address);
}

export function metItself(address: SocketAddress): MeshproxyError {
  return dialError(address, Object.assign(new Error('connected to itself'), { code: 'ECONNREFUSED' }));
}

export function dialError(address: SocketAddress, cause: Error): MeshproxyError {
  const text = `${formatAddress(address)}: ${describeError(cause)}`;
  // EADDRNOTAVAIL is none of the shortages: it is a machine without IPv6 that dials `::1`, or the ports to this one
  // endpoint are all in use; the next endpoint is as good as ever.
  const exhausted = classifyDisconnect(cause) === 'exhausted';
  return new MeshproxyError(exhausted ? 'exhausted' : 'connect', text, { cause });
}

export function dialAborted(address: SocketAddress, signal: CancelSignal): MeshproxyError {
  return new MeshproxyError('aborted', `${formatAddress(address)}: given up`, { cause: signal.reason });
}
