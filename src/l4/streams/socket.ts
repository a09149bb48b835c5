/** What is asked of Node's sockets beside their streams. */
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { SocketAddress } from '../../core/address.js';
import { libc } from '../native/libc.js';

/** The descriptor behind a socket or server; Node has no public way to ask. `undefined` on Windows and once closed. */
export function descriptorOf(holder: object): number | undefined {
  const handle = '_handle' in holder ? holder._handle : undefined;
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined;
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}

/**
 * Why what looks like the end of a stream is not one, or `undefined` where it is.
 *
 * libuv reports an end of stream when a short read meets a hung-up socket, without asking whether it was a reset that
 * hung it up. The kernel knows: the error is still pending on the socket. Without this, a reset behind unread data
 * would be passed on as a clean end, and a truncated stream look complete.
 */
export function endOfStreamError(socket: Socket): Error | undefined {
  const fd = descriptorOf(socket);
  const errno = fd === undefined ? 0 : (libc()?.pendingError(fd) ?? 0);
  if (errno === 0) return undefined;
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`read ${code}`), { code });
}

export function remoteAddress(socket: Socket): SocketAddress | undefined {
  const { remoteAddress: host, remotePort: port } = socket;
  return host === undefined || port === undefined ? undefined : { kind: 'ip', host, port };
}

export function localAddress(socket: Socket): SocketAddress | undefined {
  const { localAddress: host, localPort: port } = socket;
  return host === undefined || port === undefined ? undefined : { kind: 'ip', host, port };
}
