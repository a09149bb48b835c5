import type { Address } from '../core/address.js';
import type { Clock } from '../core/clock.js';
import { type DnsSettings, dnsSource } from './dns.js';
import { systemLookups } from './resolver.js';
import type { DiscoverySource } from './source.js';
import { staticSource } from './static.js';

export interface SourceOptions {
  readonly dns: DnsSettings & { readonly servers?: readonly string[] | undefined };
  readonly clock: Clock;
}

/** The source for an upstream as it was configured. */
export function createSource(address: Address, { dns, clock }: SourceOptions): DiscoverySource {
  return address.kind === 'name'
    ? dnsSource(address, { settings: dns, lookups: systemLookups(dns.servers), clock })
    : staticSource(address);
}
