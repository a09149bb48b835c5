/**
 * TLS on one socket, by OpenSSL. What the kernel has is read here and fed to OpenSSL; what OpenSSL sends it writes to the socket itself.
 * The relay reads and sends through it as it does through the kernel: plain bytes, or a negative errno.
 */
import { X509Certificate } from 'node:crypto';
import type { TlsCall, TlsPeer } from '../tls.js';
import { brokenTls, CUT_SHORT, judged, type Verdict } from '../tls-words.js';
import { EAGAIN, EPIPE, EPROTO, HUP, PRI, RDHUP, type Relaying } from './kernel.js';
import { addressOf, pin } from './libc.js';
import {
  type HandshakeCallbacks,
  NULL,
  type OpenSsl,
  type Pointer,
  type Selected,
  SSL_ERROR_SYSCALL,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_WRITE,
  SSL_ERROR_ZERO_RETURN,
  X509_V_ERR_CERT_REJECTED,
} from './openssl.js';
import { parsedCertificate } from './seen-certificates.js';
import { lastError, type TlsContext } from './tls-context.js';
import { Incoming } from './tls-incoming.js';
import { type KnownSession, rememberRoot, rootOf } from './tls-resumption.js';

const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const TLSEXT_NAMETYPE_HOST_NAME = 0;
const NOCLOSE = 0;
/** Of what came first, kept until the handshake is over. */
const FIRST_BYTES = 16;

/** Of the parts of a handshake that go on for longer than one turn, how it stands. */
export type Progress = 'done' | 'waiting' | 'closed' | 'failed';

export class TlsSession implements HandshakeCallbacks {
  /** Why the peer's certificate was refused, where it was. */
  verdict: Verdict | undefined;
  /** Why TLS broke, in OpenSSL's words. */
  reason: string | undefined;
  /** The errno by which the socket broke in the middle of the handshake. */
  errno = 0;
  readonly #ssl: OpenSsl;
  readonly #kernel: Relaying;
  readonly #fd: number;
  readonly #context: TlsContext;
  readonly #call: TlsCall;
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
  /** The session that was shown to the server. */
  #offered: KnownSession | undefined;
  /** Where the session that the server gives is kept, if it is wanted. */
  #sessionKey: string | undefined;
  #certificate: X509Certificate | undefined;
  #root: string | undefined;

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
    this.#context = context;
    this.#call = call;
    this.#readToEnd = readToEnd;
    this.#receivedAt = addressOf(kernel.received);
    this.#sealedAt = addressOf(kernel.sealed);
    this.#pointer = ssl.SSL_new(context.pointer);
    this.#incoming = new Incoming(ssl, this.#pointer, ssl.BIO_new_socket(fd, NOCLOSE));
    if (context.setup.role === 'server') ssl.SSL_set_accept_state(this.#pointer);
    else ssl.SSL_set_connect_state(this.#pointer);
    const { serverName, sessionKey } = call;
    if (context.setup.role === 'client' && context.setup.ticketKeys && sessionKey !== undefined)
      this.#offer(sessionKey);
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
      ssl.asked = this;
      const result = ssl.SSL_do_handshake(this.#pointer);
      // Who was asked in the middle of it may have driven another one on.
      ssl.asked = asked;
      if (result === 1) {
        // What is left over of a handshake that came about is nobody's, and would be taken for the next call's.
        ssl.ERR_clear_error();
        this.#resumed();
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
    const ssl = this.#ssl;
    const cell = pinnedCells();
    ssl.SSL_get0_alpn_selected(this.#pointer, cell.address, cell.address + 8);
    const length = cell.bytes.readUInt32LE(8);
    const at = Number(cell.bytes.readBigUInt64LE(0));
    const protocol = length === 0 ? undefined : Buffer.from(ssl.bytesAt(at, length)).toString('latin1');
    return { certificate: this.#certificate, root: this.#root, version: ssl.SSL_get_version(this.#pointer), protocol };
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
        if (this.#sessionKey !== undefined) this.#keepSession(this.#sessionKey);
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

  verify(storeContext: Pointer): number {
    const ssl = this.#ssl;
    const leaf = parsedCertificate(ssl.der(ssl.X509_STORE_CTX_get0_cert(storeContext)));
    if (ssl.X509_verify_cert(storeContext) !== 1) {
      const current = ssl.X509_STORE_CTX_get_current_cert(storeContext);
      const error = ssl.X509_STORE_CTX_get_error(storeContext);
      this.verdict = {
        kind: 'chain',
        error,
        text: ssl.X509_verify_cert_error_string(error),
        depth: ssl.X509_STORE_CTX_get_error_depth(storeContext),
        certificate: current === NULL ? leaf : new X509Certificate(ssl.der(current)),
      };
      return 0;
    }
    this.verdict = judged(this.#context.setup, this.#call, leaf);
    if (this.verdict !== undefined) {
      ssl.X509_STORE_CTX_set_error(storeContext, X509_V_ERR_CERT_REJECTED);
      return 0;
    }
    this.#certificate = leaf;
    this.#root = this.#rootOf(storeContext);
    rememberRoot(leaf, this.#root);
    return 1;
  }

  /** A session that a client shows was begun by the certificate that is in it: is its owner let in today as well? */
  mayResume(session: Pointer): boolean {
    const ssl = this.#ssl;
    const peer = ssl.SSL_SESSION_get0_peer(session);
    if (peer === NULL) return false;
    const leaf = parsedCertificate(ssl.der(peer));
    const root = rootOf(leaf);
    // Without its root nobody would notice when that leaves the bundle (`Trust.refusal`).
    if (root === undefined || !this.#isWelcome(leaf)) return false;
    this.#certificate = leaf;
    this.#root = root;
    // The one it has is good for as long as a new one would be: to make one costs as much as all the rest.
    ssl.SSL_set_num_tickets(this.#pointer, 0);
    return true;
  }

  #isWelcome(leaf: X509Certificate): boolean {
    return Date.now() < Date.parse(leaf.validTo) && judged(this.#context.setup, this.#call, leaf) === undefined;
  }

  /** Shows the server a session of before, if there is one and the server would be let in by the same certificate today. */
  #offer(key: string): void {
    const { sessions } = this.#context;
    const known = sessions.get(key);
    this.#sessionKey = key;
    if (known === undefined) return;
    if (!this.#isWelcome(known.certificate)) return void sessions.forget(key);
    // A copy: the end of a connection that was cut off makes its session one that cannot be resumed.
    const copy = this.#ssl.SSL_SESSION_dup(known.session);
    if (copy === NULL) return;
    this.#ssl.SSL_set_session(this.#pointer, copy);
    this.#ssl.SSL_SESSION_free(copy);
    this.#offered = known;
  }

  /** Where a session was resumed, no certificate was shown: it is the one that the session began with. */
  #resumed(): void {
    if (this.#offered === undefined) return;
    if (this.#ssl.SSL_session_reused(this.#pointer) === 1) {
      this.#certificate = this.#offered.certificate;
      this.#root = this.#offered.root;
      this.#sessionKey = undefined;
    }
    this.#offered = undefined;
  }

  /** Tickets come behind the handshake, before the server's first bytes. */
  #keepSession(key: string): void {
    this.#sessionKey = undefined;
    const certificate = this.#certificate;
    const session = this.#ssl.SSL_get1_session(this.#pointer);
    if (session === NULL) return;
    const copy = this.#ssl.SSL_SESSION_is_resumable(session) === 1 ? this.#ssl.SSL_SESSION_dup(session) : NULL;
    this.#ssl.SSL_SESSION_free(session);
    if (copy === NULL || certificate === undefined) return;
    this.#context.sessions.set(key, { session: copy, certificate, root: this.#root });
  }

  select(offered: Uint8Array): Selected | undefined {
    const names = new Map<string, Selected>();
    for (let at = 0; at < offered.length; ) {
      const length = offered[at] ?? 0;
      names.set(Buffer.from(offered.subarray(at + 1, at + 1 + length)).toString('latin1'), { offset: at + 1, length });
      at += 1 + length;
    }
    for (const name of this.#context.setup.alpn) {
      const found = names.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #rootOf(storeContext: Pointer): string | undefined {
    const ssl = this.#ssl;
    const chain = ssl.X509_STORE_CTX_get0_chain(storeContext);
    const root = ssl.OPENSSL_sk_value(chain, ssl.OPENSSL_sk_num(chain) - 1);
    const { bytes, address } = pinnedCells();
    if (root === NULL || ssl.X509_digest(root, ssl.EVP_sha256(), address, NULL) !== 1) return undefined;
    const digest = bytes.toString('hex', 0, SHA256_BYTES);
    // One text for all connections: there are few roots.
    const known = roots.get(digest);
    if (known === undefined) roots.set(digest, digest);
    return known ?? digest;
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

let cells: ReturnType<typeof pin> | undefined;

const roots = new Map<string, string>();
const SHA256_BYTES = 32;

/** A pointer and a number of 32 bits, or a digest. */
function pinnedCells(): ReturnType<typeof pin> {
  cells ??= pin(64);
  return cells;
}
