/**
 * Maglev (Eisenbud et al., NSDI 2016, section 3.4): a table that every endpoint fills in an order of its own, in turns,
 * until it is full. Lookup is one read. Hashes and turns are Envoy's, so that tables are the same as there.
 */
import { MeshproxyError } from '../core/errors.js';
import { type Hashable, type HashTable, sharedIndexes } from './hash-table.js';
import { type HashedIds, hashIds } from './id-hashes.js';

/** What threads pass on to each other: a table's content. */
export interface MaglevData {
  readonly count: number;
  /** The endpoint at each place. */
  readonly slots: Uint16Array<SharedArrayBuffer> | Uint32Array<SharedArrayBuffer>;
}

/** Envoy's and the paper's default. */
export const DEFAULT_SIZE = 65_537;
/**
 * Filled in 30 ms. There is this one step only: with another size nearly all keys move, so that a service should cross it
 * once in its life at most.
 */
const LARGE_SIZE = 524_309;
/** The paper's: so many places for each endpoint keep the shares of equal ones within 1 %. */
const PLACES_EACH = 100;
/** 16 MB at most, and so small that products of two places are exact. */
const MOST_SIZE = 4_194_301;

/** The size for so many endpoints where none is configured. */
export function sizeFor(count: number): number {
  return count * PLACES_EACH <= DEFAULT_SIZE ? DEFAULT_SIZE : LARGE_SIZE;
}

export class MaglevTable implements HashTable {
  readonly count: number;
  readonly places: number;
  readonly bytes: number;
  readonly #slots: MaglevData['slots'];

  constructor({ count, slots }: MaglevData) {
    this.count = count;
    this.places = slots.length;
    this.bytes = slots.byteLength;
    this.#slots = slots;
  }

  placeOf(hash: number): number {
    return hash % this.places;
  }

  at(place: number): number {
    return this.#slots[place] ?? 0;
  }
}

/**
 * @param size a prime, not less than the number of endpoints if all are to get keys; throws `bad-config` where it is no prime
 * @param hashed the same endpoints' ids, where they have been hashed already
 */
export function buildMaglev(
  endpoints: readonly Hashable[],
  size: number = sizeFor(endpoints.length),
  hashed: HashedIds = hashIds(endpoints),
): MaglevData {
  if (!isPrime(size) || size > MOST_SIZE) {
    throw new MeshproxyError('bad-config', `Maglev table size ${size}: a prime up to ${MOST_SIZE} is needed`);
  }
  const count = endpoints.length;
  const slots = sharedIndexes(count === 0 ? 0 : size, count);
  if (count > 0) fill(slots, hashed, new Turns(hashed.weights));
  return { count, slots };
}

function fill(slots: MaglevData['slots'], { words, places }: HashedIds, turns: Turns): void {
  const size = slots.length;
  const next = new Uint32Array(places.length);
  const skips = new Uint32Array(places.length);
  for (let entry = 0; entry < places.length; entry += 1) {
    next[entry] = modulo(words, entry * 4, size);
    skips[entry] = modulo(words, entry * 4 + 2, size - 1) + 1;
  }
  // A bit for each place: it stays in the cache where the table does not.
  const taken = new Int32Array((size >>> 5) + 1);
  for (let filled = 0; filled < size; filled += 1) {
    const entry = turns.next();
    const skip = skips[entry] ?? 1;
    let place = next[entry] ?? 0;
    while ((((taken[place >>> 5] ?? 0) >>> (place & 31)) & 1) === 1) place = step(place, skip, size);
    taken[place >>> 5] = (taken[place >>> 5] ?? 0) | (1 << (place & 31));
    slots[place] = places[entry] ?? 0;
    next[entry] = step(place, skip, size);
  }
}

function step(place: number, skip: number, size: number): number {
  const further = place + skip;
  return further >= size ? further - size : further;
}

/** Entries so many at a time are passed over together where none of them has a turn: one heavy endpoint among many light ones. */
const BLOCK = 64;

/** Who fills next. The heaviest have a turn in every round, one of a third of their weight in every third (as Envoy has it). */
class Turns {
  readonly #weights: Uint16Array;
  readonly #most: number;
  /** The round of each entry's next turn, and the first of each block's. */
  readonly #due: Uint32Array;
  readonly #blockDue: Uint32Array;
  readonly #turns: Uint32Array;
  #round = 1;
  #entry = 0;

  constructor(weights: Uint16Array) {
    this.#weights = weights;
    this.#most = weights.reduce((most, weight) => Math.max(most, weight), 1);
    this.#due = new Uint32Array(weights.length).fill(1);
    this.#blockDue = new Uint32Array(Math.ceil(weights.length / BLOCK)).fill(1);
    this.#turns = new Uint32Array(weights.length);
  }

  next(): number {
    for (;;) {
      const entry = this.#entry;
      if (entry >= this.#due.length) {
        this.#round += 1;
        this.#entry = 0;
      } else if (entry % BLOCK === 0 && (this.#blockDue[entry / BLOCK] ?? 0) > this.#round) {
        this.#entry = entry + BLOCK;
      } else {
        this.#entry = entry + 1;
        const isDue = (this.#due[entry] ?? 0) <= this.#round;
        if (isDue) this.#schedule(entry);
        if (this.#entry % BLOCK === 0 || this.#entry === this.#due.length) this.#closeBlock(entry);
        if (isDue) return entry;
      }
    }
  }

  #schedule(entry: number): void {
    const turns = (this.#turns[entry] ?? 0) + 1;
    this.#turns[entry] = turns;
    this.#due[entry] = Math.max(this.#round + 1, Math.ceil((turns * this.#most) / (this.#weights[entry] ?? 1)));
  }

  #closeBlock(last: number): void {
    const block = Math.floor(last / BLOCK);
    let first = this.#due[last] ?? 0;
    for (let entry = block * BLOCK; entry < last; entry += 1) first = Math.min(first, this.#due[entry] ?? first);
    this.#blockDue[block] = first;
  }
}

/** A 64-bit number, lower half first, modulo one of at most 22 bits: every step is exact. */
function modulo(words: Uint32Array, at: number, by: number): number {
  return (((words[at + 1] ?? 0) % by) * (2 ** 32 % by) + (words[at] ?? 0)) % by;
}

function isPrime(size: number): boolean {
  if (!Number.isInteger(size) || size < 2) return false;
  for (let factor = 2; factor * factor <= size; factor += 1) {
    if (size % factor === 0) return false;
  }
  return true;
}
