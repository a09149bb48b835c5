/** Connections to endpoints that are no longer there, of a service that does not let them run on. */
import type { Endpoint } from '../balancer/picker.js';
import { formatAddress } from '../core/address.js';
import type { LiveConnection } from './live.js';

/**
 * Ends the connections of `service` to addresses that none of `endpoints` has. By address: where an instance has one of
 * each family, these may be paired otherwise, and its endpoint be called otherwise, when another instance goes.
 */
export function cutRemoved(
  connections: Iterable<LiveConnection>,
  service: string,
  endpoints: readonly Endpoint[],
): void {
  const byAddress = new Map<string, LiveConnection[]>();
  for (const live of connections) {
    if (live.service !== service || live.upstream === undefined) continue;
    const others = byAddress.get(live.upstream);
    if (others) others.push(live);
    else byAddress.set(live.upstream, [live]);
  }
  if (byAddress.size === 0) return;
  for (const { addresses } of endpoints) for (const address of addresses) byAddress.delete(formatAddress(address));
  for (const [address, gone] of byAddress) for (const live of gone) live.cut('endpoint-removed', address);
}
