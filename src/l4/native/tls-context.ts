/** What the handshakes of one credential share (`SSL_CTX`): its certificate and key, the roots it trusts, what is spoken. */
import { describeError, MeshproxyError } from '../../core/errors.js';
import type { TlsSetup } from '../tls.js';
import { type Pinned, pin } from './libc.js';
import { type OpenSsl, type Pointer, SSL_VERIFY_FAIL_IF_NO_PEER_CERT, SSL_VERIFY_PEER } from './openssl.js';
import { KnownSessions } from './tls-resumption.js';

const SSL_CTRL_MODE = 33;
/** A write may take a part; it may be tried again from another buffer; no buffer is kept by a connection that is quiet. */
const MODES = 0x1 | 0x2 | 0x10;
const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
const SSL_SESS_CACHE_OFF = 0;
const SSL_CTRL_CHAIN_CERT = 89;
/** The context takes a reference of its own. */
const ADD1 = 1;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const VERSIONS = { 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 } as const;
/** A renegotiation of TLS 1.2 is of use to nobody but an attacker (CVE-2009-3555, CVE-2011-1473). */
const SSL_OP_NO_RENEGOTIATION = 1 << 30;
/** Of TLS 1.3: all that OpenSSL has by default, and the fastest first, as Go and BoringSSL have them. 128 bits are out of anybody's reach. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';
/** RFC 5280 to the letter: what a CA of ours makes is. */
const X509_V_FLAG_X509_STRICT = 0x20;
/** A PEM file with more is none of a workload's. */
const MOST_CERTIFICATES = 1000;

const SSL_CTRL_SET_TLSEXT_TICKET_KEYS = 59;
/** OpenSSL wants one where certificates are asked for; whose tickets are whose is told by their keys. */
const SESSION_CONTEXT = Buffer.from('meshproxy');
/** As long as a certificate lives by default; its own end is looked at each time. */
const TICKET_LIFETIME_S = 3600;

export class TlsContext {
  /** Of a client: those that it may resume. */
  readonly sessions: KnownSessions;
  readonly pointer: Pointer;
  readonly setup: TlsSetup;
  readonly ssl: OpenSsl;

  /** Throws `bad-certificate` where OpenSSL refuses what it is given, with the reason. */
  constructor(ssl: OpenSsl, setup: TlsSetup) {
    this.ssl = ssl;
    this.setup = setup;
    this.sessions = new KnownSessions(ssl);
    this.pointer = ssl.SSL_CTX_new(ssl.TLS_method());
    if (this.pointer === 0) throw new MeshproxyError('exhausted', `OpenSSL makes no context: ${lastError(ssl)}`);
    try {
      this.#configure();
    } catch (error) {
      this.free();
      throw error;
    }
  }

  /** Handshakes under way, and connections, keep what they need. */
  free(): void {
    this.sessions.clear();
    this.ssl.SSL_CTX_free(this.pointer);
  }

  #configure(): void {
    const { credential, roots, minVersion, peerCertificate, alpn, role } = this.setup;
    const ssl = this.ssl;
    const { pointer } = this;
    ssl.SSL_CTX_ctrl(pointer, SSL_CTRL_MODE, MODES, 0);
    ssl.SSL_CTX_ctrl(pointer, SSL_CTRL_SET_MIN_PROTO_VERSION, VERSIONS[minVersion], 0);
    ssl.SSL_CTX_set_options(pointer, SSL_OP_NO_RENEGOTIATION);
    if (ssl.SSL_CTX_set_ciphersuites(pointer, CIPHERS) !== 1) throw this.#refused('the cipher suites');
    // What is resumed is in tickets and in `sessions`, where it is known of whom it is.
    ssl.SSL_CTX_ctrl(pointer, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, 0);
    this.#allowTickets();
    if (peerCertificate === 'required') {
      ssl.SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, 0);
    }
    if (this.setup.strict) ssl.X509_VERIFY_PARAM_set_flags(ssl.SSL_CTX_get0_param(pointer), X509_V_FLAG_X509_STRICT);
    ssl.installCallbacks(pointer);
    if (credential !== undefined) this.#useCredential(credential.chain, credential.key);
    const store = ssl.SSL_CTX_get_cert_store(pointer);
    this.#eachCertificate(roots, 'the trust bundle', (certificate) => {
      if (ssl.X509_STORE_add_cert(store, certificate) !== 1) throw this.#refused('a root of the trust bundle');
    });
    if (alpn.length > 0 && role === 'client') {
      const offer = encodeProtocols(alpn);
      if (ssl.SSL_CTX_set_alpn_protos(pointer, offer, offer.length) !== 0) throw this.#refused('the ALPN protocols');
    }
  }

  #allowTickets(): void {
    const { ssl, pointer } = this;
    const { role, ticketKeys } = this.setup;
    if (role === 'client') return;
    ssl.SSL_CTX_set_num_tickets(pointer, ticketKeys === undefined ? 0 : 1);
    if (ticketKeys === undefined) return;
    ssl.SSL_CTX_set_session_id_context(pointer, SESSION_CONTEXT, SESSION_CONTEXT.length);
    ssl.SSL_CTX_set_timeout(pointer, TICKET_LIFETIME_S);
    if (ssl.SSL_CTX_ctrl_bytes(pointer, SSL_CTRL_SET_TLSEXT_TICKET_KEYS, ticketKeys.length, ticketKeys) !== 1) {
      throw this.#refused('the ticket keys');
    }
    ssl.installTickets(pointer);
  }

  #useCredential(chain: string, key: string): void {
    const ssl = this.ssl;
    let count = 0;
    this.#eachCertificate(chain, 'the certificate', (certificate) => {
      const used =
        count === 0
          ? ssl.SSL_CTX_use_certificate(this.pointer, certificate)
          : ssl.SSL_CTX_ctrl(this.pointer, SSL_CTRL_CHAIN_CERT, ADD1, certificate);
      if (used !== 1) throw this.#refused('the certificate');
      count += 1;
    });
    if (count === 0) throw new MeshproxyError('bad-certificate', 'the certificate file has no certificate in it');
    this.#withPem(key, (bio) => {
      const pointer = ssl.PEM_read_bio_PrivateKey(bio, 0, 0, noPassphrase().address);
      if (pointer === 0) throw this.#refused('the private key');
      const used = ssl.SSL_CTX_use_PrivateKey(this.pointer, pointer);
      ssl.EVP_PKEY_free(pointer);
      if (used !== 1 || ssl.SSL_CTX_check_private_key(this.pointer) !== 1) {
        throw this.#refused('the private key, with this certificate');
      }
    });
  }

  #eachCertificate(pem: string, what: string, use: (certificate: Pointer) => void): void {
    const ssl = this.ssl;
    const expected = pem.split('-----BEGIN CERTIFICATE-----').length - 1;
    if (expected > MOST_CERTIFICATES)
      throw new MeshproxyError('bad-certificate', `${what} has ${expected} certificates`);
    this.#withPem(pem, (bio) => {
      for (let count = 0; count < expected; count += 1) {
        const certificate = ssl.PEM_read_bio_X509(bio, 0, 0, noPassphrase().address);
        if (certificate === 0) throw this.#refused(`${what} (certificate ${count + 1} of ${expected})`);
        try {
          use(certificate);
        } finally {
          ssl.X509_free(certificate);
        }
      }
    });
  }

  #withPem(pem: string, read: (bio: Pointer) => void): void {
    const bytes = Buffer.from(pem);
    const bio = this.ssl.BIO_new(this.ssl.BIO_s_mem());
    if (bytes.length > 0) this.ssl.BIO_write_bytes(bio, bytes, bytes.length);
    try {
      read(bio);
    } finally {
      this.ssl.BIO_free(bio);
    }
  }

  #refused(what: string): MeshproxyError {
    return new MeshproxyError('bad-certificate', `OpenSSL refuses ${what}: ${lastError(this.ssl)}`);
  }
}

let empty: Pinned | undefined;

/** An empty text of C's. Where it is given none OpenSSL asks for a passphrase on the terminal, and the thread waits. */
function noPassphrase(): Pinned {
  empty ??= pin(1);
  return empty;
}

/** As ALPN has it: each with its length before it (RFC 7301 section 3.1). */
export function encodeProtocols(protocols: readonly string[]): Uint8Array {
  return Buffer.concat(protocols.flatMap((name) => [Buffer.of(name.length), Buffer.from(name, 'latin1')]));
}

/** The reason of what failed first, in OpenSSL's words; the queue is empty afterwards. */
export function lastError(ssl: OpenSsl): string {
  try {
    return ssl.ERR_reason_error_string(ssl.ERR_get_error()) ?? 'no reason is given';
  } catch (error) {
    return describeError(error);
  } finally {
    ssl.ERR_clear_error();
  }
}

/** One context for each setup, for as long as anybody holds that. */
export class TlsContexts {
  readonly #ssl: OpenSsl;
  readonly #contexts = new WeakMap<TlsSetup, TlsContext>();
  readonly #gone: FinalizationRegistry<{ readonly pointer: Pointer; readonly sessions: KnownSessions }>;

  constructor(ssl: OpenSsl) {
    this.#ssl = ssl;
    this.#gone = new FinalizationRegistry(({ pointer, sessions }) => {
      sessions.clear();
      ssl.SSL_CTX_free(pointer);
    });
  }

  /** Throws `bad-certificate`. */
  of(setup: TlsSetup): TlsContext {
    const known = this.#contexts.get(setup);
    if (known !== undefined) return known;
    const context = new TlsContext(this.#ssl, setup);
    this.#contexts.set(setup, context);
    const { pointer, sessions } = context;
    this.#gone.register(setup, { pointer, sessions });
    return context;
  }
}
