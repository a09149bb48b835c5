/** A route: which connections it is for, and to which service they go. */
import { type Cidr, contains, formatCidr } from '../core/cidr.js';
import { formatNamePattern, matchesName, type NamePattern, specificity } from './name-pattern.js';

/** Addresses, and of those all ports or one. */
export interface Destination {
  readonly cidr: Cidr;
  readonly port: number | undefined;
}

/** All that is given has to hold; of what is a list, one of it. Lists are never empty. */
export interface Match {
  readonly listeners?: readonly string[];
  readonly destinations?: readonly Destination[];
  /** Of TLS. */
  readonly serverNames?: readonly NamePattern[];
  /** Of HTTP, SOCKS and CONNECT. */
  readonly hosts?: readonly NamePattern[];
  readonly protocols?: readonly string[];
  readonly sources?: readonly Cidr[];
  /** Of the client, where it has proven one. */
  readonly identities?: readonly string[];
}

export interface Route {
  readonly name: string;
  readonly match: Match;
  readonly service: string;
}

/** What is known of a connection when it has to be decided where it goes. */
export interface RouteKey {
  readonly listener: string;
  /** Where its client wanted to go. */
  readonly destination?: { readonly host: string; readonly bytes: Uint8Array; readonly port: number } | undefined;
  readonly serverName?: string | undefined;
  readonly host?: string | undefined;
  readonly protocols?: readonly string[] | undefined;
  readonly source?: { readonly host: string; readonly bytes: Uint8Array } | undefined;
  readonly identity?: string | undefined;
}

/** One condition of a route: whether it holds, and how specific that is; 0 where it does not hold. */
interface Condition {
  readonly what: string;
  /** What it asks for, in words. */
  readonly wanted: (match: Match) => string | undefined;
  /** What the connection has, in words. */
  readonly has: (key: RouteKey) => string | undefined;
  /** Between 1 and `most`, or 0 where it does not hold; 0 as well where it is not given. */
  readonly holds: (match: Match, key: RouteKey) => number;
  readonly isGiven: (match: Match) => boolean;
  /** Bits that it takes in the score of a route. */
  readonly bits: number;
}

/**
 * In this order: where several routes hold, that with the more specific name wins, then that with the more specific
 * destination, and so on; where all is equal, the first one. (Envoy has ports and addresses before names; but a name says
 * more of what the client wants than the address which it found for that name.)
 */
const CONDITIONS: readonly Condition[] = [
  {
    what: 'server name',
    wanted: ({ serverNames }) => serverNames?.map(formatNamePattern).join(', '),
    has: ({ serverName }) => serverName,
    holds: ({ serverNames = [] }, { serverName }) => bestName(serverNames, serverName),
    isGiven: ({ serverNames }) => serverNames !== undefined,
    bits: 8,
  },
  {
    what: 'host',
    wanted: ({ hosts }) => hosts?.map(formatNamePattern).join(', '),
    has: ({ host }) => host,
    holds: ({ hosts = [] }, { host }) => bestName(hosts, host),
    isGiven: ({ hosts }) => hosts !== undefined,
    bits: 8,
  },
  {
    what: 'destination',
    wanted: ({ destinations }) => destinations?.map(formatDestination).join(', '),
    has: ({ destination }) => destination && `${destination.host}:${destination.port}`,
    holds: ({ destinations = [] }, { destination }) => bestDestination(destinations, destination),
    isGiven: ({ destinations }) => destinations !== undefined,
    bits: 9,
  },
  {
    what: 'source',
    wanted: ({ sources }) => sources?.map(formatCidr).join(', '),
    has: ({ source }) => source?.host,
    holds: ({ sources = [] }, { source }) => bestCidr(sources, source?.bytes),
    isGiven: ({ sources }) => sources !== undefined,
    bits: 8,
  },
  {
    what: 'identity',
    wanted: ({ identities }) => identities?.join(', '),
    has: ({ identity }) => identity,
    holds: ({ identities = [] }, { identity }) => (identity !== undefined && identities.includes(identity) ? 1 : 0),
    isGiven: ({ identities }) => identities !== undefined,
    bits: 1,
  },
  {
    what: 'protocol',
    wanted: ({ protocols }) => protocols?.join(', '),
    has: ({ protocols }) => protocols?.join(', '),
    holds: ({ protocols = [] }, key) => (key.protocols?.some((one) => protocols.includes(one)) ? 1 : 0),
    isGiven: ({ protocols }) => protocols !== undefined,
    bits: 1,
  },
  {
    what: 'listener',
    wanted: ({ listeners }) => listeners?.join(', '),
    has: ({ listener }) => listener,
    holds: ({ listeners = [] }, { listener }) => (listeners.includes(listener) ? 1 : 0),
    isGiven: ({ listeners }) => listeners !== undefined,
    bits: 1,
  },
];

/** How specific a route is for a connection, to be compared with others for the same one; below 0 where it is not for it. */
export function scoreOf({ match }: Route, key: RouteKey): number {
  let score = 0;
  for (const { isGiven, holds, bits } of CONDITIONS) {
    const specific = isGiven(match) ? holds(match, key) : 0;
    if (specific === 0 && isGiven(match)) return -1;
    // By arithmetic: in all they are more than 32 bits.
    score = score * 2 ** bits + specific;
  }
  return score;
}

/** The first condition that keeps a route from being for a connection, in words; `undefined` where none does. */
export function obstacle({ match }: Route, key: RouteKey): string | undefined {
  for (const { what, wanted, has, holds, isGiven } of CONDITIONS) {
    if (!isGiven(match) || holds(match, key) > 0) continue;
    return `${what} is ${has(key) ?? 'not known'}, and it is for ${wanted(match) ?? 'none'}`;
  }
  return undefined;
}

/** What a route asks for, in words. */
export function describeMatch(match: Match): string {
  const words = CONDITIONS.flatMap(({ what, wanted }) => {
    const text = wanted(match);
    return text === undefined ? [] : [`${what} ${text}`];
  });
  return words.length === 0 ? 'every connection' : words.join('; ');
}

function bestName(patterns: readonly NamePattern[], name: string | undefined): number {
  if (name === undefined) return 0;
  return best(patterns, (pattern) => (matchesName(pattern, name) ? specificity(pattern) : 0));
}

/** A block of all addresses is more specific than none. */
function bestCidr(cidrs: readonly Cidr[], address: Uint8Array | undefined): number {
  if (address === undefined) return 0;
  return best(cidrs, (cidr) => (contains(cidr, address) ? 1 + cidr.bits : 0));
}

function bestDestination(destinations: readonly Destination[], destination: RouteKey['destination']): number {
  if (destination === undefined) return 0;
  return best(destinations, ({ cidr, port }) => {
    if (port !== undefined && port !== destination.port) return 0;
    return contains(cidr, destination.bytes) ? 2 * (1 + cidr.bits) + (port === undefined ? 0 : 1) : 0;
  });
}

function best<T>(items: readonly T[], specific: (item: T) => number): number {
  let most = 0;
  for (const item of items) most = Math.max(most, specific(item));
  return most;
}

export function formatDestination({ cidr, port }: Destination): string {
  const address = formatCidr(cidr);
  if (port === undefined) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
