/** From the native engine to Node: what needs Node's own sockets, as TLS does, is accepted natively and handed over. */
import { Socket } from 'node:net';
import type { NativeConnection } from './connection.js';

/**
 * Makes a socket of Node's of a connection that is not being relayed, in the same thread. It reads what was peeked and
 * not consumed first, and sends what was written first. The connection is closed for its owner from then on.
 * Throws where the connection has broken already.
 */
export function adopt(connection: NativeConnection): Socket {
  if (connection.closed) throw connection.failure ?? new Error('the socket was closed');
  const { fd, held, unsent } = connection.detach();
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  if (held.length > 0) socket.unshift(held);
  if (unsent.length > 0) socket.write(unsent);
  return socket;
}
