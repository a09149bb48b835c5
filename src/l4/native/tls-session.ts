/**
 * TLS on one socket, by OpenSSL. What the kernel has is read here and fed to OpenSSL; what OpenSSL sends it writes to the socket itself.
 * The relay reads and sends through it as it does through the kernel: plain bytes, or a negative errno.
 */
import type { TlsCall, TlsPeer } from '../tls.js';
import { brokenTls, CUT_SHORT, type Verdict } from '../tls-words.js';
import { EAGAIN, EPIPE, EPROTO, HUP, PRI, RDHUP, type Relaying } from './kernel.js';
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

const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const TLSEXT_NAMETYPE_HOST_NAME = 0;
const NOCLOSE = 0;
/** Of what came first, kept until the handshake is over. */
const FIRST_BYTES = 16;

/** Of the parts of a handshake that go on for longer than one turn, how it stands. */
export type Progress = 'done' | 'waiting' | 'closed' | 'failed';

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
  /** There may be more to read of the socket. */
  #readable = true;
  /** A short read does not mean that there is no more (`NativeConnection.readToEnd`). */
  #readToEnd: boolean;
  #rawEnded = false;
  /** The first that came, of a handshake that may turn out to be none. */
  #first: Uint8Array;
  #notified = false;
  /** What is broken behind that which was received last, in OpenSSL's words. */
  #brokenBehind: string | undefined;

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
    this.#incoming = new Incoming(ssl, this.#pointer, ssl.BIO_new_socket(fd, NOCLOSE));
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
    for (;;) {
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

  /** Plain bytes into the kernel's `received`; 0 at the peer's close_notify. An end without one is an error. */
  receive(): number {
    if (this.#pointer === NULL) return -EPIPE;
    if (this.#brokenBehind !== undefined) return this.#broken(this.#brokenBehind);
    const got = this.#receive();
    this.#incoming.settle();
    return got;
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
      if (error !== SSL_ERROR_WANT_READ) return this.#broken(lastError(ssl));
      const pulled = this.#pull('lend');
      if (pulled === 0) return this.#broken(CUT_SHORT);
      if (pulled < 0) return pulled;
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
      if (error !== SSL_ERROR_WANT_READ && error !== SSL_ERROR_ZERO_RETURN) this.#brokenBehind = lastError(ssl);
      break;
    }
    return got;
  }

  /** Sends the kernel's `received` up to `length`. What it answers with -EAGAIN is to be sent again from its first byte. */
  sendReceived(length: number): number {
    if (this.#pointer === NULL) return -EPIPE;
    // A record at a time.
    for (let sent = 0; ; ) {
      const result = this.#sent(this.#ssl.SSL_write(this.#pointer, this.#receivedAt + sent, length - sent));
      if (result > 0) sent += result;
      if (result <= 0 || sent === length) return sent > 0 ? sent : result;
    }
  }

  send(bytes: Uint8Array): number {
    if (this.#pointer === NULL) return -EPIPE;
    return this.#sent(this.#ssl.SSL_write_bytes(this.#pointer, bytes, bytes.length));
  }

  /** Sends close_notify, and the end of the stream behind it. -EAGAIN: to be called again. */
  endWrite(): number {
    if (this.#pointer === NULL) return -EPIPE;
    if (!this.#notified) {
      const result = this.#ssl.SSL_shutdown(this.#pointer);
      if (result < 0) {
        if (this.#ssl.SSL_get_error(this.#pointer, result) === SSL_ERROR_WANT_WRITE) return -EAGAIN;
        return this.#broken(lastError(this.#ssl));
      }
      this.#notified = true;
    }
    return this.#kernel.shutdownWrite(this.#fd);
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

  #sent(result: number): number {
    if (result > 0) return result;
    const error = this.#ssl.SSL_get_error(this.#pointer, result);
    if (error === SSL_ERROR_WANT_WRITE || error === SSL_ERROR_WANT_READ) return -EAGAIN;
    this.#ssl.ERR_clear_error();
    // The socket's own error follows by an event; where it does not, this is it.
    return -EPIPE;
  }

  #broken(reason: string): number {
    this.reason ??= reason;
    return -EPROTO;
  }
}
