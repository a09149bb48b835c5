/** Why TLS did not come about, in words: which side, which certificate, what is wrong with it and what is wanted. Pure. */
import { X509Certificate } from 'node:crypto';
import { describeError, errnoOf, MeshproxyError } from '../core/errors.js';
import type { TlsCall, TlsSetup } from './tls.js';

/** What was held against the peer's certificate. */
export type Verdict =
  /** Its chain is not in order. `error` is OpenSSL's number (`X509_V_ERR_...`), `text` its words, `depth` 0 for the leaf. */
  | {
      readonly kind: 'chain';
      readonly error: number;
      readonly text: string;
      readonly depth: number;
      readonly certificate: X509Certificate;
    }
  /** It is in order, and somebody else's. */
  | { readonly kind: 'identity'; readonly refused: string };

export interface HandshakeFailure {
  readonly verdict: Verdict | undefined;
  /** OpenSSL's, or the system's, reason. */
  readonly reason: string | undefined;
  /** The first bytes that came in place of a handshake, where they look like none. */
  readonly plain?: string | undefined;
}

export const CUT_SHORT = 'it ended without close_notify: the stream may be cut short';

/** By the names that Node has for them: what `X509_V_ERR_...` in `openssl/x509_vfy.h` are. */
const ERROR_NAMES: Readonly<Record<string, number>> = {
  UNABLE_TO_GET_ISSUER_CERT: 2,
  CERT_NOT_YET_VALID: 9,
  CERT_HAS_EXPIRED: 10,
  DEPTH_ZERO_SELF_SIGNED_CERT: 18,
  SELF_SIGNED_CERT_IN_CHAIN: 19,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 20,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 21,
  INVALID_PURPOSE: 26,
};

/**
 * What Node's verification holds against a peer's certificate. It does not tell which of the chain it has stopped at.
 * @param now ms since 1970
 */
export function verdictOf(leaf: X509Certificate, refused: Error, now: number): Verdict {
  const error = ERROR_NAMES[errnoOf(refused) ?? ''] ?? 0;
  const chain = chainOf(leaf);
  let depth = 0;
  if (error === EXPIRED) depth = chain.findIndex((certificate) => Date.parse(certificate.validTo) < now);
  else if (error === NOT_YET_VALID) depth = chain.findIndex((one) => Date.parse(one.validFrom) > now);
  else if (UNKNOWN_ISSUER.has(error)) depth = chain.length - 1;
  return { kind: 'chain', error, text: refused.message, depth, certificate: chain[depth] ?? leaf };
}

/** A chain that is longer is nobody's. */
const LONGEST_CHAIN = 10;

/** A certificate and what the peer has sent of those above it. */
function chainOf(leaf: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let next: X509Certificate | undefined = leaf; next && chain.length < LONGEST_CHAIN; ) {
    chain.push(next);
    const above: X509Certificate | undefined = next.issuerCertificate;
    next = above?.fingerprint256 === next.fingerprint256 ? undefined : above;
  }
  return chain;
}

/** Of a peer whose chain is in order: what is held against it, if anything. A judge that fails has not said yes. */
export function judged({ strict }: TlsSetup, { judge }: TlsCall, leaf: X509Certificate): Verdict | undefined {
  if (strict && leaf.ca)
    return { kind: 'identity', refused: 'it is that of an authority (CA), and nobody else may show it' };
  try {
    const refused = judge?.(leaf);
    return refused === undefined ? undefined : { kind: 'identity', refused };
  } catch (error) {
    return { kind: 'identity', refused: `it could not be checked: ${describeError(error)}` };
  }
}

/** A record of TLS begins with its type (RFC 8446 section 5.1): a handshake or, of who refuses it, an alert. */
const HANDSHAKE_RECORD = 0x16;
const ALERT_RECORD = 0x15;

/** The beginning of what is no TLS, in quotes, or `undefined`. */
export function plainText(bytes: Uint8Array): string | undefined {
  const [type] = bytes;
  if (type === undefined || type === HANDSHAKE_RECORD || type === ALERT_RECORD) return undefined;
  return JSON.stringify(printable(Buffer.from(bytes.subarray(0, 16)).toString('latin1')));
}

/** An error on an established connection. */
export function brokenTls(reason: string): Error {
  return Object.assign(new Error(`TLS: ${explainReason(reason, 'other side')}`), { code: 'EPROTO' });
}

/** @param now ms since 1970 */
export function handshakeError(setup: TlsSetup, failure: HandshakeFailure, now: number): MeshproxyError {
  const peer = setup.role === 'server' ? 'client' : 'server';
  return new MeshproxyError('handshake', `TLS handshake failed: ${explain(setup, failure, peer, now)}`);
}

function explain(setup: TlsSetup, { verdict, reason, plain }: HandshakeFailure, peer: string, now: number): string {
  if (verdict?.kind === 'identity') return `the ${peer}'s certificate is in order, but ${verdict.refused}`;
  if (verdict?.kind === 'chain') return explainChain(setup, verdict, peer, now);
  if (plain !== undefined) return `the ${peer} does not speak TLS: it sent plain text, beginning with ${plain}`;
  if (reason === undefined) return `the ${peer} closed the connection in the middle of it`;
  return explainReason(reason, peer);
}

/** OpenSSL's reasons that an operator meets; an alert is what the other side says of us. */
const REASONS: readonly (readonly [RegExp, (peer: string) => string])[] = [
  [/peer did not return a certificate/, (peer) => `the ${peer} shows no certificate, and one is required`],
  [
    /unsupported protocol|version too low|alert protocol version/,
    (peer) => `the ${peer} and this side have no version of TLS in common`,
  ],
  [/no shared cipher|alert handshake failure/, (peer) => `the ${peer} and this side agree on no cipher or certificate`],
  [/alert certificate required/, (peer) => `the ${peer} requires a certificate, and this side has none to show`],
  [/alert certificate expired/, (peer) => `the ${peer} refuses our certificate: it has expired`],
  [/alert unknown ca/, (peer) => `the ${peer} does not know the authority that issued our certificate`],
  [
    /alert (bad|unsupported) certificate|alert certificate unknown|alert access denied/,
    (peer) => `the ${peer} refuses our certificate`,
  ],
  [/alert certificate revoked/, (peer) => `the ${peer} refuses our certificate: it was revoked`],
  [/alert no application protocol/, (peer) => `the ${peer} speaks none of the protocols that were offered (ALPN)`],
  [
    /wrong version number|http request|record layer failure|packet length too long/,
    (peer) => `the ${peer} does not speak TLS`,
  ],
];

function explainReason(reason: string, peer: string): string {
  const known = REASONS.find(([pattern]) => pattern.test(reason));
  return known === undefined ? reason : `${known[1](peer)} (${reason})`;
}

const EXPIRED = 10;
const NOT_YET_VALID = 9;
const SELF_SIGNED_LEAF = 18;
const SELF_SIGNED_IN_CHAIN = 19;
const NO_LOCAL_ISSUER = 20;
const NO_FIRST_ISSUER = 21;
const NO_ISSUER = 2;
const INVALID_PURPOSE = 26;
const UNKNOWN_ISSUER: ReadonlySet<number> = new Set([
  NO_ISSUER,
  SELF_SIGNED_LEAF,
  SELF_SIGNED_IN_CHAIN,
  NO_LOCAL_ISSUER,
  NO_FIRST_ISSUER,
]);

function explainChain(setup: TlsSetup, verdict: Verdict & { kind: 'chain' }, peer: string, now: number): string {
  const { certificate, error, text, depth } = verdict;
  const which =
    depth === 0 ? `the ${peer}'s certificate` : `certificate ${depth} above the ${peer}'s (${nameOf(certificate)})`;
  const who = depth === 0 ? ` of ${nameOf(certificate)}` : '';
  if (error === EXPIRED)
    return `${which}${who} expired ${ago(now - Date.parse(certificate.validTo))} ago (${iso(certificate.validTo)})`;
  if (error === NOT_YET_VALID) {
    const wait = ago(Date.parse(certificate.validFrom) - now);
    return `${which}${who} is not valid before ${iso(certificate.validFrom)}, in ${wait}: compare the clocks of both machines`;
  }
  if (UNKNOWN_ISSUER.has(error)) {
    const own =
      error === SELF_SIGNED_LEAF
        ? 'is self-signed'
        : `was issued by ${oneLine(certificate.issuer)}, which is not known here`;
    return `${which}${who} ${own} (fingerprint seen: ${shortFingerprint(certificate)}; trusted: ${trusted(setup.roots)})`;
  }
  if (error === INVALID_PURPOSE) {
    return certificate.ca
      ? `${which}${who} is that of an authority (CA), and nobody else may show it`
      : `${which}${who} is not meant for a TLS ${peer} (key usage, extended key usage)`;
  }
  if (/subtree violation/.test(text))
    return `${which}${who} breaks the name constraints of the authority that issued it (${text})`;
  return `${which}${who} is not acceptable: ${text}`;
}

/** The identity in a certificate: its URI SAN, or else its subject. */
function nameOf(certificate: X509Certificate): string {
  const uri = /URI:("[^"]*"|[^,]+)/.exec(certificate.subjectAltName ?? '')?.[1];
  if (uri !== undefined) return printable(uri);
  return oneLine(certificate.subject) || `serial ${certificate.serialNumber}`;
}

function oneLine(name: string | undefined): string {
  return printable((name ?? '').split('\n').join(', '));
}

/** What a peer wrote goes into a log that people read. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}

function trusted(roots: string): string {
  const all = roots.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (all.length === 0) return 'none';
  const shown = all.slice(0, 3).map((pem) => shortFingerprint(new X509Certificate(pem)));
  return shown.join(', ') + (all.length > 3 ? ` and ${all.length - 3} more` : '');
}

/** The first 8 bytes of the SHA-256 fingerprint: enough to compare by eye. */
function shortFingerprint(certificate: X509Certificate): string {
  return certificate.fingerprint256.slice(0, 23);
}

function iso(date: string): string {
  return new Date(date).toISOString();
}

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const;

function ago(ms: number): string {
  for (const [unit, length] of UNITS) {
    const count = Math.floor(ms / length);
    if (count >= 1) return `${count} ${unit}${count === 1 ? '' : 's'}`;
  }
  return 'less than a second';
}
