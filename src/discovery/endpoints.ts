import { isIPv4, isIPv6 } from 'node:net';
import { canonicalHost, formatHostPort } from '../core/address.js';
import type { DiscoveredEndpoint } from './source.js';

/**
 * The endpoints that a name's addresses stand for: as many as the larger family has, each with an address of the other
 * to race against, IPv6 first (RFC 8305 section 4). All addresses are used. Neither their order nor how they are
 * written matters; an endpoint has the id of its address in the larger family, and keeps it while that is there.
 */
export function pairFamilies(hosts: Iterable<string>, port: number): readonly DiscoveredEndpoint[] {
  const unique = new Set([...hosts].map((host) => (isIPv6(host) ? canonicalHost(host) : host)));
  const all = [...unique].sort();
  const v4 = all.filter(isIPv4);
  const v6 = all.filter(isIPv6);
  const larger = v4.length >= v6.length ? v4 : v6;
  return larger.map((named, index) => {
    // Of a family without addresses there is none to pair with.
    const pair = [v6[index % v6.length], v4[index % v4.length]].filter((host) => host !== undefined);
    return { id: formatHostPort(named, port), addresses: pair.map((host) => ({ kind: 'ip', host, port })) };
  });
}
