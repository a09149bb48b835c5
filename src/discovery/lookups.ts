/** How this machine looks names up: its hosts file, its name servers or those configured, its system's resolver. */
import { lookup, Resolver } from 'node:dns/promises';
import { HostsFile } from './hosts.js';
import type { Lookups } from './resolver.js';

/** Per server, for the first try; a second one is allowed twice that. A resolver's own search takes one second or two. */
const DNS_TIMEOUT_MS = 2000;
const DNS_TRIES = 2;

/** Lookups by `servers` (address or address:port), or else by the machine's own name servers and its resolver. */
export function systemLookups(servers?: readonly string[]): Lookups {
  const hosts = new HostsFile();
  const lookups: Lookups = {
    hosts: (name) => hosts.addressesOf(name),
    a: (name, signal) => query(servers, signal, (resolver) => resolver.resolve4(name, { ttl: true })),
    aaaa: (name, signal) => query(servers, signal, (resolver) => resolver.resolve6(name, { ttl: true })),
  };
  return servers ? lookups : { ...lookups, system: shared(askSystem) };
}

/** A resolver for each query: only so does Node see that the machine has other name servers now. */
async function query<T>(
  servers: readonly string[] | undefined,
  signal: AbortSignal,
  ask: (resolver: Resolver) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES });
  if (servers) resolver.setServers(servers);
  const cancel = (): void => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await ask(resolver);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

async function askSystem(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true });
  return found.map(({ address }) => address);
}

/**
 * `ask`, but never twice at a time for one name: getaddrinfo cannot be called off, and blocks one of the few threads
 * that Node has for such things.
 */
export function shared<T>(ask: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const asked = new Map<string, Promise<T>>();
  return (name) => {
    const pending = asked.get(name) ?? ask(name).finally(() => asked.delete(name));
    asked.set(name, pending);
    return pending;
  };
}
