/** An upstream that is a name: resolved again whenever its answer has expired. */
import { formatAddress, type NameAddress } from '../core/address.js';
import { pairFamilies } from './endpoints.js';
import { type DnsOptions, GONE, poll } from './poll.js';
import { resolveName } from './resolver.js';
import type { DiscoverySnapshot, DiscoverySource } from './source.js';

/** Every failure is yielded; after one, the endpoints are told again. */
export function dnsSource(address: NameAddress, options: DnsOptions): DiscoverySource {
  return { upstream: formatAddress(address), watch: (signal) => watch(address, options, signal) };
}

async function* watch(
  { name, port }: NameAddress,
  options: DnsOptions,
  signal: AbortSignal,
): AsyncGenerator<DiscoverySnapshot> {
  let shown: string | undefined;
  const lookUp = async (stop: AbortSignal) => {
    const { hosts, ttlMs } = await resolveName(name, options.lookups, stop);
    return { hosts, ttlMs, isEmpty: hosts.length === 0 };
  };
  for await (const polled of poll(name, lookUp, options, signal)) {
    if (polled.kind === 'failed') {
      shown = undefined;
      yield polled;
      continue;
    }
    const endpoints = polled.kind === 'gone' ? [] : pairFamilies(polled.answer.hosts, port);
    const found = JSON.stringify(endpoints);
    const why = polled.kind === 'gone' ? GONE : 'the name has no address';
    if (found === shown) yield { kind: 'unchanged' };
    else yield { kind: 'endpoints', endpoints, ...(endpoints.length === 0 && { why }) };
    shown = found;
  }
}
