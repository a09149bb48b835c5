/** What the service is asked, read from strangers: the request line, and the body that asks for a certificate. */

export type RefusalCode =
  | 'bad-request'
  | 'unauthorized'
  | 'token-spent'
  | 'token-expired'
  | 'token-unknown'
  | 'revoked'
  | 'busy'
  | 'not-found'
  | 'too-large';

/** Why a request is not granted, in words for people and a code for programs. */
export interface Refusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  readonly error: string;
  /** What to do about it. */
  readonly hint?: string;
  readonly retryAfterMs?: number;
  /** Whom it was for, where that could be told; for the log, and not proven. */
  readonly identity?: string;
}

export function refusal(code: RefusalCode, error: string, more: Pick<Refusal, 'hint' | 'retryAfterMs'> = {}): Refusal {
  return { kind: 'refused', code, error, ...more };
}

export type Target =
  | { readonly kind: 'certificate' }
  /** Wanted once its version is another than `after`, or when `waitMs` are over. */
  | { readonly kind: 'trust'; readonly after: string | undefined; readonly waitMs: number }
  | { readonly kind: 'health' }
  | { readonly kind: 'metrics' };

/** Long enough to cost little. On the way a silent connection is kept up by the probes of TCP. */
export const MAX_WAIT_S = 3600;

const TARGETS = 'POST /v1/certificate, GET /v1/trust, GET /healthz, GET /metrics';

/** Of the request line. Never throws. */
export function readTarget(method = '', url = ''): Target | Refusal {
  const [path = '', query = ''] = url.split('?', 2);
  const reads = method === 'GET' || method === 'HEAD';
  if (path === '/v1/certificate' && method === 'POST') return { kind: 'certificate' };
  if (path === '/v1/trust' && reads) return readTrustQuery(new URLSearchParams(query));
  if (path === '/healthz' && reads) return { kind: 'health' };
  if (path === '/metrics' && reads) return { kind: 'metrics' };
  return refusal('not-found', `there is nothing here for this method and path; there are ${TARGETS}`);
}

function readTrustQuery(query: URLSearchParams): Target | Refusal {
  const wait = query.get('wait') ?? '0';
  if (!/^\d{1,9}$/.test(wait)) return refusal('bad-request', `wait is a number of seconds, up to ${MAX_WAIT_S}`);
  return { kind: 'trust', after: query.get('after') ?? undefined, waitMs: Math.min(Number(wait), MAX_WAIT_S) * 1000 };
}

export interface CertificateAsk {
  readonly kind: 'ask';
  /** PEM, not looked at yet. */
  readonly csr: string;
  readonly token: string | undefined;
}

/** Of the body. Fields that it does not know are a newer client's. Never throws. */
export function readCertificateAsk(body: Uint8Array): CertificateAsk | Refusal {
  const value = parseJson(body);
  if (typeof value !== 'object' || value === null) {
    return refusal('bad-request', 'the body is not a JSON object', { hint: '{"csr": "PEM", "token": "mpj1.…"}' });
  }
  const { csr, token } = { ...value } as { csr?: unknown; token?: unknown };
  if (typeof csr !== 'string') return refusal('bad-request', 'csr is missing, or is not a text');
  if (token !== undefined && typeof token !== 'string') return refusal('bad-request', 'token is not a text');
  return { kind: 'ask', csr, token };
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
}
