/**
 * Who may ask. The admin listener has no passwords: it stands on the loopback interface, and what a web page in the
 * operator's browser could do from there is what is kept out here.
 */
import { isIP } from 'node:net';
import type { Address } from '../core/address.js';

/** What of a request's headers matters here. */
export interface Asked {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  /** Sec-Fetch-Site: what a browser says of where a request comes from (Fetch Metadata Request Headers). */
  readonly site?: string | undefined;
}

/** Shown of what a stranger sent: enough to recognise it. */
const MAX_SHOWN = 80;

/**
 * Why the Host header is not one of this listener's, or `undefined` where it is. A page whose own name was made to
 * point at this machine (DNS rebinding) sends that name; an IP address, `localhost` and the name that was bound are ours.
 */
export function wrongHost(bound: Address, { host }: Asked): string | undefined {
  // No browser speaks over a unix socket, and none leaves the header out.
  if (bound.kind === 'unix' || host === undefined) return undefined;
  const name = host.replace(/:\d+$/, '').toLowerCase();
  if (isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0) return undefined;
  if (name === 'localhost' || (bound.kind === 'name' && name === bound.name)) return undefined;
  const shown = JSON.stringify(name.slice(0, MAX_SHOWN));
  return `this listener goes by its IP address or localhost, not by ${shown}: use the address, or have --admin listen on that name`;
}

/** Why a request that changes something is refused, or `undefined`. Browsers say where one comes from; other programs need not. */
export function crossSite({ host, origin, site }: Asked): string | undefined {
  const refusal = 'a page of another site may not ask for this';
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return refusal;
  return origin === undefined || origin === `http://${host}` ? undefined : refusal;
}
