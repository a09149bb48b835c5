/** One socket of Node's behind the transport's seam: what is done with it before (and instead of) a relay. */

import type { Socket } from 'node:net';
import type { SocketAddress } from '../../core/address.js';
import type { CancelSignal } from '../../core/cancel.js';
import type { Clock } from '../../core/clock.js';
import { MeshproxyError } from '../../core/errors.js';
import { libc } from '../native/libc.js';
import type { Connection, Pace, RelayEnd, RelayEvents } from '../transport.js';
import { Relay } from './relay.js';
import { descriptorOf, endOfStreamError, localAddress, remoteAddress } from './socket.js';

const EMPTY: Uint8Array = new Uint8Array(0);

/** For what is left of a connection that nobody needs any more. */
const END_MS = 1000;

/** A `peek` that waits for bytes. At most one at a time: a connection has one owner. */
interface Waiting {
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: MeshproxyError) => void;
}

export class StreamConnection implements Connection {
  /** What is read and written: the socket itself, or TLS over it. */
  socket: Socket;
  readonly raw: Socket;
  readonly remote: SocketAddress | undefined;
  pace: Pace | undefined;
  /** Received and not consumed: goes to the peer of the relay first. */
  held: Uint8Array = EMPTY;
  /** The peer's end of stream has been seen; a relay hears of it by `onEnd`. */
  ended = false;
  onEnd: (() => void) | undefined;
  /** It is not read until this fires, to keep its pace. */
  resting: NodeJS.Timeout | undefined;
  /** The socket broke; it is destroyed. */
  failure: Error | undefined;
  readonly #unix: boolean;
  readonly #local: SocketAddress | undefined;
  #waiting: Waiting | undefined;

  /** Takes over a connected, paused socket. An address that is not given is the kernel's to tell. */
  constructor(socket: Socket, local: SocketAddress | undefined, remote: SocketAddress | undefined) {
    this.socket = socket;
    this.raw = socket;
    this.#unix = (local ?? remote)?.kind === 'unix';
    this.remote = this.#unix ? remote : (remote ?? remoteAddress(socket));
    this.#local = local;
    this.#listen();
  }

  /** From here on its bytes are those of TLS, over the socket that it had. */
  over(secured: Socket): void {
    this.raw.off('end', this.#onEnd);
    this.socket = secured;
    this.ended = false;
    this.#listen();
  }

  get local(): SocketAddress | undefined {
    return this.#local ?? localAddress(this.raw);
  }

  get backlogMs(): number {
    const fd = this.#unix ? undefined : descriptorOf(this.raw);
    return fd === undefined ? 0 : (libc()?.establishedMs(fd) ?? 0);
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten;
  }

  get bytesUnsent(): number {
    const fd = descriptorOf(this.raw);
    return this.socket.writableLength + (fd === undefined ? 0 : (libc()?.unacknowledged(fd) ?? 0));
  }

  peek(atLeast: number, signal: CancelSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const gone = this.failure ?? (this.socket.destroyed ? new Error('the socket was closed') : undefined);
      if (gone) return reject(disconnected(gone));
      if (signal.aborted) return reject(aborted(signal));
      if (this.held.length >= atLeast || this.ended) return resolve(this.held);
      const { socket } = this;
      const onData = (chunk: Uint8Array) => {
        this.held = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
        if (this.held.length >= atLeast) waiting.resolve(this.held);
      };
      const onAbort = () => waiting.reject(aborted(signal));
      const done = () => {
        this.#waiting = undefined;
        socket.pause();
        socket.off('data', onData);
        signal.removeEventListener('abort', onAbort);
      };
      const waiting: Waiting = {
        resolve: (bytes) => {
          done();
          resolve(bytes);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      this.#waiting = waiting;
      signal.addEventListener('abort', onAbort, { once: true });
      socket.on('data', onData);
      socket.resume();
    });
  }

  consume(count: number): void {
    // Not an empty view of it: that would keep the whole buffer for as long as the connection lives.
    this.held = count >= this.held.length ? EMPTY : this.held.subarray(count);
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  end(): void {
    this.socket.end();
  }

  relay(peer: Connection, events: RelayEvents): Promise<RelayEnd> {
    if (!(peer instanceof StreamConnection)) throw new TypeError('a relay joins two connections of one transport');
    return new Relay(this, peer, events).run();
  }

  /** Ends it in order, in place of a relay: what was written goes out first, and what still comes in is not read. */
  close(clock: Clock): void {
    // A peer that takes nothing holds this up no longer than that.
    const timer = clock.after(END_MS, () => this.reset());
    this.socket.once('close', () => timer.cancel());
    this.socket.end(() => this.socket.destroy());
  }

  reset(): void {
    const { socket, raw } = this;
    if (socket !== raw) return void this.#resetTls();
    if (socket.destroyed) return;
    // While a FIN is on its way to the kernel, libuv refuses to reset (EINVAL). The relay ends a socket only once its
    // queue is empty, so that moment is short and the stream before it complete.
    if (socket.writableEnded && !socket.writableFinished) socket.once('finish', () => this.#hardReset());
    else this.#hardReset();
  }

  /** What has not left yet never does: not even that the stream has ended. */
  #resetTls(): void {
    if (this.raw.destroyed) return;
    if (this.#unix) this.raw.destroy();
    else this.raw.resetAndDestroy();
    this.socket.destroy();
  }

  #listen(): void {
    // There from the first moment to the last: an 'error' event that nobody hears would end the process.
    this.socket.on('error', (error) => this.#failed(error));
    // Likewise: an empty stream ends even while it is paused, between two owners of the connection.
    this.socket.once('end', this.#onEnd);
  }

  readonly #onEnd = (): void => this.#atEnd();

  #hardReset(): void {
    if (this.socket.destroyed) return;
    // A unix domain socket has no reset, and Node throws where it is asked for one.
    if (this.#unix) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  #atEnd(): void {
    const error = endOfStreamError(this.raw);
    if (error) return void this.socket.destroy(error);
    this.ended = true;
    this.#waiting?.resolve(this.held);
    this.onEnd?.();
  }

  #failed(error: Error): void {
    this.failure = error;
    this.#waiting?.reject(disconnected(error));
  }
}

function disconnected(cause: Error): MeshproxyError {
  return new MeshproxyError('disconnected', 'the other side broke the connection', { cause });
}

function aborted(signal: CancelSignal): MeshproxyError {
  return new MeshproxyError('aborted', 'given up', { cause: signal.reason });
}
