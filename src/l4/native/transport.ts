/** The transport on epoll, splice and bare descriptors: Linux, one for each thread. */
import type { Address } from '../../core/address.js';
import { descriptorLimit } from '../../core/descriptors.js';
import type { TlsSetup } from '../tls.js';
import type { Accept, BoundSocket, SocketOptions, Transport } from '../transport.js';
import { bindShared } from './bind.js';
import { NativeConnection } from './connection.js';
import { dial } from './dial.js';
import type { Engine } from './engine.js';
import { Handover, type SharedExchange } from './handover.js';
import { LateKeepalive } from './late-keepalive.js';
import { type KernelOptions, LinuxKernel } from './linux-kernel.js';
import { NativeListener } from './listener.js';
import { openSsl } from './openssl.js';
import { Pipes, pipesAllowed } from './pipes.js';
import { Reactor } from './reactor.js';
import { type TlsContext, TlsContexts } from './tls-context.js';
import { shakeHands } from './tls-handshake.js';

export interface NativeOptions extends KernelOptions {
  /** How many threads share the descriptors of this process. */
  readonly threads?: number;
  /** The number of this one among them, from 0. */
  readonly thread?: number;
  /** By which they hand connections to each other, where there are several. */
  readonly exchange?: SharedExchange | undefined;
  /** Told what was thrown where nothing should be: a bug, which ends one connection at most. */
  onBug(error: unknown): void;
}

export interface NativeTransport extends Transport {
  readonly engine: 'native';
  /** Accepts on a socket that another thread has bound. Closing the listener leaves the socket open. */
  adopt(socket: BoundSocket, options: SocketOptions, accept: Accept, exhausted?: () => void): NativeListener;
  /** How many connections it has handed to other threads. */
  readonly handedOver: number;
  /** How many are on their way between threads now. */
  readonly underWay: number;
  /** Closes what the transport itself holds, once nothing of it is in use any more. */
  close(): void;
}

/** Throws where the system does not have, or allow, what it takes: `nativeSupport` says so beforehand. */
export function createNativeTransport({
  threads = 1,
  thread = 0,
  exchange,
  onBug,
  ...options
}: NativeOptions): NativeTransport {
  const kernel = new LinuxKernel(options);
  const pipes = new Pipes(kernel, pipesAllowed(descriptorLimit(), threads));
  const reactor = new Reactor(kernel, onBug);
  const engine: Engine = { kernel, reactor, pipes, keepalive: new LateKeepalive(kernel, reactor) };
  const handover = exchange && new Handover(kernel, reactor, exchange, thread);
  let contexts: TlsContexts | undefined;
  const contextOf = (connection: NativeConnection, setup: TlsSetup): TlsContext => {
    try {
      contexts ??= new TlsContexts(openSsl());
      return contexts.of(setup);
    } catch (error) {
      connection.close();
      throw error;
    }
  };
  return {
    engine: 'native',
    async listen(address: Address, sockets: SocketOptions, accept: Accept, exhausted?: () => void) {
      const { address: bound, fds, close } = await bindShared(address, sockets, 1);
      const listener = new NativeListener(engine, {
        address: bound,
        fd: fds[0] ?? -1,
        accept,
        exhausted,
        release: close,
      });
      listener.configure(sockets);
      return listener;
    },
    adopt: (socket, sockets, accept, exhausted) => {
      const { address, fd, group } = socket;
      const share = handover && ((accepted: number) => handover.offer(group, accepted));
      const release = (): void => handover?.leave(group);
      const adopted = new NativeListener(engine, { address, fd, accept, share, exhausted, release });
      adopted.configure(sockets);
      handover?.join(group, adopted);
      return adopted;
    },
    get handedOver() {
      return handover?.handedOver ?? 0;
    },
    get underWay() {
      return handover?.underWay ?? 0;
    },
    async secure(connection, setup, call, signal) {
      if (!(connection instanceof NativeConnection)) throw new TypeError('not a connection of this transport');
      return shakeHands(engine, connection, contextOf(connection, setup), call, signal);
    },
    dial: (address, sockets, signal) => dial(engine, address, sockets, signal),
    close() {
      handover?.close();
      pipes.closeSpare();
      kernel.closePolling();
    },
  };
}
