/**
 * TLS on a connection, as the life of a connection asks for it. What is agreed on before (`TlsSetup`) is made once for a
 * version of a credential and shared by all handshakes; what a handshake ended in is `TlsPeer`, or a `MeshproxyError`
 * `handshake` that says in words which side, which certificate and why.
 */
import type { X509Certificate } from 'node:crypto';

/** Who this side is, for as long as that certificate lives. Immutable: a renewed one is another object. */
export interface TlsCredential {
  /** PEM: the leaf first, then what leads to a root of the peers. */
  readonly chain: string;
  /** PEM, without passphrase. */
  readonly key: string;
}

export interface TlsSetup {
  readonly role: 'server' | 'client';
  /** A client may have none. */
  readonly credential: TlsCredential | undefined;
  /** PEM: the roots that the peer's chain may end in. No other is trusted. */
  readonly roots: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** A client always wants the server's. */
  readonly peerCertificate: 'required' | 'none';
  /** Protocol names, the preferred first; a server that meets none of them goes on without. */
  readonly alpn: readonly string[];
  /** The peer's chain must be as RFC 5280 has it, to the letter (`openssl verify -x509_strict`). */
  readonly strict: boolean;
  /**
   * Sessions may be resumed between those that have the same: 80 bytes at random, the keys of a server's tickets. A new
   * version of a credential has others. Absent: every handshake is a full one. The streams engine resumes none.
   */
  readonly ticketKeys?: Uint8Array | undefined;
}

export interface TlsCall {
  /** The name that a client sends (SNI). */
  readonly serverName?: string | undefined;
  /** Of a client: which server this is, so that a session with the same one may be resumed. */
  readonly sessionKey?: string | undefined;
  /** Of a peer whose chain is in order: why it is not the one that is wanted, or `undefined` where it is. */
  judge?(leaf: X509Certificate): string | undefined;
}

export interface TlsPeer {
  /** Absent where none was asked for. */
  readonly certificate: X509Certificate | undefined;
  /** SHA-256 of the root that its chain ended in: 64 hexadecimal digits, lower case. */
  readonly root: string | undefined;
  /** `TLSv1.3`, for example. */
  readonly version: string;
  /** Agreed on by ALPN. */
  readonly protocol: string | undefined;
  /** Of a client: the name that it asked for (SNI). */
  readonly serverName: string | undefined;
}
