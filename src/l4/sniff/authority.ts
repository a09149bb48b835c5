/** Host and port as URIs and HTTP have them (RFC 3986 section 3.2). */
import { isIPv6 } from 'node:net';

export interface Authority {
  /** A name in lower case, without a dot at its end, or an address without brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

const FORM = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._~!$&'()*+,;=%-]{1,254}))(?::([0-9]{0,5}))?$/i;
const MAX_PORT = 65_535;

/** `undefined` where it is neither name nor address. */
export function parseAuthority(text: string): Authority | undefined {
  const [, address, name, digits = ''] = FORM.exec(text) ?? [];
  const port = digits === '' ? undefined : Number(digits);
  if (port !== undefined && port > MAX_PORT) return undefined;
  if (address !== undefined) return isIPv6(address) ? { host: address.toLowerCase(), port } : undefined;
  const host = name?.toLowerCase().replace(/\.$/, '');
  return host === undefined || host === '' ? undefined : { host, port };
}
