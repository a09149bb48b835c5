/** How a health check is written: what is asked of an endpoint, what it is told, and which answer is a good one. */

/** What is asked of an endpoint. */
export type HealthCheck =
  | { readonly kind: 'off' }
  /** It accepts a connection. */
  | { readonly kind: 'tcp' }
  /** It completes a TLS handshake, with the certificate that connections of the service would ask for. */
  | { readonly kind: 'tls' }
  /** It answers a GET of this path. */
  | { readonly kind: 'http'; readonly host: string | undefined; readonly path: string }
  /** It answers what it is sent, or says by itself, what is expected. */
  | { readonly kind: 'send-expect' };

export const HEALTH_CHECK_PATTERN = '^(off|tcp|tls|send-expect|http:(//[A-Za-z0-9._:\\[\\]-]+)?/[!-~]*)$';

/** `undefined` where the text is none. Of a path no character could begin another line of the request. */
export function parseHealthCheck(text: string): HealthCheck | undefined {
  if (text === 'off' || text === 'tcp' || text === 'tls' || text === 'send-expect') return { kind: text };
  const [, , host, path] = /^http:(\/\/([A-Za-z0-9._:[\]-]+))?(\/[!-~]*)$/.exec(text) ?? [];
  // `http://health` has a host and no path: whoever writes it meant a path.
  return path === undefined || (host === undefined && path.startsWith('//')) ? undefined : { kind: 'http', host, path };
}

/** Bytes as they are written: text, or `hex:` or `base64:` and what cannot be written as text. `undefined` where that is not well formed. */
export function parseBytes(text: string): Uint8Array | undefined {
  if (text.startsWith('hex:')) {
    const digits = text.slice('hex:'.length);
    return /^([0-9a-f]{2})+$/i.test(digits) ? Buffer.from(digits, 'hex') : undefined;
  }
  if (text.startsWith('base64:')) {
    const written = text.slice('base64:'.length);
    const bytes = Buffer.from(written, 'base64');
    return bytes.length > 0 && bytes.toString('base64') === written ? bytes : undefined;
  }
  return text === '' ? undefined : Buffer.from(text);
}

/** `200-399,404`: from and to, both included. */
export type StatusRanges = readonly (readonly [from: number, to: number])[];

export const STATUSES_PATTERN = '^[1-5]\\d\\d(-[1-5]\\d\\d)?(,[1-5]\\d\\d(-[1-5]\\d\\d)?)*$';

/** `undefined` where the text is no list of status codes. */
export function parseStatuses(text: string): StatusRanges | undefined {
  if (!new RegExp(STATUSES_PATTERN).test(text)) return undefined;
  const ranges = text.split(',').map((range): [number, number] => {
    const [from, to] = range.split('-').map(Number);
    return [from ?? 0, to ?? from ?? 0];
  });
  return ranges.every(([from, to]) => from <= to) ? ranges : undefined;
}
