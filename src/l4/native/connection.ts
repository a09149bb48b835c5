/** One socket of the native engine: what is done with it before a relay, and what a relay knows of it. */
import type { SocketAddress } from '../../core/address.js';
import type { CancelSignal } from '../../core/cancel.js';
import { MeshproxyError } from '../../core/errors.js';
import type { Connection, Pace, RelayEnd, RelayEvents } from '../transport.js';
import type { Engine } from './engine.js';
import { errnoError } from './errno.js';
import { EAGAIN, EINTR, ERR, HUP, IN, OUT, type Pipe, PRI, RDHUP } from './kernel.js';
import type { Handler, Unfinished } from './reactor.js';
import { Relay } from './relay.js';
import type { Handshake } from './tls-handshake.js';
import type { TlsSession } from './tls-session.js';

const CLOSED = -1;
const EMPTY: Uint8Array = new Uint8Array(0);

/** A `peek` that waits for bytes. At most one at a time: a connection has one owner. */
interface Waiting {
  readonly atLeast: number;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: MeshproxyError) => void;
}

export class NativeConnection implements Connection, Handler, Unfinished {
  /** `CLOSED` from the moment it is closed: the number may be another connection's by then. */
  fd: number;
  readonly remote: SocketAddress | undefined;
  bytesRead = 0;
  /** There may be something to read. Edges are told once, so it is remembered until a read finds nothing more. */
  readable = false;
  /**
   * A short read does not mean that there is no more: the peer has sent its end, which is to be read too, or urgent data,
   * at which every read stops; on a unix socket reads also stop at descriptors that came with the bytes.
   */
  readToEnd: boolean;
  /** The end of the stream has been read. */
  ended = false;
  /** It is not told of what arrives. */
  deaf = false;
  /** The kernel takes no more until it says so. */
  blocked = false;
  /** The socket broke, and is closed. */
  failure: Error | undefined;
  relaying: Relay | undefined;
  pace: Pace | undefined;
  /** It is not read until this fires, to keep its pace. */
  resting: NodeJS.Timeout | undefined;
  /** The TLS handshake that goes on, and what it ended in. */
  securing: Handshake | undefined;
  tls: TlsSession | undefined;
  /** Read from this socket, and not yet handed to the other one: first `held`, then what is in the pipe. */
  held: Uint8Array = EMPTY;
  pipe: Pipe | undefined;
  inPipe = 0;
  /** It sent so much at a time that the next read is a splice. */
  streams = false;
  /** Its end has been passed on to the other side. */
  endPassed = false;
  /** To go out before anything that is relayed to this socket. */
  unsent: Uint8Array = EMPTY;
  /** Handed to the kernel. */
  sent = 0;
  readonly #engine: Engine;
  #waiting: Waiting | undefined;
  /** Our end of the stream follows what is queued. */
  #endsWrite = false;
  /** A `peek` lets others have their turn. */
  #waitsForTurn = false;

  /** Takes over a connected socket, which the caller has made the reactor watch or is about to. */
  constructor(engine: Engine, fd: number, remote: SocketAddress | undefined) {
    this.#engine = engine;
    this.fd = fd;
    this.remote = remote;
    // A client's unix socket has no name, as a rule.
    this.readToEnd = remote?.kind !== 'ip';
  }

  get closed(): boolean {
    return this.fd === CLOSED;
  }

  get local(): SocketAddress | undefined {
    return this.fd === CLOSED ? undefined : this.#engine.kernel.localAddress(this.fd);
  }

  get backlogMs(): number {
    return this.fd === CLOSED ? 0 : this.#engine.kernel.backlogMs(this.fd);
  }

  get bytesWritten(): number {
    return this.sent + this.#queued();
  }

  get bytesUnsent(): number {
    return this.#queued() + (this.fd === CLOSED ? 0 : this.#engine.kernel.unacknowledged(this.fd));
  }

  peek(atLeast: number, signal: CancelSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.fd === CLOSED) return reject(disconnected(this.failure ?? new Error('the socket was closed')));
      if (signal.aborted) return reject(aborted(signal));
      const onAbort = () => {
        this.#waiting = undefined;
        reject(aborted(signal));
      };
      this.#waiting = {
        atLeast,
        resolve: (bytes) => {
          signal.removeEventListener('abort', onAbort);
          resolve(bytes);
        },
        reject: (error) => {
          signal.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#readForPeek();
    });
  }

  consume(count: number): void {
    // Not an empty view of it: that would keep the whole buffer for as long as the connection lives.
    this.held = count >= this.held.length ? EMPTY : this.held.subarray(count);
  }

  write(bytes: Uint8Array): void {
    if (this.fd === CLOSED) return;
    // A copy: the caller may use its buffer again.
    this.unsent = this.unsent.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([this.unsent, bytes]);
    this.#flush();
  }

  end(): void {
    if (this.fd === CLOSED) return;
    this.#endsWrite = true;
    this.#flush();
  }

  relay(peer: Connection, events: RelayEvents): Promise<RelayEnd> {
    if (!(peer instanceof NativeConnection)) throw new TypeError('a relay joins two connections of one transport');
    return new Promise((resolve) => new Relay(this.#engine, this, peer, events, resolve).start());
  }

  reset(): void {
    if (this.fd === CLOSED) return;
    if (this.relaying !== undefined) return void this.relaying.reset();
    if (this.securing !== undefined) return void this.securing.gone();
    this.abort();
    this.#failWaiting(new Error('the socket was closed'));
  }

  onEvents(mask: number): void {
    if ((mask & OUT) !== 0) this.tls?.flush();
    this.tls?.noteArrival(mask);
    if (this.relaying !== undefined) return void this.relaying.onEvents(this, mask);
    if (this.securing !== undefined) return void this.securing.onEvents(mask);
    if ((mask & ERR) !== 0) return void this.#failed('read', this.#engine.kernel.pendingError(this.fd));
    if ((mask & OUT) !== 0) this.takesMore();
    if ((mask & (IN | PRI | RDHUP | HUP)) !== 0 && this.fd !== CLOSED) {
      this.noteReadable(mask);
      if (this.#waiting !== undefined) this.#readForPeek();
    }
  }

  fail(): void {
    this.reset();
  }

  goOn(): void {
    this.#waitsForTurn = false;
    this.#readForPeek();
  }

  /** The kernel does again. */
  takesMore(): void {
    this.blocked = false;
    this.#flush();
  }

  noteReadable(mask: number): void {
    this.readable = true;
    if ((mask & (PRI | RDHUP | HUP)) !== 0) this.readToEnd = true;
  }

  /** From here on its bytes are those that TLS carries. */
  secured(session: TlsSession): void {
    this.tls = session;
    // What a record brings is not what a read of the socket brought: only TLS itself knows when there is nothing more.
    this.readable = true;
    this.readToEnd = true;
  }

  /** As `Kernel.receive`, `sendReceived`, `send`: through TLS where there is TLS. */
  receive(most?: number): number {
    return this.tls === undefined ? this.#engine.kernel.receive(this.fd, most) : this.tls.receive();
  }

  sendReceived(length: number): number {
    return this.tls === undefined ? this.#engine.kernel.sendReceived(this.fd, length) : this.tls.sendReceived(length);
  }

  send(bytes: Uint8Array): number {
    return this.tls === undefined ? this.#engine.kernel.send(this.fd, bytes) : this.tls.send(bytes);
  }

  /** Sends our end of the stream. False where it has to be tried again once the kernel takes more. */
  endWrite(): boolean {
    if (this.tls === undefined) return this.#engine.kernel.shutdownWrite(this.fd) !== -EAGAIN;
    this.blocked = this.tls.endWrite() === -EAGAIN;
    return !this.blocked;
  }

  /** @param errno of what failed on this socket */
  errorOf(call: string, errno: number): Error {
    return this.tls?.failure ?? errnoError(call, errno);
  }

  /** Closes in order: what was sent is delivered. */
  close(): void {
    const { fd } = this;
    if (fd === CLOSED) return;
    this.#freeTls();
    this.fd = CLOSED;
    this.#engine.reactor.closing(fd);
    this.#engine.kernel.close(fd);
  }

  /** Closes with a reset: what was not sent yet never is. */
  abort(): void {
    const { fd } = this;
    if (fd === CLOSED) return;
    this.#freeTls();
    this.fd = CLOSED;
    this.unsent = EMPTY;
    this.#engine.reactor.closing(fd);
    this.#engine.kernel.abort(fd);
  }

  /** Gives up the socket without closing it, for somebody else to own; with what was read of it, and what it has not taken yet. */
  detach(): { readonly fd: number; readonly held: Uint8Array; readonly unsent: Uint8Array } {
    const { fd, held, unsent } = this;
    this.fd = CLOSED;
    this.#engine.reactor.unwatch(fd);
    this.#engine.kernel.disown(fd);
    return { fd, held, unsent };
  }

  #freeTls(): void {
    this.tls?.free();
  }

  /** Read for this socket, or written to it, and not yet handed to the kernel. */
  #queued(): number {
    const source = this.relaying?.otherThan(this);
    return this.unsent.length + (source === undefined ? 0 : source.held.length + source.inPipe);
  }

  #readForPeek(): void {
    const { kernel, reactor } = this.#engine;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    while (this.readable && !this.ended && this.held.length < waiting.atLeast) {
      const got = this.receive();
      if (got > 0) {
        this.bytesRead += got;
        this.held = Buffer.concat([this.held, kernel.received.subarray(0, got)]);
        if (got < kernel.copyBytes && !this.readToEnd) this.readable = false;
      } else if (got === 0) {
        this.ended = true;
      } else if (got === -EAGAIN) {
        this.readable = false;
      } else if (got !== -EINTR) {
        return void this.#failed('read', -got);
      }
      if (this.tls?.costly) return void this.#takeTurns();
    }
    if (this.held.length < waiting.atLeast && !this.ended) return;
    this.#waiting = undefined;
    reactor.callingOut();
    waiting.resolve(this.held);
  }

  #takeTurns(): void {
    if (this.#waitsForTurn) return;
    this.#waitsForTurn = true;
    this.#engine.reactor.later(this);
  }

  #flush(): void {
    while (this.unsent.length > 0 && !this.blocked) {
      const sent = this.send(this.unsent);
      if (sent > 0) {
        this.sent += sent;
        this.unsent = sent === this.unsent.length ? EMPTY : this.unsent.subarray(sent);
      } else if (sent === -EAGAIN) {
        this.blocked = true;
      } else if (sent !== -EINTR) {
        return void this.#failed('write', -sent);
      }
    }
    if (this.#endsWrite && !this.blocked && this.endWrite()) this.#endsWrite = false;
  }

  #failed(call: string, errno: number): void {
    this.failure = this.errorOf(call, errno);
    this.abort();
    this.#failWaiting(this.failure);
  }

  #failWaiting(cause: Error): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    this.#engine.reactor.callingOut();
    waiting.reject(disconnected(cause));
  }
}

function disconnected(cause: Error): MeshproxyError {
  return new MeshproxyError('disconnected', 'the other side broke the connection', { cause });
}

function aborted(signal: CancelSignal): MeshproxyError {
  return new MeshproxyError('aborted', 'given up', { cause: signal.reason });
}
