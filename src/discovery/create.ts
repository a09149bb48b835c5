/** The source for an upstream, whichever way it was written. */
import { type Address, isLoopback, type SocketAddress } from '../core/address.js';
import type { Clock } from '../core/clock.js';
import { type DnsSettings, dnsSource } from './dns.js';
import { systemLookups } from './lookups.js';
import type { DiscoverySource } from './source.js';
import { staticSource } from './static.js';

export interface SourceOptions {
  /** `servers`: name servers to ask, as address or address:port; the machine's own where there are none. */
  readonly dns: DnsSettings & { readonly servers?: readonly string[] | undefined };
  readonly clock: Clock;
}

export function createSource(address: Address, { dns, clock }: SourceOptions): DiscoverySource {
  switch (address.kind) {
    case 'ip':
    case 'unix':
      return staticSource(address, [address]);
    case 'any':
      // This machine. What listens on all addresses or on IPv4's loopback answers at the first, and that is most; a
      // server on `::1` alone costs one refusal.
      return staticSource(address, loopback(address.port, ['127.0.0.1', '::1']));
    case 'name':
      // RFC 6761 section 6.3: `localhost` is loopback and nobody is asked. IPv6 first, as the system's resolver has it
      // for a server that is told to listen there.
      if (isLoopback(address)) return staticSource(address, loopback(address.port, ['::1', '127.0.0.1']));
      return dnsSource(address, { settings: dns, lookups: systemLookups(dns.servers), clock });
  }
}

function loopback(port: number, hosts: readonly string[]): readonly SocketAddress[] {
  return hosts.map((host) => ({ kind: 'ip', host, port }));
}
