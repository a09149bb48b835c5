/**
 * Who is at the other end of a handshake, as OpenSSL asks it in the middle of one: whether its chain is in order, whether it
 * is who is wanted, whether a session of before may be resumed with it, and what protocol is spoken.
 */
import { X509Certificate } from 'node:crypto';
import type { TlsCall, TlsPeer } from '../tls.js';
import { judged, type Verdict } from '../tls-words.js';
import { pin } from './libc.js';
import {
  type HandshakeCallbacks,
  NULL,
  type OpenSsl,
  type Pointer,
  type Selected,
  X509_V_ERR_CERT_REJECTED,
} from './openssl.js';
import { parsedCertificate } from './seen-certificates.js';
import type { TlsContext } from './tls-context.js';
import { type KnownSession, rememberRoot, rootOf } from './tls-resumption.js';

const TLSEXT_NAMETYPE_HOST_NAME = 0;

export class Counterpart implements HandshakeCallbacks {
  /** Why its certificate was refused, where it was. */
  verdict: Verdict | undefined;
  readonly #ssl: OpenSsl;
  readonly #pointer: Pointer;
  readonly #context: TlsContext;
  readonly #call: TlsCall;
  /** The session that was shown to the server. */
  #offered: KnownSession | undefined;
  /** Where the session that the server gives is kept, if it is wanted. */
  #sessionKey: string | undefined;
  #certificate: X509Certificate | undefined;
  #root: string | undefined;

  /** @param pointer an `SSL`, before its handshake; nothing of this is asked for once it is freed */
  constructor(pointer: Pointer, context: TlsContext, call: TlsCall) {
    this.#ssl = context.ssl;
    this.#pointer = pointer;
    this.#context = context;
    this.#call = call;
    const { role, ticketKeys } = context.setup;
    if (role === 'client' && ticketKeys && call.sessionKey !== undefined) this.#offer(call.sessionKey);
  }

  /** What the handshake ended in. */
  get peer(): TlsPeer {
    const ssl = this.#ssl;
    const cell = pinnedCells();
    ssl.SSL_get0_alpn_selected(this.#pointer, cell.address, cell.address + 8);
    const length = cell.bytes.readUInt32LE(8);
    const at = Number(cell.bytes.readBigUInt64LE(0));
    const protocol = length === 0 ? undefined : Buffer.from(ssl.bytesAt(at, length)).toString('latin1');
    return {
      certificate: this.#certificate,
      root: this.#root,
      version: ssl.SSL_get_version(this.#pointer),
      protocol,
      serverName: this.#serverName(),
    };
  }

  #serverName(): string | undefined {
    if (this.#context.setup.role === 'client') return undefined;
    return this.#ssl.SSL_get_servername(this.#pointer, TLSEXT_NAMETYPE_HOST_NAME) ?? undefined;
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
  agreed(): void {
    if (this.#offered === undefined) return;
    if (this.#ssl.SSL_session_reused(this.#pointer) === 1) {
      this.#certificate = this.#offered.certificate;
      this.#root = this.#offered.root;
      this.#sessionKey = undefined;
    }
    this.#offered = undefined;
  }

  /** The first bytes have come: tickets come behind the handshake, before these. */
  received(): void {
    const key = this.#sessionKey;
    if (key === undefined) return;
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
}

let cells: ReturnType<typeof pin> | undefined;

const roots = new Map<string, string>();
const SHA256_BYTES = 32;

/** A pointer and a number of 32 bits, or a digest. */
function pinnedCells(): ReturnType<typeof pin> {
  cells ??= pin(64);
  return cells;
}
