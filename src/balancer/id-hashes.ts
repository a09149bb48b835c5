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
  const count = endpoints.length;
  const places = sortedPlaces(endpoints);
  const ids = new Array<string>(count);
  const weights = new Uint16Array(count);
  const words = new Uint32Array(count * WORDS);
  let old = 0;
  // Loops: of a hundred thousand, `from` and `map` with their closures cost as much as the hashes themselves.
  for (let index = 0; index < count; index += 1) {
    const { id = '', weight = 1 } = endpoints[places[index] ?? 0] ?? {};
    ids[index] = id;
    weights[index] = Math.min(MOST_WEIGHT, Math.max(1, Math.round(weight)));
    const at = index * WORDS;
    while (known !== undefined && old < known.ids.length && (known.ids[old] ?? '') < id) old += 1;
    if (known !== undefined && known.ids[old] === id) {
      for (let word = 0; word < WORDS; word += 1) words[at + word] = known.words[old * WORDS + word] ?? 0;
    } else {
      hash64(id, 0, words, at);
      hash64(id, 1, words, at + 2);
    }
  }
  return { ids, places, weights, words };
}

/** Most sources have them in order already, and sorting costs more than all the rest. */
function sortedPlaces(endpoints: readonly Hashable[]): Uint32Array {
  const places = new Uint32Array(endpoints.length);
  let isSorted = true;
  let before = '';
  for (let place = 0; place < endpoints.length; place += 1) {
    places[place] = place;
    const id = endpoints[place]?.id ?? '';
    isSorted &&= before <= id;
    before = id;
  }
  if (isSorted) return places;
  const id = (place: number): string => endpoints[place]?.id ?? '';
  // An array: a typed one has no sort for those that are sorted but for a few.
  return Uint32Array.from([...places].sort((one, other) => (id(one) < id(other) ? -1 : id(one) > id(other) ? 1 : 0)));
}
