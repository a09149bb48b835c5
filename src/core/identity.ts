/**
 * Who a workload is: its SPIFFE ID, in the one form that meshproxy gives out,
 * `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME`.
 *
 * Strict after the SPIFFE ID standard (spiffe.io, SPIFFE-ID.md sections 2.1 to 2.3), which forbids whatever two
 * programs could read differently: upper case in trust domains, ports, escapes, empty and dot segments.
 */
import { MeshproxyError } from './errors.js';

export interface SpiffeId {
  /** Lower case, without scheme: `example.org`. */
  readonly trustDomain: string;
  readonly namespace: string;
  readonly name: string;
}

const FORM = 'a SPIFFE ID is written spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/NAME';

/** SPIFFE-ID.md section 2.3: what every implementation must take, and the most that one may send. */
const MAX_ID_BYTES = 2048;
/** The same, for the trust domain alone. */
const MAX_TRUST_DOMAIN_BYTES = 255;

const SCHEME = 'spiffe://';
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** Of a text of unknown length, in an error message. */
const MAX_SHOWN = 100;

function bad(text: string, why: string, hint?: string): MeshproxyError {
  const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  return new MeshproxyError('bad-identity', `identity ${JSON.stringify(shown)}: ${why}; ${FORM}`, hint ? { hint } : {});
}

/** Reads a full SPIFFE ID. Throws a `MeshproxyError` `bad-identity` that shows what is wrong and what is accepted. */
export function parseSpiffeId(text: string): SpiffeId {
  // Every character that is accepted below is one byte long.
  if (text.length > MAX_ID_BYTES) throw bad(text, `it is longer than ${MAX_ID_BYTES} bytes`);
  if (!text.startsWith(SCHEME)) throw bad(text, `it does not begin with ${SCHEME}`);
  const [domain = '', ...segments] = text.slice(SCHEME.length).split('/');
  const wrong = domainProblem(domain) ?? segments.map(segmentProblem).find((problem) => problem !== undefined);
  if (wrong !== undefined) throw bad(text, wrong);
  const [ns, namespace, sa, name, ...rest] = segments;
  if (ns !== 'ns' || sa !== 'sa' || namespace === undefined || name === undefined || rest.length > 0) {
    throw bad(text, 'its path is not /ns/NAMESPACE/sa/NAME');
  }
  return { trustDomain: domain, namespace, name };
}

/** Reads what a person may write: the full SPIFFE ID, or `ns/NAMESPACE/sa/NAME` of `trustDomain`. Throws as `parseSpiffeId`. */
export function parseIdentity(text: string, trustDomain: string): SpiffeId {
  if (text.includes('://')) return parseSpiffeId(text);
  return parseSpiffeId(`${SCHEME}${trustDomain}/${text.replace(/^\//, '')}`);
}

/** The form that `parseSpiffeId` reads back. */
export function formatSpiffeId({ trustDomain, namespace, name }: SpiffeId): string {
  return `${SCHEME}${trustDomain}/ns/${namespace}/sa/${name}`;
}

/** `text`, which is a trust domain's name. Throws a `MeshproxyError` `bad-identity` where it is none. */
export function parseTrustDomain(text: string): string {
  const wrong = domainProblem(text);
  if (wrong === undefined) return text;
  const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  const hint = text.startsWith(SCHEME)
    ? `leave out ${SCHEME} and what follows the name`
    : 'write example.org, for example';
  throw new MeshproxyError('bad-identity', `trust domain ${JSON.stringify(shown)}: ${wrong}`, { hint });
}

/** The SPIFFE ID of the trust domain itself, which its authorities carry (X509-SVID.md section 3.2: no path). */
export function trustDomainId(trustDomain: string): string {
  return `${SCHEME}${trustDomain}`;
}

/** Whoever serves certificates is this workload. Nobody else may get its name: who had it could pose as the authority. */
export function authorityIdentity(trustDomain: string): SpiffeId {
  return { trustDomain, namespace: 'meshproxy', name: 'ca' };
}

export function isAuthorityIdentity({ namespace, name }: SpiffeId): boolean {
  return namespace === 'meshproxy' && name === 'ca';
}

function domainProblem(domain: string): string | undefined {
  if (domain === '') return 'the trust domain is missing';
  if (domain.length > MAX_TRUST_DOMAIN_BYTES) return `the trust domain is longer than ${MAX_TRUST_DOMAIN_BYTES} bytes`;
  return TRUST_DOMAIN.test(domain) ? undefined : 'a trust domain is lower case letters, digits and . - _';
}

function segmentProblem(segment: string): string | undefined {
  if (segment === '') return 'its path has an empty segment';
  if (segment === '.' || segment === '..') return `its path has the segment ${JSON.stringify(segment)}`;
  return SEGMENT.test(segment)
    ? undefined
    : `${JSON.stringify(segment.slice(0, MAX_SHOWN))} is not letters, digits and . - _`;
}
