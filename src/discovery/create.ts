/** The source for an upstream, whichever way it was written. */
import { isLoopback, type SocketAddress } from '../core/address.js';
import type { Clock } from '../core/clock.js';
import type { Upstream } from '../core/upstream.js';
import { dnsSource } from './dns.js';
import { fileSource } from './file.js';
import { systemLookups } from './lookups.js';
import type { DnsSettings } from './poll.js';
import type { DiscoveredEndpoint, DiscoverySource } from './source.js';
import { srvSource } from './srv.js';
import { staticSource } from './static.js';

export interface SourceOptions {
  /** `servers`: name servers to ask, as address or address:port; the machine's own where there are none. */
  readonly dns: DnsSettings & { readonly servers?: readonly string[] | undefined };
  readonly clock: Clock;
  /** Reads a file of endpoints. Rejects with a `MeshproxyError` that says what is wrong with it, and where. */
  readEndpoints(path: string): Promise<readonly DiscoveredEndpoint[]>;
}

export function createSource(upstream: Upstream, { dns, clock, readEndpoints }: SourceOptions): DiscoverySource {
  const asking = { settings: dns, lookups: systemLookups(dns.servers), clock };
  switch (upstream.kind) {
    case 'ip':
    case 'unix':
      return staticSource(upstream, [upstream]);
    case 'any':
      // This machine. What listens on all upstreames or on IPv4's loopback answers at the first, and that is most; a
      // server on `::1` alone costs one refusal.
      return staticSource(upstream, loopback(upstream.port, ['127.0.0.1', '::1']));
    case 'name':
      // RFC 6761 section 6.3: `localhost` is loopback and nobody is asked. IPv6 first, as the system's resolver has it
      // for a server that is told to listen there.
      if (isLoopback(upstream)) return staticSource(upstream, loopback(upstream.port, ['::1', '127.0.0.1']));
      return dnsSource(upstream, asking);
    case 'srv':
      return srvSource(upstream, asking);
    case 'file':
      return fileSource(upstream, { read: readEndpoints, clock });
  }
}

function loopback(port: number, hosts: readonly string[]): readonly SocketAddress[] {
  return hosts.map((host) => ({ kind: 'ip', host, port }));
}
