import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildRing, pointsPerWeight, RingTable } from '../../src/balancer/ring-hash.js';
import { endpointsOf, hashes, ownersOf, shuffled } from './hashables.js';

const keys = hashes(20_000);

function choices(endpoints: Parameters<typeof buildRing>[0]): string[] {
  const table = new RingTable(buildRing(endpoints));
  return keys.map((hash) => endpoints[table.at(table.placeOf(hash))]!.id);
}

describe('a hash ring', () => {
  it('gives a key to the first point at or behind it, around the end as well', () => {
    const data = buildRing([{ id: 'a' }, { id: 'b' }]);
    const table = new RingTable(data);
    expect([...data.points]).toEqual([...data.points].sort((one, other) => one - other));
    for (const hash of [0, data.points[0]!, data.points[7]!, data.points[7]! + 1, data.points.at(-1)!, 2 ** 32 - 1]) {
      const expected = data.points.findIndex((point) => point >= hash);
      expect(table.placeOf(hash)).toBe(Math.max(0, expected));
    }
  });

  it('moves the keys of an endpoint that goes, and no other', () => {
    fc.assert(
      fc.property(endpointsOf(2, 20), fc.nat(), (endpoints, which) => {
        const gone = endpoints[which % endpoints.length]!;
        const before = choices(endpoints);
        const after = choices(endpoints.filter((endpoint) => endpoint !== gone));
        const moved = before.filter((owner, key) => owner !== gone.id && owner !== after[key]);
        expect(moved).toEqual([]);
        expect(after).not.toContain(gone.id);
      }),
      { numRuns: 30 },
    );
  });

  it('gives about 1 of N keys to each of N equal endpoints', () => {
    for (const count of [2, 10, 100]) {
      const endpoints = Array.from({ length: count }, (_, index) => ({ id: `10.0.0.${index}:80` }));
      const shares = new Map<string, number>();
      for (const owner of choices(endpoints)) shares.set(owner, (shares.get(owner) ?? 0) + 1);
      for (const { id } of endpoints) {
        const share = ((shares.get(id) ?? 0) / keys.length) * count;
        expect(share).toBeGreaterThan(0.8);
        expect(share).toBeLessThan(1.2);
      }
    }
  });

  it('gives keys by weight', () => {
    const endpoints = [1, 2, 5, 10].map((weight) => ({ id: `w${weight}`, weight }));
    const owners = choices(endpoints);
    for (const { id, weight } of endpoints) {
      const share = owners.filter((owner) => owner === id).length / owners.length;
      expect(Math.abs(share / (weight / 18) - 1)).toBeLessThan(0.15);
    }
  });

  it('is the same for whatever order the endpoints come in', () => {
    fc.assert(
      fc.property(endpointsOf(1, 20), fc.integer(), (endpoints, seed) => {
        const mixed = shuffled(endpoints, seed);
        expect(ownersOf(new RingTable(buildRing(mixed)), mixed)).toEqual(
          ownersOf(new RingTable(buildRing(endpoints)), endpoints),
        );
      }),
      { numRuns: 10 },
    );
  });

  it('has at least 1024 points, and not more than its memory allows', () => {
    expect(buildRing([{ id: 'only' }]).points.length).toBe(1024);
    const many = Array.from({ length: 3000 }, (_, index) => ({ id: `${index}`, weight: 1000 }));
    expect(buildRing(many).points.length).toBeLessThanOrEqual(2 ** 19);
    expect(pointsPerWeight(100_000)).toBe(4);
  });

  it('is empty without endpoints', () => {
    expect(new RingTable(buildRing([])).places).toBe(0);
  });
});
