/**
 * Sessions that may be resumed (RFC 8446 section 2.2): a handshake without signatures, at half the cost. Only within one
 * version of an identity, for each has its context and its ticket keys; and only with the peer whose certificate was
 * verified when the session began, which is judged anew each time. Early data is never sent nor taken.
 */
import type { X509Certificate } from 'node:crypto';
import type { OpenSsl, Pointer } from './openssl.js';

/** What a client remembers of a server. */
export interface KnownSession {
  readonly session: Pointer;
  /** The certificate of the full handshake that the session began with, and the root that it led to. */
  readonly certificate: X509Certificate;
  readonly root: string | undefined;
}

/** Servers that are told apart; of any more the one that was met first is forgotten. Some 4 KB each. */
const MOST_SESSIONS = 256;

/** Of one context, on the client's side. By whom is wanted, and where. */
export class KnownSessions {
  readonly #ssl: OpenSsl;
  readonly #sessions = new Map<string, KnownSession>();

  constructor(ssl: OpenSsl) {
    this.#ssl = ssl;
  }

  get(key: string): KnownSession | undefined {
    return this.#sessions.get(key);
  }

  /** Takes what `session` points to over. */
  set(key: string, session: KnownSession): void {
    this.forget(key);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= MOST_SESSIONS && oldest !== undefined) this.forget(oldest);
    this.#sessions.set(key, session);
  }

  forget(key: string): void {
    const known = this.#sessions.get(key);
    if (known === undefined) return;
    this.#sessions.delete(key);
    this.#ssl.SSL_SESSION_free(known.session);
  }

  clear(): void {
    for (const key of [...this.#sessions.keys()]) this.forget(key);
  }
}

/** The root that a certificate led to when it was verified in this thread: a resumed session has the certificate only. A thread that has not met it yet resumes nothing of its. */
const rootsSeen = new WeakMap<X509Certificate, string>();

export function rememberRoot(certificate: X509Certificate, root: string | undefined): void {
  if (root !== undefined) rootsSeen.set(certificate, root);
}

export function rootOf(certificate: X509Certificate): string | undefined {
  return rootsSeen.get(certificate);
}
