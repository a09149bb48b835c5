/** What the tests of tables have in common. */
import fc from 'fast-check';
import type { Hashable, HashTable } from '../../src/balancer/hash-table.js';

export type Weighted = Hashable & { readonly weight: number };

/** Endpoints of different ids, with weights of 1 to 10. */
export function endpointsOf(minLength: number, maxLength: number): fc.Arbitrary<Weighted[]> {
  const endpoint = fc.record({ id: fc.string({ minLength: 1 }), weight: fc.integer({ min: 1, max: 10 }) });
  return fc.uniqueArray(endpoint, { minLength, maxLength, selector: ({ id }) => id });
}

/** The id at each place. */
export function ownersOf(table: HashTable, endpoints: readonly Hashable[]): string[] {
  return Array.from({ length: table.places }, (_, place) => endpoints[table.at(place)]!.id);
}

/** So many hashes, spread over all that there are. */
export function hashes(count: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.imul(index + 1, 0x9e3779b1) >>> 0);
}

export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const mixed = [...items];
  let state = seed | 1;
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    state = Math.imul(state, 0x5bd1e995) ^ (state >>> 13);
    const other = (state >>> 0) % (last + 1);
    [mixed[last], mixed[other]] = [mixed[other]!, mixed[last]!];
  }
  return mixed;
}
