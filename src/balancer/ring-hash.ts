/**
 * Ring hashing (Karger et al. 1997, ketama): each endpoint has points on a ring, more with more weight, and a key belongs
 * to the next point. When an endpoint goes, its keys go to the points behind its own, and no other key moves.
 */
import { type Hashable, type HashTable, sharedIndexes } from './hash-table.js';
import { type HashedIds, hashIds } from './id-hashes.js';

/** What threads pass on to each other: a ring's content. */
export interface RingData {
  readonly count: number;
  /** Ascending. */
  readonly points: Uint32Array<SharedArrayBuffer>;
  /** The endpoint of each. */
  readonly owners: Uint16Array<SharedArrayBuffer> | Uint32Array<SharedArrayBuffer>;
}

/** For each 1 of weight, with few endpoints: shares are within some 3 % of what they should be, and a ring has 1024 at least, as Envoy's. */
const MOST_POINTS_EACH = 1024;
/** In all, before points are halved: 4 MB, sorted in 20 ms. */
const MOST_POINTS = 2 ** 19;

/**
 * Points for each 1 of weight: a power of two, so that endpoints that come and go change the points of others only where
 * the sum of weights doubles, and then half of them stay.
 */
export function pointsPerWeight(totalWeight: number): number {
  let points = MOST_POINTS_EACH;
  while (totalWeight * points > MOST_POINTS) points /= 2;
  return points;
}

export class RingTable implements HashTable {
  readonly count: number;
  readonly places: number;
  readonly bytes: number;
  readonly #points: RingData['points'];
  readonly #owners: RingData['owners'];

  constructor({ count, points, owners }: RingData) {
    this.count = count;
    this.places = points.length;
    this.bytes = points.byteLength + owners.byteLength;
    this.#points = points;
    this.#owners = owners;
  }

  /** The first point at or behind `hash`. */
  placeOf(hash: number): number {
    let [low, high] = [0, this.places];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle] ?? 0) < hash) low = middle + 1;
      else high = middle;
    }
    return low === this.places ? 0 : low;
  }

  at(place: number): number {
    return this.#owners[place] ?? 0;
  }
}

/** @param hashed the same endpoints' ids, where they have been hashed already */
export function buildRing(endpoints: readonly Hashable[], hashed: HashedIds = hashIds(endpoints)): RingData {
  const { weights, words, places } = hashed;
  const each = pointsPerWeight(weights.reduce((sum, weight) => sum + weight, 0));
  const counts = Uint32Array.from(weights, (weight) => Math.max(1, Math.round(weight * each)));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const points = new Uint32Array(total);
  const owners = new Uint32Array(total);
  let at = 0;
  for (const [entry, count] of counts.entries()) {
    for (let number = 0; number < count; number += 1, at += 1) {
      points[at] = pointOf(words[entry * 4] ?? 0, words[entry * 4 + 1] ?? 0, number);
      owners[at] = places[entry] ?? 0;
    }
  }
  return sorted(points, owners, endpoints.length);
}

/** The id's XXH64 and the number of the point, stirred by MurmurHash3's finalizer: hashing `id_number` each time would cost ten times as much. */
function pointOf(low: number, high: number, number: number): number {
  return stir(stir(low + Math.imul(number, 0x9e3779b1)) ^ high);
}

function stir(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Of each pass of the sort: three of them make 32 bits. */
const DIGIT_BITS = 11;
const DIGITS = 2 ** DIGIT_BITS;

/** Radix sort, which keeps the order of ids where two points fall together: the same endpoints make the same ring. */
function sorted(points: Uint32Array, owners: Uint32Array, count: number): RingData {
  let from: Pairs = { points, owners };
  let to: Pairs = { points: new Uint32Array(points.length), owners: new Uint32Array(points.length) };
  for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
    scatter(from, to, shift);
    [from, to] = [to, from];
  }
  const shared = new Uint32Array(new SharedArrayBuffer(points.byteLength));
  shared.set(from.points);
  const indexes = sharedIndexes(points.length, count);
  indexes.set(from.owners);
  return { count, points: shared, owners: indexes };
}

interface Pairs {
  readonly points: Uint32Array;
  readonly owners: Uint32Array;
}

function scatter(from: Pairs, to: Pairs, shift: number): void {
  const starts = new Uint32Array(DIGITS + 1);
  for (const point of from.points) {
    const digit = ((point >>> shift) & (DIGITS - 1)) + 1;
    starts[digit] = (starts[digit] ?? 0) + 1;
  }
  for (let digit = 1; digit <= DIGITS; digit += 1) starts[digit] = (starts[digit] ?? 0) + (starts[digit - 1] ?? 0);
  for (let index = 0; index < from.points.length; index += 1) {
    const point = from.points[index] ?? 0;
    const digit = (point >>> shift) & (DIGITS - 1);
    const place = starts[digit] ?? 0;
    starts[digit] = place + 1;
    to.points[place] = point;
    to.owners[place] = from.owners[index] ?? 0;
  }
}
