import { type Address, formatAddress, type SocketAddress } from '../core/address.js';
import type { DiscoverySource } from './source.js';

/** An upstream that needs no looking up: one endpoint, for ever, with the upstream's own text as its id. */
export function staticSource(address: Address, addresses: readonly SocketAddress[]): DiscoverySource {
  const upstream = formatAddress(address);
  return {
    upstream,
    async *watch() {
      yield { kind: 'endpoints', endpoints: [{ id: upstream, addresses }] };
    },
  };
}
