/**
 * What OpenSSL has sealed, on its way to the socket, to which OpenSSL writes by itself. The rest of a record that the socket does
 * not take is kept here, so that OpenSSL is never in the middle of a write: it would not answer a KeyUpdate there,
 * and breaks a connection whose peer is in order (`bad length`). To wait with reading instead would be a deadlock of two that both write.
 */
import { EAGAIN, EINTR, EPIPE, type Relaying } from './kernel.js';
import { NULL, type OpenSsl, type Pointer, SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE } from './openssl.js';

const EMPTY: Uint8Array = new Uint8Array(0);

export class Outgoing {
  readonly #ssl: OpenSsl;
  readonly #kernel: Relaying;
  readonly #fd: number;
  /** Who writes to it. */
  readonly #session: Pointer;
  /** The socket's BIO. Of its references one is ours. */
  readonly #socket: Pointer;
  /** What is written to instead of the socket for as long as something is kept; it is the session's. */
  #kept: Pointer = NULL;
  /** Taken out of it, to be sent first. */
  #rest: Uint8Array = EMPTY;
  #notified = false;

  /** @param socket the BIO that the session writes to, and owns */
  constructor(ssl: OpenSsl, kernel: Relaying, fd: number, session: Pointer, socket: Pointer) {
    this.#ssl = ssl;
    this.#kernel = kernel;
    this.#fd = fd;
    this.#session = session;
    this.#socket = socket;
    ssl.BIO_up_ref(socket);
  }

  /** How many sealed bytes wait for the socket. */
  get waiting(): number {
    return this.#kept === NULL ? 0 : this.#rest.length + this.#ssl.BIO_ctrl_pending(this.#kept);
  }

  /** How many of the bytes at an address were taken; -EAGAIN where the socket has to take something first. */
  send(at: Pointer, length: number): number {
    const flushed = this.flush();
    if (flushed < 0) return flushed;
    // A record at a time.
    for (let sent = 0; ; ) {
      const result = this.#try(() => this.#ssl.SSL_write(this.#session, at + sent, length - sent));
      if (result < 0) return sent > 0 ? sent : result;
      sent += result;
      if (sent === length || this.#kept !== NULL) return sent;
    }
  }

  /** As `send`, of any memory. */
  sendBytes(bytes: Uint8Array): number {
    const flushed = this.flush();
    if (flushed < 0) return flushed;
    return this.#try(() => this.#ssl.SSL_write_bytes(this.#session, bytes, bytes.length));
  }

  /** Sends close_notify. -EAGAIN: to be called again. */
  end(): number {
    if (!this.#notified) {
      const result = this.#try(() => (this.#ssl.SSL_shutdown(this.#session) < 0 ? -1 : 1));
      if (result < 0) return result;
      this.#notified = true;
    }
    return this.flush();
  }

  /** Sends what is kept, as far as the socket takes it: 0 where nothing is left, else a negative errno. */
  flush(): number {
    while (this.#kept !== NULL) {
      if (this.#rest.length === 0) this.#rest = this.#takeOut();
      if (this.#rest.length === 0) {
        this.#useSocket();
        break;
      }
      const sent = this.#kernel.send(this.#fd, this.#rest);
      if (sent === -EINTR) continue;
      if (sent < 0) return sent;
      this.#rest = this.#rest.subarray(sent);
    }
    return 0;
  }

  /** What OpenSSL writes is kept from here on, until `flush` has sent it: what it could not write is to be tried again. */
  keep(): void {
    if (this.#kept !== NULL) return;
    this.#kept = this.#ssl.BIO_new(this.#ssl.BIO_s_mem());
    this.#ssl.SSL_set0_wbio(this.#session, this.#kept);
  }

  /** The session is about to be freed, and what is kept with it. */
  gone(): void {
    this.#kept = NULL;
    this.#ssl.BIO_free(this.#socket);
  }

  /** What the socket does not take of it is kept. A result that is not above 0 becomes a negative errno. */
  #try(write: () => number): number {
    const ssl = this.#ssl;
    const result = write();
    if (result > 0) return result;
    // What somebody else's failure left behind would be taken for ours.
    ssl.ERR_clear_error();
    const error = ssl.SSL_get_error(this.#session, result);
    if (error === SSL_ERROR_WANT_READ) return -EAGAIN;
    if (error === SSL_ERROR_WANT_WRITE) {
      this.keep();
      const again = write();
      if (again > 0) return again;
      ssl.ERR_clear_error();
    }
    // The socket's own error follows by an event; where it does not, this is it.
    return -EPIPE;
  }

  #takeOut(): Uint8Array {
    const bytes = new Uint8Array(this.#ssl.BIO_ctrl_pending(this.#kept));
    if (bytes.length > 0) this.#ssl.BIO_read_bytes(this.#kept, bytes, bytes.length);
    return bytes;
  }

  #useSocket(): void {
    this.#ssl.BIO_up_ref(this.#socket);
    this.#ssl.SSL_set0_wbio(this.#session, this.#socket);
    this.#kept = NULL;
  }
}
