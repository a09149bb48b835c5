/**
 * From a name to its addresses and how long they may be kept. Asked in this order: `localhost` is the loopback
 * interface without a question (RFC 6761 section 6.3); the hosts file; DNS, which alone tells a time to live; and where
 * DNS does not know the name, the system's resolver, which knows search domains and mDNS.
 */
import { promises as dns, type RecordWithTtl } from 'node:dns';
import { describeError, MeshproxyError } from '../core/errors.js';
import { HostsFile } from './hosts.js';

export interface Answer {
  /** Never empty; both families, in no particular order. */
  readonly addresses: readonly string[];
  /** ms; `undefined` where the answer came without a time to live. */
  readonly ttlMs: number | undefined;
}

/** The questions that can be asked; each rejects where there is no answer. */
export interface Lookups {
  hosts(name: string): Promise<readonly string[]>;
  a(name: string): Promise<readonly RecordWithTtl[]>;
  aaaa(name: string): Promise<readonly RecordWithTtl[]>;
  /** The system's resolver; absent where name servers were configured, which then have the last word. */
  system?(name: string): Promise<readonly string[]>;
}

/** Per try and server. Twice that is still within what a start or a reload may wait for. */
const DNS_TIMEOUT_MS = 2000;
const DNS_TRIES = 2;

/** Lookups on this machine, by `servers` (address or address:port) or else its own name servers. */
export function systemLookups(servers?: readonly string[]): Lookups {
  const resolver = new dns.Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES });
  if (servers) resolver.setServers([...servers]);
  const hosts = new HostsFile();
  const lookups: Lookups = {
    hosts: (name) => hosts.addressesOf(name),
    a: (name) => resolver.resolve4(name, { ttl: true }),
    aaaa: (name) => resolver.resolve6(name, { ttl: true }),
  };
  if (servers) return lookups;
  const system = async (name: string): Promise<string[]> => {
    const found = await dns.lookup(name, { all: true });
    return found.map(({ address }) => address);
  };
  return { ...lookups, system };
}

/** Resolves `name`. Rejects with a `MeshproxyError` `resolve` that says why and what to check. */
export async function resolveName(name: string, lookups: Lookups): Promise<Answer> {
  if (/(^|\.)localhost\.?$/.test(name)) return { addresses: ['::1', '127.0.0.1'], ttlMs: undefined };
  const known = await lookups.hosts(name);
  if (known.length > 0) return { addresses: known, ttlMs: undefined };
  const [v4, v6] = await Promise.allSettled([lookups.a(name), lookups.aaaa(name)]);
  const records = [v4, v6].flatMap((family) => (family.status === 'fulfilled' ? family.value : []));
  if (records.length > 0) {
    const ttlMs = 1000 * Math.min(...records.map(({ ttl }) => ttl));
    return { addresses: records.map(({ address }) => address), ttlMs };
  }
  const fromSystem = await lookups.system?.(name).catch(() => []);
  if (fromSystem && fromSystem.length > 0) return { addresses: fromSystem, ttlMs: undefined };
  throw unresolved(name, [v4, v6]);
}

function unresolved(name: string, families: readonly PromiseSettledResult<unknown>[]): MeshproxyError {
  const reasons = families.map((family) => (family.status === 'rejected' ? family.reason : undefined));
  // "No such name" and "no address of this family" are answers; a server that failed is the more telling reason.
  const isAnswer = (reason: unknown): boolean => /ENOTFOUND|ENODATA/.test(String(Object(reason).code));
  const cause = reasons.find((reason) => reason !== undefined && !isAnswer(reason)) ?? reasons[0];
  const why = cause === undefined ? 'the name has no address' : describeError(cause);
  return new MeshproxyError('resolve', `cannot resolve ${name}: ${why}`, {
    cause,
    hint: `check the spelling; getent hosts ${name} asks this machine's resolver`,
  });
}
