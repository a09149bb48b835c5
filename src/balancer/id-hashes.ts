/** Endpoints in the order of their ids, with the hashes of these: what tables are built from, whatever order a source has them in. */
import type { Hashable } from './hash-table.js';
import { hash64 } from './xxhash.js';

export interface HashedIds {
  /** Sorted by code unit. */
  readonly ids: readonly string[];
  /** For each, its place in the list that it came from. */
  readonly places: Uint32Array;
  readonly weights: Uint16Array;
  /** Four for each: XXH64 with seed 0 and with seed 1, lower half first. */
  readonly words: Uint32Array;
}

const WORDS = 4;
const MOST_WEIGHT = 1000;

/** Hashes ids; those that are in `known`, the result for the endpoints before an update, are not hashed again. */
export function hashIds(endpoints: readonly Hashable[], known?: HashedIds): HashedIds {
  const places = sortedPlaces(endpoints);
  const ids = Array.from(places, (place) => endpoints[place]?.id ?? '');
  const weights = Uint16Array.from(places, (place) => {
    const { weight = 1 } = endpoints[place] ?? {};
    return Math.min(MOST_WEIGHT, Math.max(1, Math.round(weight)));
  });
  const words = new Uint32Array(ids.length * WORDS);
  let old = 0;
  for (const [index, id] of ids.entries()) {
    const at = index * WORDS;
    while (known !== undefined && old < known.ids.length && (known.ids[old] ?? '') < id) old += 1;
    if (known !== undefined && known.ids[old] === id) {
      words.set(known.words.subarray(old * WORDS, (old + 1) * WORDS), at);
    } else {
      hash64(id, 0, words, at);
      hash64(id, 1, words, at + 2);
    }
  }
  return { ids, places, weights, words };
}

/** Most sources have them in order already, and sorting costs more than all the rest. */
function sortedPlaces(endpoints: readonly Hashable[]): Uint32Array {
  const places = endpoints.map((_, place) => place);
  const isSorted = endpoints.every(({ id }, place) => place === 0 || (endpoints[place - 1]?.id ?? '') <= id);
  if (!isSorted) {
    const id = (place: number): string => endpoints[place]?.id ?? '';
    places.sort((one, other) => (id(one) < id(other) ? -1 : id(one) > id(other) ? 1 : 0));
  }
  return Uint32Array.from(places);
}
