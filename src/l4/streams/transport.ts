/** The transport on Node's net streams: portable, and the reference for what the contract means. */

import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { SocketAddress } from '../../core/address.js';
import type { CancelSignal } from '../../core/cancel.js';
import { unixPath } from '../../core/unix-socket.js';
import { couldMeetItself, dialAborted, dialError, metItself } from '../dial-outcome.js';
import type { SocketOptions, Transport } from '../transport.js';
import { StreamConnection } from './connection.js';
import { listen } from './listener.js';
import { secure } from './tls.js';

export const streamsTransport: Transport = {
  engine: 'streams',
  listen,
  dial,
  async secure(connection, setup, call, signal) {
    if (!(connection instanceof StreamConnection)) throw new TypeError('not a connection of this transport');
    return secure(connection, setup, call, signal);
  },
};

export function dial(address: SocketAddress, options: SocketOptions, signal: CancelSignal): Promise<StreamConnection> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(dialAborted(address, signal));
    const socket = connect(connectOptions(address, options));
    // Held back until somebody asks: what a server says first belongs to the relay.
    socket.pause();
    const onAbort = () => {
      socket.destroy();
      reject(dialAborted(address, signal));
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
        return reject(metItself(address));
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

function isSelfConnected(socket: Socket): boolean {
  return (
    socket.remotePort !== undefined &&
    socket.localPort === socket.remotePort &&
    socket.localAddress === socket.remoteAddress
  );
}
