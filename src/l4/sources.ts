/** Where clients come from, and how often each of them came of late. */
import { type SocketAddress, unmapped } from '../core/address.js';

/** Groups of an IPv6 address that a client is known by: a home or a machine has a /64, and may take any address of it. */
const NETWORK_GROUPS = 4;
const GROUPS = 8;

/** What counts as one client: an IPv4 address, the /64 of an IPv6 one, all of a unix socket together. */
export function sourceOf(address: SocketAddress | undefined): string {
  if (address?.kind !== 'ip') return address?.kind ?? 'unknown';
  const host = unmapped(address.host);
  return host.includes(':') ? networkOf(host) : host;
}

/** @param host as sockets report it: `::` stands for zeroes */
function networkOf(host: string): string {
  const [head = '', tail] = host.split('::');
  const before = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    while (before.length + after.length < GROUPS) before.push('0');
    before.push(...after);
  }
  return `${before.slice(0, NETWORK_GROUPS).join(':')}::/64`;
}

/** A source that has been quiet for longer is no part of those that are compared, ms. */
const FORGET_MS = 10_000;
/** In which a connection comes to count half as much, ms: as a moment ago matters, and a minute ago does not. */
const HALF_LIFE_MS = 2000;
/** Told apart at a time, the latest. Of more, each comes next to never. */
const MOST_SOURCES = 1024;
/** Of the mean, how often a source may come and still be one that harms nobody. */
const QUIET = 0.5;

interface Share {
  /** Connections as of `at`; each counts less the older it is. */
  count: number;
  at: number;
}

/** How many connections came from whom of late, in memory that is bounded whoever comes. */
export class Shares {
  /** The one that came last is the last. */
  readonly #shares = new Map<string, Share>();
  readonly #total: Share = { count: 0, at: 0 };

  /** How many sources are told apart now. */
  get size(): number {
    return this.#shares.size;
  }

  /** A connection came from there. */
  add(source: string, now: number): void {
    this.#forgetOld(now);
    const share = this.#shares.get(source) ?? { count: 0, at: now };
    this.#shares.delete(source);
    if (this.#shares.size === MOST_SOURCES) this.#forgetOldest(now);
    this.#shares.set(source, share);
    addOne(share, now);
    addOne(this.#total, now);
  }

  /** Whether it came far less often than the mean of all: then it is not its doing that there are too many. */
  isQuiet(source: string, now: number): boolean {
    this.#forgetOld(now);
    const share = this.#shares.get(source);
    const own = share === undefined ? 0 : countAt(share, now);
    return own * this.#shares.size < QUIET * countAt(this.#total, now);
  }

  #forgetOld(now: number): void {
    for (const { at } of this.#shares.values()) {
      // A clock that went back has them forgotten as well.
      if (Math.abs(now - at) < FORGET_MS) return;
      this.#forgetOldest(now);
    }
  }

  #forgetOldest(now: number): void {
    const [oldest] = this.#shares;
    if (oldest === undefined) return;
    const [source, share] = oldest;
    this.#shares.delete(source);
    const left = countAt(this.#total, now) - countAt(share, now);
    this.#total.at = now;
    // Rounding must leave no trace of those that are gone.
    this.#total.count = this.#shares.size === 0 ? 0 : Math.max(0, left);
  }
}

function countAt({ count, at }: Share, now: number): number {
  return count * 2 ** (Math.min(0, at - now) / HALF_LIFE_MS);
}

function addOne(share: Share, now: number): void {
  share.count = countAt(share, now) + 1;
  share.at = now;
}
