/** An upstream that needs no looking up: it is its own endpoint, for ever. */
import { type AnyAddress, formatAddress, type SocketAddress } from '../core/address.js';
import type { DiscoverySource } from './source.js';

export function staticSource(address: SocketAddress | AnyAddress): DiscoverySource {
  const upstream = formatAddress(address);
  return {
    upstream,
    async *watch() {
      yield { kind: 'endpoints', endpoints: [{ id: upstream, addresses: addressesOf(address) }] };
    },
  };
}

/** `:80` is this machine: most servers listen on IPv4's loopback, so that is tried first, and IPv6's beside it. */
function addressesOf(address: SocketAddress | AnyAddress): readonly SocketAddress[] {
  if (address.kind !== 'any') return [address];
  const { port } = address;
  return [
    { kind: 'ip', host: '127.0.0.1', port },
    { kind: 'ip', host: '::1', port },
  ];
}
