/** A TLS handshake on a connection that nobody reads yet. When it is over, what is read of the connection and written to it is plain. */
import type { CancelSignal } from '../../core/cancel.js';
import { MeshproxyError } from '../../core/errors.js';
import type { TlsCall, TlsPeer } from '../tls.js';
import { handshakeError, plainText } from '../tls-words.js';
import type { NativeConnection } from './connection.js';
import type { Engine } from './engine.js';
import { errnoError } from './errno.js';
import { ERR, OUT } from './kernel.js';
import type { Unfinished } from './reactor.js';
import type { TlsContext } from './tls-context.js';
import { TlsSession } from './tls-session.js';

export function shakeHands(
  engine: Engine,
  connection: NativeConnection,
  context: TlsContext,
  call: TlsCall,
  signal: CancelSignal,
): Promise<TlsPeer> {
  return new Promise((resolve, reject) => {
    new Handshake(engine, connection, context, call, signal, resolve, reject).start();
  });
}

export class Handshake implements Unfinished {
  readonly #engine: Engine;
  readonly #connection: NativeConnection;
  readonly #context: TlsContext;
  readonly #session: TlsSession;
  readonly #signal: CancelSignal;
  readonly #resolve: (peer: TlsPeer) => void;
  readonly #reject: (error: MeshproxyError) => void;
  #over = false;
  /** OpenSSL is at work, and may ask whoever judges the peer; what that ends is ended when it has returned. */
  #driving = false;
  /** It has used up its reads of this turn. */
  #waitsForTurn = false;
  #failure: MeshproxyError | undefined;

  constructor(
    engine: Engine,
    connection: NativeConnection,
    context: TlsContext,
    call: TlsCall,
    signal: CancelSignal,
    resolve: (peer: TlsPeer) => void,
    reject: (error: MeshproxyError) => void,
  ) {
    const { kernel } = engine;
    const { fd, held, readToEnd } = connection;
    this.#engine = engine;
    this.#connection = connection;
    this.#context = context;
    this.#session = new TlsSession(kernel, fd, context, call, held, readToEnd);
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const connection = this.#connection;
    if (connection.closed)
      return void this.#fail(disconnected(connection.failure ?? new Error('the socket was closed')));
    if (this.#signal.aborted) return void this.#fail(aborted(this.#signal));
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
    connection.securing = this;
    connection.consume(connection.held.length);
    this.#drive();
  }

  onEvents(mask: number): void {
    if ((mask & OUT) !== 0) this.#connection.takesMore();
    if (this.#connection.closed) return void this.gone();
    this.#session.noteArrival(mask);
    // Also where the socket is broken: what came before that may be the alert that says why.
    this.#drive();
    if ((mask & ERR) === 0 || this.#over) return;
    const errno = this.#engine.kernel.pendingError(this.#connection.fd);
    this.#fail(disconnected(errnoError('read', errno)));
  }

  goOn(): void {
    this.#waitsForTurn = false;
    if (!this.#over) this.#drive();
  }

  fail(): void {
    this.gone();
  }

  /** The connection was closed by its owner. */
  gone(): void {
    this.#fail(disconnected(this.#connection.failure ?? new Error('the socket was closed')));
  }

  readonly #onAbort = (): void => this.#fail(aborted(this.#signal));

  #drive(): void {
    // What was written before goes before.
    if (this.#connection.unsent.length > 0) return;
    const session = this.#session;
    this.#driving = true;
    const progress = session.shakeHands();
    this.#driving = false;
    if (this.#failure !== undefined) return void this.#fail(this.#failure);
    switch (progress) {
      case 'waiting':
        return;
      case 'unfinished':
        return void this.#takeTurns();
      case 'done':
        return void this.#done();
      case 'closed':
        return void this.#refuse(undefined);
      case 'failed':
        if (session.errno !== 0) return void this.#fail(disconnected(errnoError('read', session.errno)));
        return void this.#refuse(session.reason);
    }
  }

  #takeTurns(): void {
    if (this.#waitsForTurn) return;
    this.#waitsForTurn = true;
    this.#engine.reactor.later(this);
  }

  #done(): void {
    const connection = this.#connection;
    this.#end();
    connection.secured(this.#session);
    this.#resolve(this.#session.peer);
  }

  #refuse(reason: string | undefined): void {
    const { verdict } = this.#session;
    const { setup } = this.#context;
    const plain = verdict === undefined ? plainText(this.#session.firstBytes) : undefined;
    this.#fail(handshakeError(setup, { verdict, reason, plain }, Date.now()));
  }

  #fail(error: MeshproxyError): void {
    if (this.#over) return;
    if (this.#driving) {
      this.#failure ??= error;
      return;
    }
    this.#end();
    this.#session.free();
    // In order, not with a reset: that would overtake the alert that says why.
    this.#connection.close();
    this.#reject(error);
  }

  #end(): void {
    this.#over = true;
    this.#connection.securing = undefined;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#engine.reactor.callingOut();
  }
}

function disconnected(cause: Error): MeshproxyError {
  return new MeshproxyError('disconnected', 'the other side broke the connection in the middle of the TLS handshake', {
    cause,
  });
}

function aborted(signal: CancelSignal): MeshproxyError {
  return new MeshproxyError('aborted', 'given up', { cause: signal.reason });
}
