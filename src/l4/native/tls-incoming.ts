/**
 * What was read of a socket, on its way to OpenSSL: a BIO in memory. It keeps the room of the largest part that it was
 * given; of a connection that has been quiet for a while that is given back.
 */
import type { OpenSsl, Pointer } from './openssl.js';

/** So much is kept: what a request or an answer takes. */
const KEPT_BYTES = 4096;
/** A connection that has read nothing large for as long, or for twice as long, is quiet, ms. */
const SWEEP_MS = 1000;

export class Incoming {
  readonly #ssl: OpenSsl;
  /** Who reads of it. */
  readonly #session: Pointer;
  /** Freed with the session. */
  #bio: Pointer;
  #used = false;

  /** @param session an `SSL`, which takes the BIO over. @param write what it writes to, taken over as well */
  constructor(ssl: OpenSsl, session: Pointer, write: Pointer) {
    this.#ssl = ssl;
    this.#session = session;
    this.#bio = ssl.BIO_new(ssl.BIO_s_mem());
    ssl.SSL_set_bio(session, this.#bio, write);
  }

  /** @param at an address */
  take(at: number, length: number): void {
    this.#ssl.BIO_write(this.#bio, at, length);
    if (length <= KEPT_BYTES) return;
    this.#used = true;
    watch(this);
  }

  takeBytes(bytes: Uint8Array): void {
    this.#ssl.BIO_write_bytes(this.#bio, bytes, bytes.length);
  }

  /** The session is about to be freed, and this with it. */
  gone(): void {
    grown.delete(this);
  }

  /** Whether there is nothing more to give back. */
  sweep(): boolean {
    const isQuiet = !this.#used;
    this.#used = false;
    if (!isQuiet || this.#ssl.BIO_ctrl_pending(this.#bio) > 0) return false;
    this.#bio = this.#ssl.BIO_new(this.#ssl.BIO_s_mem());
    this.#ssl.SSL_set0_rbio(this.#session, this.#bio);
    return true;
  }
}

/** Those of this thread that have room to give back. */
const grown = new Set<Incoming>();
let isSweeping = false;

function watch(incoming: Incoming): void {
  grown.add(incoming);
  if (!isSweeping) sweepLater();
}

function sweepLater(): void {
  isSweeping = true;
  setTimeout(() => {
    isSweeping = false;
    for (const incoming of grown) if (incoming.sweep()) grown.delete(incoming);
    if (grown.size > 0) sweepLater();
  }, SWEEP_MS).unref();
}
