/**
 * What was read of a socket, on its way to OpenSSL, which asks for more only when it has taken in all that there was.
 * A little is copied into a BIO in memory. Much is lent to it where it is: to fill that memory, zeros first, costs as
 * much as a fifth of opening the records.
 */
import { NULL, type OpenSsl, type Pointer } from './openssl.js';

/** What a request or an answer takes. */
const LITTLE_BYTES = 4096;
const BIO_C_SET_BUF_MEM_EOF_RETURN = 130;
/** What reading an empty BIO is to say: that more may come. */
const RETRY = -1;

export class Incoming {
  readonly #ssl: OpenSsl;
  /** Who reads of it. */
  readonly #session: Pointer;
  /** Of its references one is ours. */
  #own: Pointer;
  #lent: { readonly bio: Pointer; readonly end: Pointer } | undefined;
  /** Much was copied, and the room for it is still there. */
  #isLarge = false;

  /** @param session an `SSL`. @param write what it writes to, which it takes over */
  constructor(ssl: OpenSsl, session: Pointer, write: Pointer) {
    this.#ssl = ssl;
    this.#session = session;
    this.#own = ssl.BIO_new(ssl.BIO_s_mem());
    ssl.BIO_up_ref(this.#own);
    ssl.SSL_set_bio(session, this.#own, write);
  }

  /** @param at an address. What is there is not to change until `settle` is called. */
  lend(at: Pointer, length: number): void {
    if (length <= LITTLE_BYTES) {
      this.copy(at, length);
      return;
    }
    const ssl = this.#ssl;
    const bio = ssl.BIO_new_mem_buf(at, length);
    ssl.BIO_ctrl(bio, BIO_C_SET_BUF_MEM_EOF_RETURN, RETRY, NULL);
    ssl.SSL_set0_rbio(this.#session, bio);
    this.#lent = { bio, end: at + length };
  }

  copy(at: Pointer, length: number): void {
    this.settle();
    this.#keep(at, length);
  }

  copyBytes(bytes: Uint8Array): void {
    this.#ssl.BIO_write_bytes(this.#own, bytes, bytes.length);
    if (bytes.length > LITTLE_BYTES) this.#isLarge = true;
  }

  /** Whether of what is lent something has not been taken in. */
  get lendsMore(): boolean {
    return this.#lent !== undefined && this.#ssl.BIO_ctrl_pending(this.#lent.bio) > 0;
  }

  /** Nothing is lent any more: of what was not taken in there is a copy. */
  settle(): void {
    if (this.#lent !== undefined) {
      const { bio, end } = this.#lent;
      const left = this.#ssl.BIO_ctrl_pending(bio);
      if (left > 0) this.#keep(end - left, left);
      this.#lent = undefined;
      this.#useOwn();
    } else if (this.#isLarge && this.#ssl.BIO_ctrl_pending(this.#own) === 0) {
      // A BIO keeps the room of the most that it has held.
      this.#isLarge = false;
      this.#ssl.BIO_free(this.#own);
      this.#own = this.#ssl.BIO_new(this.#ssl.BIO_s_mem());
      this.#useOwn();
    }
  }

  /** The session is about to be freed, and this with it. */
  gone(): void {
    this.#ssl.BIO_free(this.#own);
  }

  #keep(at: Pointer, length: number): void {
    this.#ssl.BIO_write(this.#own, at, length);
    if (length > LITTLE_BYTES) this.#isLarge = true;
  }

  #useOwn(): void {
    this.#ssl.BIO_up_ref(this.#own);
    this.#ssl.SSL_set0_rbio(this.#session, this.#own);
  }
}
