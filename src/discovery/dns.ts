/** An upstream that is a name: resolved again whenever its answer has expired. */
import { isIP } from 'node:net';
import { formatAddress, type NameAddress } from '../core/address.js';
import { pairFamilies } from './endpoints.js';
import { type DnsOptions, GONE, poll } from './poll.js';
import { type Answer, resolveName } from './resolver.js';
import type { DiscoverySnapshot, DiscoverySource } from './source.js';

/** Every failure is yielded; after one, the endpoints are told again. */
export function dnsSource(address: NameAddress, options: DnsOptions): DiscoverySource {
  return { upstream: formatAddress(address), watch: (signal) => watch(address, options, signal) };
}

/** Of a name that is gone. */
const NOTHING: Pick<Answer, 'hosts' | 'unanswered'> = { hosts: [] };

async function* watch(
  { name, port }: NameAddress,
  options: DnsOptions,
  signal: AbortSignal,
): AsyncGenerator<DiscoverySnapshot> {
  let shown: string | undefined;
  let known: readonly string[] = [];
  const lookUp = async (stop: AbortSignal) => {
    const answer = await resolveName(name, options.lookups, stop);
    return { ...answer, isEmpty: answer.hosts.length === 0 };
  };
  for await (const polled of poll(name, lookUp, options, signal)) {
    if (polled.kind === 'failed') {
      shown = undefined;
      yield polled;
      continue;
    }
    const { hosts, unanswered } = polled.kind === 'gone' ? NOTHING : polled.answer;
    // Of a family that could not be told, what was there before: it was not taken out.
    const kept = unanswered === undefined ? [] : known.filter((host) => isIP(host) === unanswered.family);
    const incomplete = kept.length === 0 ? undefined : unanswered?.error;
    known = [...hosts, ...kept];
    const endpoints = pairFamilies(known, port);
    const found = JSON.stringify(endpoints);
    const why = polled.kind === 'gone' ? GONE : 'the name has no address';
    if (found !== shown)
      yield { kind: 'endpoints', endpoints, ...(endpoints.length === 0 && { why }), ...(incomplete && { incomplete }) };
    else yield incomplete === undefined ? { kind: 'unchanged' } : { kind: 'failed', error: incomplete };
    shown = found;
  }
}
