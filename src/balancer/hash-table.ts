/**
 * Consistent hashing: an order of preference among endpoints for each key, which hardly changes when endpoints do. A
 * table is immutable and its memory shared: main builds it, all threads read it. Tables hold all endpoints, also those
 * that take no connections now: these are passed over by walking on, so that only their own keys move.
 */

/** What a table is built from. */
export interface Hashable {
  readonly id: string;
  /** 1 to 1000; 1 where absent. */
  readonly weight?: number;
}

export interface HashTable {
  /** Endpoints; they are named by their place in the list that the table was built from. */
  readonly count: number;
  /** Neighbouring places are different choices for the same key; behind the last comes place 0. */
  readonly places: number;
  readonly bytes: number;
  /** The place that `hash` (0 to 2^32 - 1) falls on. */
  placeOf(hash: number): number;
  /** The endpoint at `place`. */
  at(place: number): number;
}

/** No endpoint is left. */
export const NONE = -1;

/**
 * So many places are looked at before the endpoints are gone through one by one: of endpoints of which nine in ten are
 * out, one key in a thousand gets that far, and the load is spread by the table for all others.
 */
const MOST_PLACES = 64;

/** The endpoints in a key's order of preference, one after the other, without an allocation. One for each thread and table. */
export class HashWalk {
  readonly #table: HashTable;
  /** Those that the table has offered for this key. */
  readonly #offered = new Int32Array(MOST_PLACES);
  #offers = 0;
  #place = 0;
  #looked = 0;
  /** Of the second part: how many of all endpoints have been gone through. */
  #listed = 0;

  constructor(table: HashTable) {
    this.#table = table;
  }

  /** The first choice for `hash`, or `NONE` of an empty table. */
  first(hash: number): number {
    if (this.#table.count === 0) return NONE;
    this.#place = this.#table.placeOf(hash);
    const endpoint = this.#table.at(this.#place);
    this.#offered[0] = endpoint;
    this.#offers = 1;
    this.#looked = 1;
    this.#listed = 0;
    return endpoint;
  }

  /**
   * The next choice. Every endpoint comes; first those that the table names, each once, then all in turn, so that after
   * at most `count` + 64 of them comes `NONE`.
   */
  next(): number {
    const { count, places } = this.#table;
    while (this.#offers < count && this.#looked < Math.min(MOST_PLACES, places)) {
      this.#place = this.#place + 1 === places ? 0 : this.#place + 1;
      this.#looked += 1;
      const endpoint = this.#table.at(this.#place);
      if (this.#wasOffered(endpoint)) continue;
      this.#offered[this.#offers] = endpoint;
      this.#offers += 1;
      return endpoint;
    }
    // All that there are have been offered.
    if (this.#offers === count || this.#listed === count) return NONE;
    this.#listed += 1;
    return (this.#table.at(this.#place) + this.#listed) % count;
  }

  #wasOffered(endpoint: number): boolean {
    for (let index = 0; index < this.#offers; index += 1) {
      if (this.#offered[index] === endpoint) return true;
    }
    return false;
  }
}

/**
 * Bounded load (Mirrokni, Thorup, Zadimoghaddam 2016): how many connections an endpoint may have when one more comes to
 * a service that has `outstanding` in all. With more it is passed over, and the key goes to its next choice.
 * @param share its weight as a share of all weights
 * @param factor above 1; HAProxy's hash-balance-factor, which it advises to be 1.25 to 2 and has off by default, as Envoy does
 */
export function loadLimit(outstanding: number, share: number, factor: number): number {
  return Math.ceil(factor * (outstanding + 1) * share);
}

/** The factor where bounded load is asked for without one. */
export const DEFAULT_LOAD_FACTOR = 1.5;

/** In memory that threads share. Two bytes suffice for the endpoints of nearly every service. */
export function sharedIndexes(
  length: number,
  count: number,
): Uint16Array<SharedArrayBuffer> | Uint32Array<SharedArrayBuffer> {
  const isSmall = count <= 0xffff;
  const memory = new SharedArrayBuffer(length * (isSmall ? 2 : 4));
  return isSmall ? new Uint16Array(memory) : new Uint32Array(memory);
}
