/** The transport on Node's net streams: portable, and the reference for what the contract means. */

import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { formatAddress, isLoopback, type SocketAddress } from '../../core/address.js';
import type { CancelSignal } from '../../core/cancel.js';
import { describeError, MeshproxyError } from '../../core/errors.js';
import { unixPath } from '../../core/unix-socket.js';
import { classifyDisconnect } from '../disconnect.js';
import type { SocketOptions, Transport } from '../transport.js';
import { StreamConnection } from './connection.js';
import { listen } from './listener.js';

export const streamsTransport: Transport = { engine: 'streams', listen, dial };

function dial(address: SocketAddress, options: SocketOptions, signal: CancelSignal): Promise<StreamConnection> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(aborted(address, signal));
    const socket = connect(connectOptions(address, options));
    // Held back until somebody asks: what a server says first belongs to the relay.
    socket.pause();
    const onAbort = () => {
      socket.destroy();
      reject(aborted(address, signal));
    };
    const onError = (error: Error) => {
      signal.removeEventListener('abort', onAbort);
      reject(dialError(address, error));
    };
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.off('error', onError);
      signal.removeEventListener('abort', onAbort);
      if (couldMeetItself(address) && isSelfConnected(socket)) {
        socket.destroy();
        return reject(dialError(address, Object.assign(new Error('connected to itself'), { code: 'ECONNREFUSED' })));
      }
      resolve(new StreamConnection(socket, undefined, address));
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function connectOptions(address: SocketAddress, options: SocketOptions): NetConnectOpts {
  const common = { allowHalfOpen: true, highWaterMark: options.bufferSize };
  if (address.kind === 'unix') return { ...common, path: unixPath(address.path) };
  return {
    ...common,
    host: address.host,
    port: address.port,
    noDelay: true,
    keepAlive: options.keepaliveMs > 0,
    keepAliveInitialDelay: options.keepaliveMs,
    autoSelectFamily: false,
  };
}

/** The lowest port that common systems give to clients (Linux 32768, the others 49152). Others need not be asked. */
const FIRST_EPHEMERAL_PORT = 32768;

function couldMeetItself(address: SocketAddress): boolean {
  return address.kind === 'ip' && address.port >= FIRST_EPHEMERAL_PORT && isLoopback(address);
}

/**
 * A connect to a free port of this machine out of the range that clients' ports are taken from can, once in some ten
 * thousand, meet itself: the kernel picks the very port that is dialled (simultaneous open, RFC 9293 section 3.5).
 */
function isSelfConnected(socket: Socket): boolean {
  return (
    socket.remotePort !== undefined &&
    socket.localPort === socket.remotePort &&
    socket.localAddress === socket.remoteAddress
  );
}

function dialError(address: SocketAddress, cause: Error): MeshproxyError {
  const text = `${formatAddress(address)}: ${describeError(cause)}`;
  // EADDRNOTAVAIL is none of the shortages: it is a machine without IPv6 that dials `::1`, or the ports to this one
  // endpoint are all in use; the next endpoint is as good as ever.
  const exhausted = classifyDisconnect(cause) === 'exhausted';
  return new MeshproxyError(exhausted ? 'exhausted' : 'connect', text, { cause });
}

function aborted(address: SocketAddress, signal: CancelSignal): MeshproxyError {
  return new MeshproxyError('aborted', `${formatAddress(address)}: given up`, { cause: signal.reason });
}
