import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Hashable, HashWalk, loadLimit, NONE } from '../../src/balancer/hash-table.js';
import { buildMaglev, MaglevTable } from '../../src/balancer/maglev.js';
import { buildRing, RingTable } from '../../src/balancer/ring-hash.js';
import { endpointsOf, hashes } from './hashables.js';

const tables = {
  ring: (endpoints: readonly Hashable[]) => new RingTable(buildRing(endpoints)),
  maglev: (endpoints: readonly Hashable[]) => new MaglevTable(buildMaglev(endpoints, 4999)),
};

describe.each(Object.entries(tables))('walking on from a key (%s)', (_, tableOf) => {
  it('offers every endpoint, the same order each time, and comes to an end', () => {
    fc.assert(
      fc.property(endpointsOf(1, 150), fc.nat(2 ** 32 - 1), (endpoints, hash) => {
        const walk = new HashWalk(tableOf(endpoints));
        const order = () => {
          const offered: number[] = [];
          for (let endpoint = walk.first(hash); endpoint !== NONE; endpoint = walk.next()) offered.push(endpoint);
          return offered;
        };
        const offered = order();
        expect(new Set(offered).size).toBe(endpoints.length);
        expect(offered.length).toBeLessThanOrEqual(endpoints.length + 64);
        expect(offered.every((endpoint) => endpoint >= 0 && endpoint < endpoints.length)).toBe(true);
        expect(order()).toEqual(offered);
        expect(walk.next()).toBe(NONE);
      }),
      { numRuns: 50 },
    );
  });

  it('spreads the keys of one that is passed over, and moves no other', () => {
    const endpoints = Array.from({ length: 10 }, (_, index) => ({ id: `10.0.0.${index}:80` }));
    const walk = new HashWalk(tableOf(endpoints));
    const taken = new Array<number>(10).fill(0);
    for (const hash of hashes(20_000)) if (walk.first(hash) === 3) taken[walk.next()]! += 1;
    expect(taken[3]).toBe(0);
    const moved = taken.reduce((sum, count) => sum + count, 0);
    expect(moved / 20_000).toBeGreaterThan(0.08);
    for (const [index, count] of taken.entries()) {
      if (index !== 3) expect(count / (moved / 9)).toBeGreaterThan(0.5);
      if (index !== 3) expect(count / (moved / 9)).toBeLessThan(1.6);
    }
  });

  it('has nothing to offer without endpoints', () => {
    const walk = new HashWalk(tableOf([]));
    expect([walk.first(1), walk.next()]).toEqual([NONE, NONE]);
  });

  it('keeps every load under its bound, where loads are bounded, whatever the keys', () => {
    const endpoints = Array.from({ length: 20 }, (_, index) => ({ id: `10.0.0.${index}:80` }));
    const walk = new HashWalk(tableOf(endpoints));
    const loads = new Array<number>(20).fill(0);
    const keys = hashes(5);
    for (let total = 0; total < 1000; total += 1) {
      let endpoint = walk.first(keys[total % keys.length]!);
      while (endpoint !== NONE && loads[endpoint]! >= loadLimit(total, 1 / 20, 1.25)) endpoint = walk.next();
      loads[endpoint]! += 1;
      expect(loads[endpoint]).toBeLessThanOrEqual(Math.ceil((1.25 * (total + 1)) / 20));
    }
    expect(loads.reduce((sum, load) => sum + load, 0)).toBe(1000);
  });
});
