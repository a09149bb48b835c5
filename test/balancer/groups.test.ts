import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrange } from '../../src/balancer/groups.js';
import { BalancerWorld, endpoint } from './world.js';

function world(all: readonly (readonly [id: string, more: object])[], options: object = {}): BalancerWorld {
  return new BalancerWorld(
    all.map(([id, more]) => endpoint(id, more)),
    options,
  );
}

function sick(of: BalancerWorld, ...ids: string[]): void {
  for (const id of ids) of.instance(id).stats.isUnhealthy = true;
  of.stats.standingChanged();
}

/** Of all picks, how many parts of a hundred each letter of the ids has. */
function percent(of: BalancerWorld): Record<string, number> {
  const shares: Record<string, number> = {};
  for (const [id, count] of of.shares(5000)) {
    const letter = id.charAt(0);
    shares[letter] = (shares[letter] ?? 0) + count;
  }
  return Object.fromEntries(Object.entries(shares).map(([letter, count]) => [letter, count / 50]));
}

const names = (letter: string, count: number, more: object) =>
  Array.from({ length: count }, (_, index) => [`${letter}${index}`, more] as const);

describe('priorities', () => {
  const all = [...names('a', 10, {}), ...names('b', 10, { priority: 1 }), ...names('c', 10, { priority: 2 })];

  it('give all to the first as long as seven of ten of it are well', () => {
    const of = world(all);
    expect(percent(of)).toEqual({ a: 100, b: 0, c: 0 });
    sick(of, 'a0', 'a1');
    expect(percent(of)).toEqual({ a: 100, b: 0, c: 0 });
  });

  it('hand on what the first cannot take, and only that', () => {
    const of = world(all);
    sick(of, 'a0', 'a1', 'a2', 'a3', 'a4');
    const { a = 0, b = 0, c } = percent(of);
    expect([a, b, c]).toEqual([expect.closeTo(70, -1), expect.closeTo(30, -1), 0]);
  });

  it('hand on everything where none of the first is well', () => {
    const of = world(all);
    sick(of, ...names('a', 10, {}).map(([id]) => id));
    expect(percent(of)).toEqual({ a: 0, b: 100, c: 0 });
    expect(of.pick()?.why).toContain('priority 1');
  });

  it('try the next, and at last those that are not well, where a connection has tried all of the first', () => {
    const of = world([...names('a', 1, {}), ...names('b', 1, { priority: 1 })]);
    sick(of, 'b0');
    const tried = new Set([of.instance('a0').endpoint]);
    expect(of.pick(tried)?.endpoint.id).toBe('b0');
    expect(of.pick(tried)?.why).toContain('for want of any other');
  });
});

describe('zones', () => {
  const all = [...names('a', 4, { zone: 'east' }), ...names('b', 6, { zone: 'west' }), ...names('c', 2, {})];

  it('keep connections in the own one while it can take them', () => {
    expect(percent(world(all, { zone: 'east' }))).toEqual({ a: 100, b: 0, c: 0 });
    expect(world(all, { zone: 'east' }).pick()?.why).toContain('zone east');
  });

  it('spill over by what the own one lacks', () => {
    const of = world(all, { zone: 'east' });
    sick(of, 'a0', 'a1');
    const { a = 0, b = 0, c = 0 } = percent(of);
    expect(a).toBeCloseTo(70, -1);
    expect(b + c).toBeCloseTo(30, -1);
  });

  it('do not matter where no endpoint is in the own one, or none is configured', () => {
    expect(percent(world(all, { zone: 'north' })).a).toBeCloseTo(33, -1);
    expect(percent(world(all)).a).toBeCloseTo(33, -1);
  });
});

describe('panic', () => {
  it('lets all take part where fewer than half are well and nobody else can take over', () => {
    const of = world(names('a', 10, {}));
    sick(of, 'a0', 'a1', 'a2', 'a3', 'a4');
    expect(of.shares(2000).get('a0')).toBe(0);
    sick(of, 'a5');
    expect(of.shares(2000).get('a0')).toBeGreaterThan(100);
    expect(of.pick()?.why).toContain('panic: too few are healthy');
  });

  it('never happens where it is turned off', () => {
    const of = world(names('a', 10, {}), { panicThreshold: 0 });
    sick(of, ...names('a', 9, {}).map(([id]) => id));
    expect(percent(of)).toEqual({ a: 100 });
    expect(of.shares(500).get('a9')).toBe(500);
  });
});

describe('an arrangement', () => {
  it('gives out all shares, reaches every endpoint, and loads none that cannot take connections without panic', () => {
    const one = fc.record({
      weight: fc.integer({ min: 1, max: 10 }),
      priority: fc.integer({ min: 0, max: 2 }),
      zone: fc.constantFrom('east', 'west'),
      isSick: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 20 }), fc.constantFrom('east', undefined), (all, zone) => {
        const of = world(all.map(({ isSick: _, ...more }, index) => [`e${index}`, more] as const));
        for (const [index, { isSick }] of all.entries()) of.instance(`e${index}`).stats.isUnhealthy = isSick;
        const { loaded, reserves } = arrange(of.instances, { zone, panicThreshold: 0.5 }, of.now);
        expect(loaded.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(loaded.length === 0 ? 0 : 1, 6);
        const reached = new Set(
          [...loaded.map(({ group }) => group), ...reserves].flatMap(({ instances }) => instances),
        );
        expect(reached.size).toBe(of.instances.length);
        for (const { group } of loaded) {
          if (group.name?.includes('panic')) continue;
          for (const { stats } of group.instances) expect(stats.isUnhealthy).toBe(false);
        }
      }),
    );
  });
});
