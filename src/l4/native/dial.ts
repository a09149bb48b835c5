/** Connecting, by the native engine. */
import type { SocketAddress } from '../../core/address.js';
import type { CancelSignal } from '../../core/cancel.js';
import type { MeshproxyError } from '../../core/errors.js';
import { couldMeetItself, dialAborted, dialError, metItself } from '../dial-outcome.js';
import type { SocketOptions } from '../transport.js';
import { familyOf } from './bind.js';
import { NativeConnection } from './connection.js';
import type { Engine } from './engine.js';
import { errnoError } from './errno.js';
import { EINPROGRESS, EINTR, EIO, ERR, HUP } from './kernel.js';
import type { Handler } from './reactor.js';

/** One connect under way; it owns the descriptor until it is settled. */
class Dialling implements Handler {
  readonly #engine: Engine;
  readonly #fd: number;
  readonly #settle: (errno: number, mask: number) => void;

  constructor(engine: Engine, fd: number, settle: (errno: number, mask: number) => void) {
    this.#engine = engine;
    this.#fd = fd;
    this.#settle = settle;
  }

  onEvents(mask: number): void {
    const failed = (mask & (ERR | HUP)) !== 0 ? this.#engine.kernel.pendingError(this.#fd) : 0;
    this.#settle(failed, mask);
  }

  fail(): void {
    this.#settle(EIO, 0);
  }
}

export function dial(
  engine: Engine,
  address: SocketAddress,
  options: SocketOptions,
  signal: CancelSignal,
): Promise<NativeConnection> {
  const { kernel, reactor } = engine;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(dialAborted(address, signal));
    const fd = kernel.socket(familyOf(address));
    if (fd < 0) return reject(dialError(address, errnoError('socket', -fd)));
    const fail = (error: MeshproxyError): void => {
      signal.removeEventListener('abort', onAbort);
      reactor.closing(fd);
      kernel.close(fd);
      reject(error);
    };
    const onAbort = (): void => fail(dialAborted(address, signal));
    if (address.kind === 'ip') kernel.noDelay(fd);
    const begun = kernel.connect(fd, address);
    if (begun < 0 && begun !== -EINPROGRESS && begun !== -EINTR)
      return fail(dialError(address, errnoError('connect', -begun)));
    const dialling = new Dialling(engine, fd, (errno, mask) => {
      reactor.callingOut();
      if (errno !== 0) return fail(dialError(address, errnoError('connect', errno)));
      if (couldMeetItself(address) && isSelfConnected(engine, fd)) return fail(metItself(address));
      signal.removeEventListener('abort', onAbort);
      const connection = new NativeConnection(engine, fd, address);
      reactor.handOver(fd, connection);
      if (address.kind === 'ip') engine.keepalive.add(fd, options);
      connection.onEvents(mask);
      resolve(connection);
    });
    const watched = reactor.watchEdges(fd, dialling);
    if (watched < 0) return fail(dialError(address, errnoError('epoll_ctl', -watched)));
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function isSelfConnected({ kernel }: Engine, fd: number): boolean {
  const local = kernel.localAddress(fd);
  const remote = kernel.remoteAddress(fd);
  return local?.kind === 'ip' && remote?.kind === 'ip' && local.port === remote.port && local.host === remote.host;
}
