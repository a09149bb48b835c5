/** What the authority's service answers, read as from a stranger. */
import type { Trust } from './authority.js';

export interface CertificateAnswer {
  /** PEM: the leaf, then its issuer. */
  readonly chain: string;
  readonly trust: Trust;
}

export interface RefusalAnswer {
  readonly error: string;
  readonly refusal?: string;
  readonly retryAfterMs?: number;
  readonly hint?: string;
}

/** An hour: whoever is asked to stay away longer asks all the same. */
const MAX_RETRY_MS = 3_600_000;
/** Of words that end up in a log. */
const MAX_WORDS = 1000;

export function parseTrust(body: string): Trust | undefined {
  const value = parseObject(body);
  return isTrust(value) ? value : undefined;
}

export function parseCertificateAnswer(body: string): CertificateAnswer | undefined {
  const { chain, trust } = parseObject(body) ?? {};
  return typeof chain === 'string' && isTrust(trust) ? { chain, trust } : undefined;
}

export function parseRefusal(body: string): RefusalAnswer | undefined {
  const { error, code, retryAfterMs, hint } = parseObject(body) ?? {};
  if (typeof error !== 'string' || typeof code !== 'string') return undefined;
  return {
    error: error.slice(0, MAX_WORDS),
    refusal: code,
    ...(typeof retryAfterMs === 'number' &&
      retryAfterMs >= 0 && { retryAfterMs: Math.min(retryAfterMs, MAX_RETRY_MS) }),
    ...(typeof hint === 'string' && { hint: hint.slice(0, MAX_WORDS) }),
  };
}

function parseObject(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isTrust(value: unknown): value is Trust {
  if (typeof value !== 'object' || value === null) return false;
  const {
    version,
    bundle,
    issuer,
    revoked,
  }: { version?: unknown; bundle?: unknown; issuer?: unknown; revoked?: unknown } = value;
  if (typeof version !== 'string' || typeof bundle !== 'string' || typeof issuer !== 'string') return false;
  if (typeof revoked !== 'object' || revoked === null) return false;
  const { identities, serials, retiredRoots }: { identities?: unknown; serials?: unknown; retiredRoots?: unknown } =
    revoked;
  return areTexts(identities) && areTexts(serials) && areTexts(retiredRoots);
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
