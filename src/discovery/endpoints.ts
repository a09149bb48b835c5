import { isIPv6 } from 'node:net';
import { formatHostPort } from '../core/address.js';
import type { DiscoveredEndpoint } from './source.js';

/**
 * The endpoints that a name's addresses stand for: as many as the larger family has, each with an address of the other
 * to race against, IPv6 first (RFC 8305 section 4). All addresses are used; the order of the answer does not matter,
 * and an address keeps its endpoint's id as long as it is there.
 */
export function pairFamilies(addresses: Iterable<string>, port: number): readonly DiscoveredEndpoint[] {
  const all = [...new Set(addresses)].sort();
  const v6 = all.filter((host) => isIPv6(host));
  const v4 = all.filter((host) => !isIPv6(host));
  const larger = v4.length >= v6.length ? v4 : v6;
  return larger.map((named, index) => {
    const pair = [v6[index % v6.length], v4[index % v4.length]].filter((host) => host !== undefined);
    return { id: formatHostPort(named, port), addresses: pair.map((host) => ({ kind: 'ip', host, port })) };
  });
}
