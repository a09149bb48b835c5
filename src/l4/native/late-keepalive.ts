/**
 * Keepalive of dialled sockets, set when they have lived for a moment. It takes four system calls, which were a
 * twentieth of what a short connection costs, and matters to none that is gone before its first probe.
 */
import type { SocketOptions } from '../transport.js';
import type { Connecting } from './kernel.js';
import type { Reactor } from './reactor.js';

/** No keepalive time is shorter, so no probe is late. */
const AFTER_MS = 1000;

export class LateKeepalive {
  readonly #kernel: Pick<Connecting, 'keepAlive'>;
  readonly #reactor: Pick<Reactor, 'tagOf'>;
  /** Descriptors and their tags, by turns. Numbers: what is remembered of a connection must not keep it from being collected. */
  #young: number[] = [];
  #options: SocketOptions | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(kernel: Pick<Connecting, 'keepAlive'>, reactor: Pick<Reactor, 'tagOf'>) {
    this.#kernel = kernel;
    this.#reactor = reactor;
  }

  /** @param fd watched by the reactor */
  add(fd: number, options: SocketOptions): void {
    if (options.keepaliveMs === 0) return;
    this.#options = options;
    this.#young.push(fd, this.#reactor.tagOf(fd));
    this.#timer ??= setTimeout(() => this.#apply(), AFTER_MS).unref();
  }

  #apply(): void {
    this.#timer = undefined;
    const grown = this.#young;
    this.#young = [];
    for (let index = 0; index < grown.length; index += 2) {
      const fd = grown[index] ?? -1;
      if (this.#options !== undefined && this.#reactor.tagOf(fd) === grown[index + 1]) {
        this.#kernel.keepAlive(fd, this.#options);
      }
    }
  }
}
