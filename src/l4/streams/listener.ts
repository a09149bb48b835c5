/** A listening socket of Node's that can be paused, which Node's own cannot. */

import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { Address } from '../../core/address.js';
import { boundAddress, listenOptions, overStaleSocket } from '../../core/listen.js';
import { BACKLOG, listenError, resolveError } from '../listen-outcome.js';
import { libc } from '../native/libc.js';
import type { Accept, Listener, SocketOptions } from '../transport.js';
import { StreamConnection } from './connection.js';
import { descriptorOf } from './socket.js';

/**
 * Node takes 64 KiB for every read and frees them in bunches, which glibc gives back to the kernel as soon as 128 KiB
 * lie at the end of its heap; each read then faults in and clears fresh pages. Measured, that was half of the CPU of a
 * bulk transfer. This is about what is free between two collections of a proxy under load.
 */
const KEPT_FREED_BYTES = 64 * 1024 * 1024;

export async function listen(address: Address, options: SocketOptions, accept: Accept): Promise<Listener> {
  libc()?.keepFreedMemory(KEPT_FREED_BYTES);
  const where = await listenOptions(address).catch((error: unknown) => {
    throw resolveError(address, error);
  });
  return overStaleSocket(address, () => StreamListener.open(address, where, options, accept)).catch(
    (error: unknown) => {
      throw listenError(address, error);
    },
  );
}

class StreamListener implements Listener {
  readonly address: Address;
  #options: SocketOptions;
  readonly #accept: Accept;
  #server: Server;
  /**
   * A second descriptor of the same listening socket, taken while there are some left. Node cannot stop accepting
   * but by closing; with this one open the socket itself stays, and clients wait in its queue until `resume`.
   */
  #spare: number | undefined;
  #state: 'open' | 'paused' | 'closed' = 'open';

  static async open(address: Address, where: ListenOptions, options: SocketOptions, accept: Accept) {
    const server = await serve(where, options, (socket) => accept(accepted(socket, address)));
    return new StreamListener(boundAddress(server, address), server, options, accept);
  }

  private constructor(address: Address, server: Server, options: SocketOptions, accept: Accept) {
    this.address = address;
    this.#server = server;
    this.#options = options;
    this.#accept = accept;
    // A unix socket's path is removed by the close that pausing needs, so such a listener does not pause.
    this.#spare = address.kind === 'unix' ? undefined : duplicate(descriptorOf(server));
  }

  pause(): boolean {
    if (this.#state === 'paused') return true;
    if (this.#state === 'closed' || this.#spare === undefined) return false;
    this.#state = 'paused';
    this.#server.close();
    return true;
  }

  resume(): void {
    if (this.#state !== 'paused' || this.#spare === undefined) return;
    this.#state = 'open';
    const fd = this.#spare;
    this.#spare = duplicate(fd);
    this.#server = configure(this.#options, (socket) => this.#accept(accepted(socket, this.address)));
    this.#server.listen({ fd, backlog: BACKLOG });
  }

  configure(options: SocketOptions): void {
    const { keepaliveMs, bufferSize } = this.#options;
    if (options.keepaliveMs === keepaliveMs && options.bufferSize === bufferSize) return;
    this.#options = options;
    // Node fixes a server's options when it is made. One that cannot pause keeps them until it is bound anew.
    if (this.#state === 'open' && this.pause()) this.resume();
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    const wasOpen = this.#state === 'open';
    this.#state = 'closed';
    if (this.#spare !== undefined) libc()?.close(this.#spare);
    this.#spare = undefined;
    // Closing stops the accepting at once; its callback would wait for the connections, which live on without it.
    if (wasOpen) this.#server.close();
  }
}

/** Only a unix socket's own address is known here; the kernel tells the others. */
function accepted(socket: Socket, listener: Address): StreamConnection {
  return new StreamConnection(socket, listener.kind === 'unix' ? listener : undefined, undefined);
}

function configure(options: SocketOptions, onSocket: (socket: Socket) => void): Server {
  const server = createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: options.keepaliveMs > 0,
    keepAliveInitialDelay: options.keepaliveMs,
    highWaterMark: options.bufferSize,
  });
  server.on('connection', onSocket);
  // After listening, an 'error' is one connection that could not be accepted. The next is none the worse for it.
  server.on('error', () => {});
  return server;
}

function serve(where: ListenOptions, options: SocketOptions, onSocket: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = configure(options, onSocket);
    server.once('error', reject);
    server.listen({ ...where, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

function duplicate(fd: number | undefined): number | undefined {
  const copy = fd === undefined ? -1 : (libc()?.dup(fd) ?? -1);
  return copy < 0 ? undefined : copy;
}
