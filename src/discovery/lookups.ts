/** How this machine looks names up: its hosts file, its name servers or those configured, its system's resolver. */
import { lookup, Resolver } from 'node:dns/promises';
import { queryDns } from './dns-query.js';
import { Gate } from './gate.js';
import { HostsFile } from './hosts.js';
import { readSrv, type SrvLookups } from './srv-records.js';

/** Per server, for the first try; a second one is allowed twice that. A resolver's own search takes one second or two. */
const DNS_TIMEOUT_MS = 2000;
const DNS_TRIES = 2;

/** At a time, for one upstream: SRV records may name a thousand hosts, and each question is a socket. */
const MAX_QUERIES = 32;

/** Lookups by `servers` (address or address:port), or else by the machine's own name servers and its resolver. */
export function systemLookups(servers?: readonly string[]): SrvLookups {
  const hosts = new HostsFile();
  const gate = new Gate(MAX_QUERIES);
  const lookups: SrvLookups = {
    hosts: (name) => hosts.addressesOf(name),
    a: (name, signal) => query(servers, gate, signal, (resolver) => resolver.resolve4(name, { ttl: true })),
    aaaa: (name, signal) => query(servers, gate, signal, (resolver) => resolver.resolve6(name, { ttl: true })),
    srv: (name, signal) =>
      gate.run(async () => readSrv(await queryDns(servers ?? new Resolver().getServers(), name, 'SRV', signal), name)),
  };
  return servers ? lookups : { ...lookups, system: shared(askSystem) };
}

/** A resolver for each query: only so does Node see that the machine has other name servers now. */
function query<T>(
  servers: readonly string[] | undefined,
  gate: Gate,
  signal: AbortSignal,
  ask: (resolver: Resolver) => Promise<T>,
): Promise<T> {
  return gate.run(() => cancellable(servers, signal, ask));
}

async function cancellable<T>(
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
