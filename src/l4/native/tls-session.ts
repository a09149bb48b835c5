/**
 * TLS on one socket, by OpenSSL. What the kernel has is read here and fed to OpenSSL; what OpenSSL sends it writes to the socket itself.
 * The relay reads and sends through it as it does through the kernel: plain bytes, or a negative errno.
 */
import type { TlsCall, TlsPeer } from '../tls.js';
import { brokenTls, CUT_SHORT, type Verdict } from '../tls-words.js';
import { EAGAIN, EINTR, EPIPE, EPROTO, HUP, PRI, RDHUP, type Relaying } from './kernel.js';
import { addressOf } from './libc.js';
import {
  NULL,
  type OpenSsl,
  type Pointer,
  SSL_ERROR_SYSCALL,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_WRITE,
  SSL_ERROR_ZERO_RETURN,
} from './openssl.js';
import { lastError, type TlsContext } from './tls-context.js';
import { Counterpart } from './tls-counterpart.js';
import { Incoming } from './tls-incoming.js';
import { Outgoing } from './tls-outgoing.js';

const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const TLSEXT_NAMETYPE_HOST_NAME = 0;
const NOCLOSE = 0;
/** Of what came first, kept until the handshake is over. */
const FIRST_BYTES = 16;

/** A record with its header and all that may be added to it (RFC 8446 section 5.2). */
const LONGEST_RECORD = 5 + 16 * 1024 + 256;
/** Reads of one handshake before the others have their turn: many times what one needs. */
const READS_PER_TURN = 16;

/** Behind what was received: nothing more now, the end, or an answer that the socket does not take (see the next `receive`). */
const GOES_ON: ReadonlySet<number> = new Set([SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_ZERO_RETURN]);
/** A record that the socket did not take, and more answers to KeyUpdates than anybody who reads them asks for. */
const MOST_WAITING = 64 * 1024;
const READS_NOTHING = 'it asks for new keys again and again, and reads nothing';

/** Of the parts of a handshake that go on for longer than one turn, how it stands; `unfinished`: others first, then on without an event. */
export type Progress = 'done' | 'waiting' | 'unfinished' | 'closed' | 'failed';

export class TlsSession {
  /** Why TLS broke, in OpenSSL's words. */
  reason: string | undefined;
  /** The errno by which the socket broke in the middle of the handshake. */
  errno = 0;
  readonly #ssl: OpenSsl;
  readonly #kernel: Relaying;
  readonly #fd: number;
  readonly #counterpart: Counterpart;
  readonly #receivedAt: number;
  readonly #sealedAt: number;
  #pointer: Pointer;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  /** There may be more to read of the socket. */
  #readable = true;
  /** A short read does not mean that there is no more (`NativeConnection.readToEnd`). */
  #readToEnd: boolean;
  #rawEnded = false;
  /** The first that came, of a handshake that may turn out to be none. */
  #first: Uint8Array;
  /** What is broken behind that which was received last, in OpenSSL's words. */
  #brokenBehind: string | undefined;
  /** Read of the socket since `receive` was called. */
  #pulled = 0;
  #costly = false;

  /** @param alreadyRead what the peer has sent before, of its handshake */
  constructor(
    kernel: Relaying,
    fd: number,
    context: TlsContext,
    call: TlsCall,
    alreadyRead: Uint8Array,
    readToEnd: boolean,
  ) {
    const { ssl } = context;
    this.#ssl = ssl;
    this.#kernel = kernel;
    this.#fd = fd;
    this.#readToEnd = readToEnd;
    this.#receivedAt = addressOf(kernel.received);
    this.#sealedAt = addressOf(kernel.sealed);
    this.#pointer = ssl.SSL_new(context.pointer);
    const socket = ssl.BIO_new_socket(fd, NOCLOSE);
    this.#incoming = new Incoming(ssl, this.#pointer, socket);
    this.#outgoing = new Outgoing(ssl, kernel, fd, this.#pointer, socket);
    if (context.setup.role === 'server') ssl.SSL_set_accept_state(this.#pointer);
    else ssl.SSL_set_connect_state(this.#pointer);
    this.#counterpart = new Counterpart(this.#pointer, context, call);
    const { serverName } = call;
    if (serverName !== undefined) {
      ssl.SSL_ctrl_text(this.#pointer, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_HOST_NAME, serverName);
    }
    this.#first = Uint8Array.from(alreadyRead.subarray(0, FIRST_BYTES));
    if (alreadyRead.length > 0) this.#incoming.copyBytes(alreadyRead);
  }

  /** The kernel has told of something. */
  noteArrival(mask: number): void {
    this.#readable = true;
    if ((mask & (PRI | RDHUP | HUP)) !== 0) this.#readToEnd = true;
  }

  /** Drives the handshake on as far as it goes now. */
  shakeHands(): Progress {
    const progress = this.#shakeHands();
    this.#incoming.settle();
    return progress;
  }

  #shakeHands(): Progress {
    const ssl = this.#ssl;
    for (let reads = 0; ; reads += 1) {
      if (reads === READS_PER_TURN) return 'unfinished';
      ssl.ERR_clear_error();
      const { asked } = ssl;
      ssl.asked = this.#counterpart;
      const result = ssl.SSL_do_handshake(this.#pointer);
      // Who was asked in the middle of it may have driven another one on.
      ssl.asked = asked;
      if (result === 1) {
        // What is left over of a handshake that came about is nobody's, and would be taken for the next call's.
        ssl.ERR_clear_error();
        this.#counterpart.agreed();
        return 'done';
      }
      const error = ssl.SSL_get_error(this.#pointer, result);
      if (error === SSL_ERROR_WANT_WRITE) return 'waiting';
      if (error !== SSL_ERROR_WANT_READ) {
        // The socket takes nothing any more.
        if (error === SSL_ERROR_SYSCALL) this.errno = this.#kernel.pendingError(this.#fd) || EPIPE;
        this.reason = lastError(ssl);
        return 'failed';
      }
      // Copied: who is asked in the middle of a handshake may drive another one on, which reads to the same place.
      const got = this.#pull('copy');
      if (got === -EAGAIN) return 'waiting';
      if (got === 0) return 'closed';
      if (got < 0) {
        this.errno = -got;
        return 'failed';
      }
    }
  }

  get firstBytes(): Uint8Array {
    return this.#first;
  }

  /** What the handshake ended in. */
  get peer(): TlsPeer {
    return this.#counterpart.peer;
  }

  /** Why the peer's certificate was refused, where it was. */
  get verdict(): Verdict | undefined {
    return this.#counterpart.verdict;
  }

  /**
   * Plain bytes into the kernel's `received`; 0 at the peer's close_notify. An end without one is an error. -EINTR: so far
   * nothing came but what is TLS's own, and others are to have their turn.
   */
  receive(): number {
    if (this.#pointer === NULL) return -EPIPE;
    if (this.#brokenBehind !== undefined) return this.#broken(this.#brokenBehind);
    if (this.#outgoing.waiting > MOST_WAITING) return this.#broken(READS_NOTHING);
    this.#pulled = 0;
    const got = this.#receive();
    this.#incoming.settle();
    this.#costly = this.#pulled - Math.max(got, 0) > LONGEST_RECORD;
    return got;
  }

  /**
   * What was received last took far more records than it has bytes: others are to have their turn. A peer that does nothing
   * but change its keys takes a thread tens of milliseconds for each 64 KiB, and may send any number of them.
   */
  get costly(): boolean {
    return this.#costly;
  }

  #receive(): number {
    const ssl = this.#ssl;
    for (;;) {
      // What somebody else's failure left behind would be taken for ours.
      ssl.ERR_clear_error();
      const got = ssl.SSL_read(this.#pointer, this.#receivedAt, this.#kernel.received.length);
      if (got > 0) {
        this.#counterpart.received();
        return this.#openRest(got);
      }
      const error = ssl.SSL_get_error(this.#pointer, got);
      if (error === SSL_ERROR_ZERO_RETURN) return 0;
      if (error === SSL_ERROR_WANT_WRITE) {
        // An answer of its own, to a KeyUpdate.
        this.#outgoing.keep();
        continue;
      }
      if (error !== SSL_ERROR_WANT_READ) return this.#broken(lastError(ssl));
      if (this.#pulled > LONGEST_RECORD) return -EINTR;
      const pulled = this.#pull('lend');
      if (pulled === 0) return this.#broken(CUT_SHORT);
      if (pulled < 0) return pulled;
      this.#pulled += pulled;
    }
  }

  /** The records behind the first one, all at once: for the sake of one write in place of several. */
  #openRest(first: number): number {
    const ssl = this.#ssl;
    const room = this.#kernel.received.length;
    let got = first;
    while (got < room && this.#incoming.lendsMore) {
      const more = ssl.SSL_read(this.#pointer, this.#receivedAt + got, room - got);
      if (more > 0) {
        got += more;
        continue;
      }
      const error = ssl.SSL_get_error(this.#pointer, more);
      if (!GOES_ON.has(error)) this.#brokenBehind = lastError(ssl);
      break;
    }
    return got;
  }

  /** Sends the kernel's `received` up to `length`. What it answers with -EAGAIN is to be sent again from its first byte. */
  sendReceived(length: number): number {
    return this.#pointer === NULL ? -EPIPE : this.#outgoing.send(this.#receivedAt, length);
  }

  send(bytes: Uint8Array): number {
    return this.#pointer === NULL ? -EPIPE : this.#outgoing.sendBytes(bytes);
  }

  /** The socket takes more: what it did not take before, though `send` did, is sent. */
  flush(): void {
    if (this.#pointer !== NULL) this.#outgoing.flush();
  }

  /** Sends close_notify, and the end of the stream behind it. -EAGAIN: to be called again. */
  endWrite(): number {
    if (this.#pointer === NULL) return -EPIPE;
    const result = this.#outgoing.end();
    return result < 0 ? result : this.#kernel.shutdownWrite(this.#fd);
  }

  /** What is to be said of a failure, where TLS itself has one. */
  get failure(): Error | undefined {
    return this.reason === undefined ? undefined : brokenTls(this.reason);
  }

  /** The same, but for an end that said nothing. */
  get complaint(): Error | undefined {
    return this.reason === CUT_SHORT ? undefined : this.failure;
  }

  /** Idempotent. Nothing is sent. Not to be called while the handshake is driven on. */
  free(): void {
    if (this.#pointer === NULL) return;
    this.#incoming.gone();
    this.#outgoing.gone();
    this.#ssl.SSL_free(this.#pointer);
    this.#pointer = NULL;
  }

  /** Reads of the socket once, for OpenSSL. */
  #pull(how: 'copy' | 'lend'): number {
    if (this.#rawEnded) return 0;
    if (!this.#readable) return -EAGAIN;
    const { sealed } = this.#kernel;
    const got = this.#kernel.receiveSealed(this.#fd);
    if (got > 0) {
      if (got < sealed.length && !this.#readToEnd) this.#readable = false;
      if (this.#first.length === 0) this.#first = Uint8Array.from(sealed.subarray(0, FIRST_BYTES));
      this.#incoming[how](this.#sealedAt, got);
    } else if (got === 0) this.#rawEnded = true;
    else if (got === -EAGAIN) this.#readable = false;
    return got;
  }

  #broken(reason: string): number {
    this.reason ??= reason;
    return -EPROTO;
  }
}
