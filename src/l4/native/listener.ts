/** A listening socket in the native engine's hands. */
import type { Address, SocketAddress } from '../../core/address.js';
import type { Connection, Listener, SocketOptions } from '../transport.js';
import { NativeConnection } from './connection.js';
import type { Engine } from './engine.js';
import { EAGAIN, isShortage } from './kernel.js';
import type { Handler } from './reactor.js';

/** Accepted before others have their turn; what still waits is told again. */
const ACCEPTS_PER_TURN = 64;
/** The same of those that are turned away at once, which costs next to nothing: they are not to wait for that behind others. */
const REFUSALS_PER_TURN = 1024;

/**
 * Rest after there was no descriptor for a waiting client, ms. The socket stays readable, so without a rest the thread
 * would do nothing but try. libuv turns such clients away instead; here they wait.
 */
const REST_MS = 100;

export interface ListenerOptions {
  /** As bound. */
  readonly address: Address;
  readonly fd: number;
  accept(connection: Connection): void;
  /** Asked for each connection first; true where it is another thread's now. */
  share?: ((fd: number) => boolean) | undefined;
  /** There was no descriptor for a client. */
  exhausted?: (() => void) | undefined;
  /** Called once when it is closed: closes the socket, where it is ours to close. */
  release(): void;
}

export class NativeListener implements Listener, Handler {
  readonly address: Address;
  readonly #engine: Engine;
  readonly #options: ListenerOptions;
  #acceptsPerTurn = ACCEPTS_PER_TURN;
  #state: 'open' | 'paused' | 'closed' = 'paused';
  #resting: NodeJS.Timeout | undefined;

  constructor(engine: Engine, options: ListenerOptions) {
    this.address = options.address;
    this.#engine = engine;
    this.#options = options;
    this.resume();
  }

  pause(): boolean {
    if (this.#state === 'closed') return false;
    this.#state = 'paused';
    this.#stopListening();
    return true;
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'open';
    this.#listen();
  }

  configure(options: SocketOptions): void {
    this.#acceptsPerTurn = options.acceptsPerTurn ?? ACCEPTS_PER_TURN;
    // What it accepts has the options of the listening socket.
    if (this.#state !== 'closed' && this.address.kind !== 'unix') {
      this.#engine.kernel.keepAlive(this.#options.fd, options);
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#stopListening();
    this.#options.release();
  }

  onEvents(): void {
    const { kernel } = this.#engine;
    let [accepts, refusals] = [0, 0];
    while (accepts < this.#acceptsPerTurn && refusals < REFUSALS_PER_TURN && this.#state === 'open') {
      const fd = kernel.accept(this.#options.fd);
      if (fd === -EAGAIN) return;
      if (isShortage(fd)) return void this.#rest();
      // Any other failure is one client that has gone already (accept(2)): the next is none the worse for it.
      const shared = fd >= 0 && this.#options.share?.(fd) === true;
      if (fd < 0 || shared || this.#accepted(fd, kernel.acceptedFrom())) accepts += 1;
      else refusals += 1;
    }
  }

  /** Takes a connection that another thread has accepted for this one, at any time: paused or closed, its owner decides. */
  take(fd: number): void {
    this.#accepted(fd, this.#engine.kernel.remoteAddress(fd));
  }

  /** Whether it was let in. */
  #accepted(fd: number, remote: SocketAddress | undefined): boolean {
    const { kernel, reactor } = this.#engine;
    const connection = new NativeConnection(this.#engine, fd, remote);
    if (reactor.watchEdges(fd, connection) < 0) {
      kernel.abort(fd);
      return false;
    }
    reactor.callingOut();
    try {
      this.#options.accept(connection);
    } catch (error) {
      reactor.reportBug(error);
      connection.reset();
    }
    return !connection.closed;
  }

  /** Where the system does not watch any more (`max_user_watches`): as where there is no descriptor, clients wait. */
  #listen(): void {
    if (this.#engine.reactor.watchReadable(this.#options.fd, this) < 0) this.#rest();
  }

  #stopListening(): void {
    clearTimeout(this.#resting);
    this.#engine.reactor.unwatch(this.#options.fd);
  }

  #rest(): void {
    // The turn under way was to wait without knowing of the timers, here and of whoever is told.
    this.#engine.reactor.callingOut();
    this.#options.exhausted?.();
    // It may have been paused by that: then it is not ours to go on.
    if (this.#state !== 'open') return;
    this.#stopListening();
    this.#resting = setTimeout(() => {
      if (this.#state === 'open') this.#listen();
    }, REST_MS);
  }
}
