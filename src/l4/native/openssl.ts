/**
 * Bindings to the OpenSSL that Node itself is built with and exports to addons: TLS on the native engine's own
 * descriptors. With `libc.ts` the only file that uses koffi.
 *
 * Pointers are plain numbers. What a function hands out with a reference of its own (`..._new`, `PEM_read_...`) has to be freed
 * by who called it.
 */
import { bindings, type Pinned, pin } from './libc.js';

export type Pointer = number;
export const NULL: Pointer = 0;

/** As in `openssl/ssl.h`, `bio.h` and `x509_vfy.h`; they have not changed since OpenSSL 1.1.1 and are part of its interface. */
export const SSL_ERROR_SSL = 1;
export const SSL_ERROR_WANT_READ = 2;
export const SSL_ERROR_WANT_WRITE = 3;
export const SSL_ERROR_SYSCALL = 5;
export const SSL_ERROR_ZERO_RETURN = 6;
export const SSL_VERIFY_PEER = 1;
export const SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 2;
export const SSL_TLSEXT_ERR_OK = 0;
export const SSL_TLSEXT_ERR_NOACK = 3;
export const X509_V_ERR_CERT_REJECTED = 28;
const SSL_TICKET_SUCCESS = 5;
const SSL_TICKET_SUCCESS_RENEW = 6;
const SSL_TICKET_RETURN_IGNORE_RENEW = 2;
const SSL_TICKET_RETURN_USE = 3;

export interface OpenSsl {
  TLS_method(): Pointer;
  SSL_CTX_new(method: Pointer): Pointer;
  SSL_CTX_free(context: Pointer): void;
  SSL_CTX_ctrl(context: Pointer, command: number, value: number, pointer: Pointer): number;
  SSL_CTX_set_options(context: Pointer, options: number): number;
  SSL_CTX_set_ciphersuites(context: Pointer, names: string): number;
  SSL_CTX_set_num_tickets(context: Pointer, count: number): number;
  SSL_CTX_set_session_id_context(context: Pointer, id: Uint8Array, length: number): number;
  SSL_CTX_set_timeout(context: Pointer, seconds: number): number;
  /** `SSL_CTX_ctrl` with bytes as its last argument. */
  SSL_CTX_ctrl_bytes(context: Pointer, command: number, length: number, bytes: Uint8Array): number;
  SSL_set_session(ssl: Pointer, session: Pointer): number;
  SSL_set_num_tickets(ssl: Pointer, count: number): number;
  SSL_get1_session(ssl: Pointer): Pointer;
  SSL_session_reused(ssl: Pointer): number;
  SSL_SESSION_dup(session: Pointer): Pointer;
  SSL_SESSION_free(session: Pointer): void;
  SSL_SESSION_is_resumable(session: Pointer): number;
  /** Stays the session's. */
  SSL_SESSION_get0_peer(session: Pointer): Pointer;
  SSL_CTX_set_verify(context: Pointer, mode: number, callback: Pointer): void;
  SSL_CTX_use_certificate(context: Pointer, certificate: Pointer): number;
  SSL_CTX_use_PrivateKey(context: Pointer, key: Pointer): number;
  SSL_CTX_check_private_key(context: Pointer): number;
  SSL_CTX_get_cert_store(context: Pointer): Pointer;
  SSL_CTX_get0_param(context: Pointer): Pointer;
  SSL_CTX_set_alpn_protos(context: Pointer, protocols: Uint8Array, length: number): number;
  X509_STORE_add_cert(store: Pointer, certificate: Pointer): number;
  X509_VERIFY_PARAM_set_flags(parameters: Pointer, flags: number): number;
  X509_verify_cert(storeContext: Pointer): number;
  X509_STORE_CTX_get_error(storeContext: Pointer): number;
  X509_STORE_CTX_set_error(storeContext: Pointer, error: number): void;
  X509_STORE_CTX_get_error_depth(storeContext: Pointer): number;
  X509_STORE_CTX_get_current_cert(storeContext: Pointer): Pointer;
  X509_STORE_CTX_get0_cert(storeContext: Pointer): Pointer;
  /** Of a chain that was verified; its last is the root. Stays the context's. */
  X509_STORE_CTX_get0_chain(storeContext: Pointer): Pointer;
  OPENSSL_sk_num(stack: Pointer): number;
  OPENSSL_sk_value(stack: Pointer, index: number): Pointer;
  EVP_sha256(): Pointer;
  X509_digest(certificate: Pointer, type: Pointer, target: Pointer, length: Pointer): number;
  i2d_X509(certificate: Pointer, target: Pointer): number;
  X509_free(certificate: Pointer): void;
  EVP_PKEY_free(key: Pointer): void;
  BIO_s_mem(): Pointer;
  BIO_new(method: Pointer): Pointer;
  BIO_new_socket(fd: number, close: number): Pointer;
  BIO_write(bio: Pointer, bytes: Pointer, length: number): number;
  /** As `BIO_write`, of any memory. */
  BIO_write_bytes(bio: Pointer, bytes: Uint8Array, length: number): number;
  BIO_read_bytes(bio: Pointer, target: Uint8Array, length: number): number;
  /** Of memory that stays where it is, and is not copied. */
  BIO_new_mem_buf(bytes: Pointer, length: number): Pointer;
  BIO_ctrl(bio: Pointer, command: number, value: number, pointer: Pointer): number;
  BIO_up_ref(bio: Pointer): number;
  /** How many bytes are in it. */
  BIO_ctrl_pending(bio: Pointer): number;
  BIO_free(bio: Pointer): number;
  PEM_read_bio_X509(bio: Pointer, target: Pointer, callback: Pointer, argument: Pointer): Pointer;
  PEM_read_bio_PrivateKey(bio: Pointer, target: Pointer, callback: Pointer, argument: Pointer): Pointer;
  SSL_new(context: Pointer): Pointer;
  SSL_free(ssl: Pointer): void;
  /** Takes `read` over, and frees the one before. */
  SSL_set0_rbio(ssl: Pointer, read: Pointer): void;
  /** The same with `write`. */
  SSL_set0_wbio(ssl: Pointer, write: Pointer): void;
  SSL_set_bio(ssl: Pointer, read: Pointer, write: Pointer): void;
  SSL_set_accept_state(ssl: Pointer): void;
  SSL_set_connect_state(ssl: Pointer): void;
  /** `SSL_ctrl` with a text as its last argument. */
  SSL_ctrl_text(ssl: Pointer, command: number, value: number, text: string): number;
  SSL_do_handshake(ssl: Pointer): number;
  SSL_read(ssl: Pointer, target: Pointer, length: number): number;
  SSL_write(ssl: Pointer, bytes: Pointer, length: number): number;
  /** As `SSL_write`, of any memory. */
  SSL_write_bytes(ssl: Pointer, bytes: Uint8Array, length: number): number;
  SSL_shutdown(ssl: Pointer): number;
  SSL_get_error(ssl: Pointer, result: number): number;
  SSL_get_version(ssl: Pointer): string;
  /** Of a server: what the client asked for; null where it asked for none. */
  SSL_get_servername(ssl: Pointer, type: number): string | null;
  SSL_get0_alpn_selected(ssl: Pointer, data: Pointer, length: Pointer): void;
  ERR_get_error(): number;
  ERR_clear_error(): void;
  ERR_reason_error_string(error: number): string | null;
  X509_verify_cert_error_string(error: number): string;
  /** From now on callbacks are asked of this; to be set before a handshake is driven on. */
  asked: HandshakeCallbacks | undefined;
  /** Makes a server's handshakes of a context ask `asked` before they resume a session. */
  installTickets(context: Pointer): void;
  /** Makes handshakes of a context ask `asked` to verify the peer's chain, in place of OpenSSL by itself, and (a server's) which protocol to take. */
  installCallbacks(context: Pointer): void;
  /** The bytes at an address. Copied. */
  bytesAt(address: Pointer, length: number): Uint8Array;
  /** The DER of a certificate. */
  der(certificate: Pointer): Buffer;
}

/** What OpenSSL asks in the middle of `SSL_do_handshake`. */
export interface HandshakeCallbacks {
  /** 1 where the peer's chain is in order; else 0, and the reason is set on the store context. */
  verify(storeContext: Pointer): number;
  /** Which of the protocols that a client offers is taken (RFC 7301 section 3.1: each with its length before it). */
  select(offered: Uint8Array): Selected | undefined;
  /** Whether the session of a ticket that a client shows may be resumed; else the handshake is a full one. */
  mayResume(session: Pointer): boolean;
}

/** Where in an offer. */
export interface Selected {
  readonly offset: number;
  readonly length: number;
}

/** A certificate that is longer is none of a workload's. */
const MOST_DER = 64 * 1024;

let loaded: OpenSsl | undefined;

/** For the calling thread. Throws where koffi does not load, or this Node does not export its OpenSSL. */
export function openSsl(): OpenSsl {
  loaded ??= load();
  return loaded;
}

function load(): OpenSsl {
  const { bind, callback, decodeBytes, writePointer, writeByte } = bindings();
  const f = <F>(signature: string): F => bind(signature) as F;
  const setVerify = f<(context: Pointer, callback: unknown, argument: Pointer) => void>(
    'void SSL_CTX_set_cert_verify_callback(uintptr_t, void *, uintptr_t)',
  );
  const setAlpn = f<(context: Pointer, callback: unknown, argument: Pointer) => void>(
    'void SSL_CTX_set_alpn_select_cb(uintptr_t, void *, uintptr_t)',
  );
  const i2d = f<OpenSsl['i2d_X509']>('int i2d_X509(uintptr_t, uintptr_t)');
  // One of each kind for the thread, for koffi's are few: only one handshake is driven on at a time.
  const verifyCallback = callback('int', ['uintptr_t', 'uintptr_t'], (storeContext = NULL) => {
    try {
      return self.asked?.verify(storeContext) ?? 0;
    } catch {
      return 0;
    }
  });
  const types = ['uintptr_t', 'uintptr_t', 'uintptr_t', 'uintptr_t', 'unsigned int', 'uintptr_t'];
  const alpnCallback = callback('int', types, (_ssl, out = NULL, outLength = NULL, at = NULL, length = 0) => {
    const chosen = self.asked?.select(decodeBytes(at, length));
    if (chosen === undefined) return SSL_TLSEXT_ERR_NOACK;
    writePointer(out, at + chosen.offset);
    writeByte(outLength, chosen.length);
    return SSL_TLSEXT_ERR_OK;
  });
  const setTickets = f<(context: Pointer, generate: Pointer, decrypt: unknown, argument: Pointer) => void>(
    'void SSL_CTX_set_session_ticket_cb(uintptr_t, uintptr_t, void *, uintptr_t)',
  );
  const ticketTypes = ['uintptr_t', 'uintptr_t', 'uintptr_t', 'size_t', 'int', 'uintptr_t'];
  const ticketCallback = callback('int', ticketTypes, (_ssl, session = NULL, _name, _length, status) => {
    try {
      const isReadable = status === SSL_TICKET_SUCCESS || status === SSL_TICKET_SUCCESS_RENEW;
      if (isReadable && self.asked?.mayResume(session)) return SSL_TICKET_RETURN_USE;
    } catch {
      // Then the handshake is a full one, and whatever is wrong is found there.
    }
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  });
  let target: { readonly cell: Pinned; readonly bytes: Pinned } | undefined;
  const self: OpenSsl = {
    asked: undefined,
    TLS_method: f('uintptr_t TLS_method()'),
    SSL_CTX_new: f('uintptr_t SSL_CTX_new(uintptr_t)'),
    SSL_CTX_free: f('void SSL_CTX_free(uintptr_t)'),
    SSL_CTX_ctrl: f('long SSL_CTX_ctrl(uintptr_t, int, long, uintptr_t)'),
    SSL_CTX_set_options: f('uint64_t SSL_CTX_set_options(uintptr_t, uint64_t)'),
    SSL_CTX_set_ciphersuites: f('int SSL_CTX_set_ciphersuites(uintptr_t, const char *)'),
    SSL_CTX_set_num_tickets: f('int SSL_CTX_set_num_tickets(uintptr_t, size_t)'),
    SSL_CTX_set_session_id_context: f('int SSL_CTX_set_session_id_context(uintptr_t, void *, unsigned int)'),
    SSL_CTX_set_timeout: f('long SSL_CTX_set_timeout(uintptr_t, long)'),
    SSL_CTX_ctrl_bytes: f('long SSL_CTX_ctrl(uintptr_t, int, long, void *)'),
    SSL_set_session: f('int SSL_set_session(uintptr_t, uintptr_t)'),
    SSL_set_num_tickets: f('int SSL_set_num_tickets(uintptr_t, size_t)'),
    SSL_get1_session: f('uintptr_t SSL_get1_session(uintptr_t)'),
    SSL_session_reused: f('int SSL_session_reused(uintptr_t)'),
    SSL_SESSION_dup: f('uintptr_t SSL_SESSION_dup(uintptr_t)'),
    SSL_SESSION_free: f('void SSL_SESSION_free(uintptr_t)'),
    SSL_SESSION_is_resumable: f('int SSL_SESSION_is_resumable(uintptr_t)'),
    SSL_SESSION_get0_peer: f('uintptr_t SSL_SESSION_get0_peer(uintptr_t)'),
    SSL_CTX_set_verify: f('void SSL_CTX_set_verify(uintptr_t, int, uintptr_t)'),
    SSL_CTX_use_certificate: f('int SSL_CTX_use_certificate(uintptr_t, uintptr_t)'),
    SSL_CTX_use_PrivateKey: f('int SSL_CTX_use_PrivateKey(uintptr_t, uintptr_t)'),
    SSL_CTX_check_private_key: f('int SSL_CTX_check_private_key(uintptr_t)'),
    SSL_CTX_get_cert_store: f('uintptr_t SSL_CTX_get_cert_store(uintptr_t)'),
    SSL_CTX_get0_param: f('uintptr_t SSL_CTX_get0_param(uintptr_t)'),
    SSL_CTX_set_alpn_protos: f('int SSL_CTX_set_alpn_protos(uintptr_t, void *, unsigned int)'),
    X509_STORE_add_cert: f('int X509_STORE_add_cert(uintptr_t, uintptr_t)'),
    X509_VERIFY_PARAM_set_flags: f('int X509_VERIFY_PARAM_set_flags(uintptr_t, unsigned long)'),
    X509_verify_cert: f('int X509_verify_cert(uintptr_t)'),
    X509_STORE_CTX_get_error: f('int X509_STORE_CTX_get_error(uintptr_t)'),
    X509_STORE_CTX_set_error: f('void X509_STORE_CTX_set_error(uintptr_t, int)'),
    X509_STORE_CTX_get_error_depth: f('int X509_STORE_CTX_get_error_depth(uintptr_t)'),
    X509_STORE_CTX_get_current_cert: f('uintptr_t X509_STORE_CTX_get_current_cert(uintptr_t)'),
    X509_STORE_CTX_get0_cert: f('uintptr_t X509_STORE_CTX_get0_cert(uintptr_t)'),
    X509_STORE_CTX_get0_chain: f('uintptr_t X509_STORE_CTX_get0_chain(uintptr_t)'),
    OPENSSL_sk_num: f('int OPENSSL_sk_num(uintptr_t)'),
    OPENSSL_sk_value: f('uintptr_t OPENSSL_sk_value(uintptr_t, int)'),
    EVP_sha256: f('uintptr_t EVP_sha256()'),
    X509_digest: f('int X509_digest(uintptr_t, uintptr_t, uintptr_t, uintptr_t)'),
    i2d_X509: i2d,
    X509_free: f('void X509_free(uintptr_t)'),
    EVP_PKEY_free: f('void EVP_PKEY_free(uintptr_t)'),
    BIO_s_mem: f('uintptr_t BIO_s_mem()'),
    BIO_new: f('uintptr_t BIO_new(uintptr_t)'),
    BIO_new_socket: f('uintptr_t BIO_new_socket(int, int)'),
    BIO_write: f('int BIO_write(uintptr_t, uintptr_t, int)'),
    BIO_write_bytes: f('int BIO_write(uintptr_t, void *, int)'),
    BIO_read_bytes: f('int BIO_read(uintptr_t, _Out_ void *, int)'),
    BIO_new_mem_buf: f('uintptr_t BIO_new_mem_buf(uintptr_t, int)'),
    BIO_ctrl: f('long BIO_ctrl(uintptr_t, int, long, uintptr_t)'),
    BIO_up_ref: f('int BIO_up_ref(uintptr_t)'),
    BIO_ctrl_pending: f('size_t BIO_ctrl_pending(uintptr_t)'),
    BIO_free: f('int BIO_free(uintptr_t)'),
    PEM_read_bio_X509: f('uintptr_t PEM_read_bio_X509(uintptr_t, uintptr_t, uintptr_t, uintptr_t)'),
    PEM_read_bio_PrivateKey: f('uintptr_t PEM_read_bio_PrivateKey(uintptr_t, uintptr_t, uintptr_t, uintptr_t)'),
    SSL_new: f('uintptr_t SSL_new(uintptr_t)'),
    SSL_free: f('void SSL_free(uintptr_t)'),
    SSL_set0_rbio: f('void SSL_set0_rbio(uintptr_t, uintptr_t)'),
    SSL_set0_wbio: f('void SSL_set0_wbio(uintptr_t, uintptr_t)'),
    SSL_set_bio: f('void SSL_set_bio(uintptr_t, uintptr_t, uintptr_t)'),
    SSL_set_accept_state: f('void SSL_set_accept_state(uintptr_t)'),
    SSL_set_connect_state: f('void SSL_set_connect_state(uintptr_t)'),
    SSL_ctrl_text: f('long SSL_ctrl(uintptr_t, int, long, const char *)'),
    SSL_do_handshake: f('int SSL_do_handshake(uintptr_t)'),
    SSL_read: f('int SSL_read(uintptr_t, uintptr_t, int)'),
    SSL_write: f('int SSL_write(uintptr_t, uintptr_t, int)'),
    SSL_write_bytes: f('int SSL_write(uintptr_t, void *, int)'),
    SSL_shutdown: f('int SSL_shutdown(uintptr_t)'),
    SSL_get_error: f('int SSL_get_error(uintptr_t, int)'),
    SSL_get_servername: f('const char *SSL_get_servername(uintptr_t, int)'),
    SSL_get_version: f('const char *SSL_get_version(uintptr_t)'),
    SSL_get0_alpn_selected: f('void SSL_get0_alpn_selected(uintptr_t, uintptr_t, uintptr_t)'),
    ERR_get_error: f('unsigned long ERR_get_error()'),
    ERR_clear_error: f('void ERR_clear_error()'),
    ERR_reason_error_string: f('const char *ERR_reason_error_string(unsigned long)'),
    X509_verify_cert_error_string: f('const char *X509_verify_cert_error_string(long)'),
    installTickets: (context) => setTickets(context, NULL, ticketCallback, NULL),
    installCallbacks(context) {
      setVerify(context, verifyCallback, NULL);
      setAlpn(context, alpnCallback, NULL);
    },
    bytesAt: decodeBytes,
    der(certificate) {
      const length = i2d(certificate, NULL);
      if (length <= 0 || length > MOST_DER) return Buffer.alloc(0);
      target ??= { cell: pin(8), bytes: pin(MOST_DER) };
      target.cell.bytes.writeBigUInt64LE(BigInt(target.bytes.address));
      i2d(certificate, target.cell.address);
      return Buffer.from(target.bytes.bytes.subarray(0, length));
    },
  };
  return self;
}
