import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashIds } from '../../src/balancer/id-hashes.js';
import { buildMaglev, DEFAULT_SIZE, MaglevTable, sizeFor } from '../../src/balancer/maglev.js';
import { MeshproxyError } from '../../src/core/errors.js';
import { endpointsOf, ownersOf, shuffled } from './hashables.js';

const hosts = (count: number, prefix: string) =>
  Array.from({ length: count }, (_, i) => ({ id: `${prefix}${90 + i}` }));

describe('a Maglev table', () => {
  // The vectors of Envoy's test/common/upstream/maglev_lb_test.cc.
  it('is that of Envoy for six addresses', () => {
    expect([...buildMaglev(hosts(6, '127.0.0.1:'), 7).slots]).toEqual([2, 4, 0, 1, 5, 0, 3]);
  });
  it('is that of Envoy for six names', () => {
    expect([...buildMaglev(hosts(6, ''), 7).slots]).toEqual([2, 5, 0, 3, 4, 1, 0]);
  });
  it('is that of Envoy for weights 1 and 2', () => {
    const weighted = hosts(2, '127.0.0.1:').map((host, index) => ({ ...host, weight: index + 1 }));
    expect([...buildMaglev(weighted, 17).slots]).toEqual([1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1]);
  });

  it('has a size that is a prime, or is refused', () => {
    for (const size of [0, 1, 4, 8, 65_536, 7.5, 4_294_967_291]) {
      expect(() => buildMaglev(hosts(2, ''), size)).toThrow(MeshproxyError);
    }
    expect(sizeFor(655)).toBe(DEFAULT_SIZE);
    expect(buildMaglev(hosts(656, ''), sizeFor(656)).slots.length).toBe(524_309);
  });

  it('is empty without endpoints', () => {
    expect(new MaglevTable(buildMaglev([])).places).toBe(0);
  });

  it('gives equal endpoints equally many places, but for one', () => {
    const slots = buildMaglev(hosts(10, 'a')).slots;
    const shares = new Array<number>(10).fill(0);
    for (const owner of slots) shares[owner]! += 1;
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
  });

  it('gives each its weight, and every place an endpoint that there is', () => {
    fc.assert(
      fc.property(endpointsOf(1, 40), (endpoints) => {
        const shares = new Array<number>(endpoints.length).fill(0);
        const { slots } = buildMaglev(endpoints);
        for (const owner of slots) shares[owner]! += 1;
        const total = endpoints.reduce((sum, { weight }) => sum + weight, 0);
        for (const [index, { weight }] of endpoints.entries()) {
          expect(Math.abs(shares[index]! - (slots.length * weight) / total)).toBeLessThanOrEqual(2 + endpoints.length);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('is the same for whatever order the endpoints come in, hashed anew or not', () => {
    fc.assert(
      fc.property(endpointsOf(1, 30), fc.integer(), (endpoints, seed) => {
        const mixed = shuffled(endpoints, seed);
        const owners = ownersOf(new MaglevTable(buildMaglev(endpoints, 1009)), endpoints);
        expect(ownersOf(new MaglevTable(buildMaglev(mixed, 1009)), mixed)).toEqual(owners);
        const known = hashIds(endpoints.slice(endpoints.length >> 1));
        const incremental = buildMaglev(mixed, 1009, hashIds(mixed, known));
        expect(ownersOf(new MaglevTable(incremental), mixed)).toEqual(owners);
      }),
      { numRuns: 50 },
    );
  });

  it('moves hardly a key besides those of an endpoint that goes, and the same when it comes back', () => {
    for (const count of [5, 20, 100]) {
      const all = hosts(count, 'endpoint-');
      const before = ownersOf(new MaglevTable(buildMaglev(all)), all);
      const gone = all[count >> 1]!;
      const rest = all.filter((host) => host !== gone);
      const after = ownersOf(new MaglevTable(buildMaglev(rest)), rest);
      const moved = before.filter((owner, place) => owner !== gone.id && owner !== after[place]).length;
      // The paper's figure 12: with a table of 100 places for each endpoint a few per cent of the others change.
      expect(moved / before.length).toBeLessThan(0.05);
      expect(before.filter((owner) => owner === gone.id).length / before.length).toBeCloseTo(1 / count, 3);
    }
  });
});
