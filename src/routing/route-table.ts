/** The routes of a proxy, found by what a connection says: of thousands only the few are looked at that may be for it. */
import type { Cidr } from '../core/cidr.js';
import type { NamePattern } from './name-pattern.js';
import { obstacle, type Route, type RouteKey, scoreOf } from './route.js';

export interface Explained {
  readonly route: Route;
  /** Why it is not this one, in words; `undefined` of the one that the connection takes. */
  readonly passedOver: string | undefined;
}

/** Immutable. */
export class RouteTable {
  readonly routes: readonly Route[];
  /** By which the first of two routes that are equally specific is known. */
  readonly #places: ReadonlyMap<Route, number>;
  readonly #serverNames = new NameIndex();
  readonly #hosts = new NameIndex();
  readonly #destinations = new BlockIndex();
  readonly #sources = new BlockIndex();
  readonly #identities = new Map<string, Route[]>();
  readonly #listeners = new Map<string, Route[]>();
  readonly #others: Route[] = [];

  constructor(routes: readonly Route[]) {
    this.routes = routes;
    this.#places = new Map(routes.map((route, place) => [route, place]));
    for (const route of routes) this.#index(route);
  }

  /** The most specific one that is for this connection; the first of those where several are. */
  find(key: RouteKey): Route | undefined {
    const best = new Best(key, this.#places);
    this.#serverNames.offer(key.serverName, best);
    this.#hosts.offer(key.host, best);
    this.#destinations.offer(key.destination?.bytes, best);
    this.#sources.offer(key.source?.bytes, best);
    if (key.identity !== undefined) best.offer(this.#identities.get(key.identity));
    best.offer(this.#listeners.get(key.listener));
    best.offer(this.#others);
    return best.route;
  }

  /** All of them, the one that the connection takes first, with what keeps it from each of the others. */
  explain(key: RouteKey): readonly Explained[] {
    const taken = this.find(key);
    const others = this.routes.filter((route) => route !== taken);
    const explained = others.map((route) => ({
      route,
      passedOver: obstacle(route, key) ?? `${taken?.name} is more specific, or comes before it`,
    }));
    return taken === undefined ? explained : [{ route: taken, passedOver: undefined }, ...explained];
  }

  /** Under the first of what it asks for that few other routes ask for as well. */
  #index(route: Route): void {
    const { serverNames, hosts, destinations, sources, identities, listeners } = route.match;
    if (serverNames) this.#serverNames.add(serverNames, route);
    else if (hosts) this.#hosts.add(hosts, route);
    else if (destinations)
      this.#destinations.add(
        destinations.map(({ cidr }) => cidr),
        route,
      );
    else if (sources) this.#sources.add(sources, route);
    else if (identities) for (const identity of identities) addTo(this.#identities, identity, route);
    else if (listeners) for (const listener of listeners) addTo(this.#listeners, listener, route);
    else this.#others.push(route);
  }
}

/** The best so far of what is offered for one connection. */
class Best {
  readonly #key: RouteKey;
  readonly #places: ReadonlyMap<Route, number>;
  #score = -1;
  route: Route | undefined;

  constructor(key: RouteKey, places: ReadonlyMap<Route, number>) {
    this.#key = key;
    this.#places = places;
  }

  offer(routes: readonly Route[] | undefined): void {
    if (routes === undefined) return;
    for (const route of routes) {
      const score = scoreOf(route, this.#key);
      if (score > this.#score || (score >= 0 && score === this.#score && this.#isBefore(route))) {
        this.#score = score;
        this.route = route;
      }
    }
  }

  #isBefore(route: Route): boolean {
    return this.route !== undefined && (this.#places.get(route) ?? 0) < (this.#places.get(this.route) ?? 0);
  }
}

class NameIndex {
  readonly #exact = new Map<string, Route[]>();
  /** Wildcards and suffixes, by the name that they are below. */
  readonly #below = new Map<string, Route[]>();
  readonly #any: Route[] = [];

  add(patterns: readonly NamePattern[], route: Route): void {
    for (const pattern of patterns) {
      if (pattern.kind === 'exact') addTo(this.#exact, pattern.name, route);
      else if (pattern.kind === 'any') this.#any.push(route);
      else addTo(this.#below, pattern.base, route);
    }
  }

  offer(name: string | undefined, best: Best): void {
    if (name === undefined) return;
    best.offer(this.#exact.get(name));
    if (this.#below.size > 0) {
      for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1))
        best.offer(this.#below.get(name.slice(dot + 1)));
    }
    best.offer(this.#any);
  }
}

type BlockKey = number | string;

/** Blocks of addresses by their size: of each size one look finds those that an address is in. */
class BlockIndex {
  readonly #sizes: { readonly bytes: number; readonly bits: number; readonly routes: Map<BlockKey, Route[]> }[] = [];

  add(cidrs: readonly Cidr[], route: Route): void {
    for (const { network, bits } of cidrs) {
      let size = this.#sizes.find((one) => one.bytes === network.length && one.bits === bits);
      if (size === undefined) {
        size = { bytes: network.length, bits, routes: new Map() };
        this.#sizes.push(size);
      }
      addTo(size.routes, blockKey(network, bits), route);
    }
  }

  offer(address: Uint8Array | undefined, best: Best): void {
    if (address === undefined) return;
    for (const { bytes, bits, routes } of this.#sizes) {
      if (bytes === address.length) best.offer(routes.get(blockKey(address, bits)));
    }
  }
}

/** The leading bits of an address, as something that a map can be asked for. */
function blockKey(address: Uint8Array, bits: number): BlockKey {
  if (address.length === 4) return bits === 0 ? 0 : word(address, 0) >>> (32 - bits);
  let key = '';
  for (let at = 0, left = bits; left > 0; at += 4, left -= 32) {
    key += `${left >= 32 ? word(address, at) : word(address, at) >>> (32 - left)}:`;
  }
  return key;
}

function word(bytes: Uint8Array, at: number): number {
  const [first = 0, second = 0, third = 0, fourth = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return ((first << 24) | (second << 16) | (third << 8) | fourth) >>> 0;
}

function addTo<K>(map: Map<K, Route[]>, key: K, route: Route): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [route]);
  else if (known.at(-1) !== route) known.push(route);
}
