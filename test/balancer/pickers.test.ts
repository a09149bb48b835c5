import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Balance } from '../../src/balancer/create-strategy.js';
import type { Endpoint } from '../../src/balancer/picker.js';
import { BalancerWorld, endpoint, endpoints } from './world.js';

const BALANCES: readonly Balance[] = ['ewma', 'least-connections', 'round-robin', 'random'];

describe.each(BALANCES)('balance %s', (balance) => {
  it('reaches every endpoint that has not been tried, and none twice', () => {
    const flags = fc.array(fc.boolean(), { minLength: 1, maxLength: 30 });
    const weights = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 30, maxLength: 30 });
    fc.assert(
      fc.property(flags, weights, fc.nat(), (triedBefore, weight, seed) => {
        const all = triedBefore.map((_, index) => endpoint(`e${index}`, { weight: weight[index] ?? 1 }));
        const world = new BalancerWorld(all, { balance, seed });
        const tried = new Set<Endpoint>();
        for (const [index, { endpoint: one }] of world.instances.entries()) if (triedBefore[index]) tried.add(one);
        for (let left = all.length - tried.size; left > 0; left -= 1) {
          const pick = world.pick(tried);
          expect(pick).toBeDefined();
          expect(tried.has(pick!.endpoint)).toBe(false);
          tried.add(pick!.endpoint);
        }
        expect(world.pick(tried)).toBeUndefined();
      }),
    );
  });

  it('gives each its share by weight', () => {
    const all = [endpoint('a', { weight: 1 }), endpoint('b', { weight: 3 }), endpoint('c', { weight: 6 })];
    const world = new BalancerWorld(all, { balance });
    const open = Array.from({ length: 2000 }, () => world.pick());
    const counts = new Map<string, number>();
    for (const pick of open) counts.set(pick?.endpoint.id ?? '', (counts.get(pick?.endpoint.id ?? '') ?? 0) + 1);
    expect((counts.get('a') ?? 0) / 2000).toBeCloseTo(0.1, 1);
    expect((counts.get('b') ?? 0) / 2000).toBeCloseTo(0.3, 1);
    expect((counts.get('c') ?? 0) / 2000).toBeCloseTo(0.6, 1);
  });

  it('gives each its share by weight while there is little to do, be they two or many', () => {
    for (const pairs of [1, 5]) {
      const light = Array.from({ length: pairs }, (_, index) => endpoint(`light${index}`));
      const heavy = Array.from({ length: pairs }, (_, index) => endpoint(`heavy${index}`, { weight: 9 }));
      const shares = new BalancerWorld([...light, ...heavy], { balance }).shares(5000);
      const lights = light.reduce((sum, { id }) => sum + (shares.get(id) ?? 0), 0) / 5000;
      expect(lights).toBeGreaterThan(0.08);
      expect(lights).toBeLessThan(0.12);
    }
  });

  it('gives none to an endpoint of weight 0', () => {
    const world = new BalancerWorld([endpoint('a'), endpoint('b', { weight: 0 })], { balance });
    expect([...world.shares(20)]).toEqual([['a', 20]]);
  });

  it('says why', () => {
    const world = new BalancerWorld(endpoints(3), { balance });
    expect(world.pick()?.why).toMatch(
      /ewma, 30 ms x 1 against 30 ms x 1 of e\d|least connections|round robin, \d of 3|random/,
    );
  });

  it('has nothing to pick where there is none', () => {
    expect(new BalancerWorld([], { balance }).pick()).toBeUndefined();
  });

  it('has a newcomer take its share by and by, where it is told to', () => {
    const world = new BalancerWorld(endpoints(4), { balance, slowStart: 60_000 });
    world.now += 1000;
    world.update([...endpoints(4), endpoint('new')]);
    const shareAfter = (ms: number): number => {
      world.now += ms;
      return (world.shares(4000).get('new') ?? 0) / 4000;
    };
    // Of the fifth that is its own a tenth, a half, all.
    expect(shareAfter(6000)).toBeCloseTo(0.02, 1.5);
    expect(shareAfter(24_000)).toBeCloseTo(0.1, 1.5);
    expect(shareAfter(120_000)).toBeCloseTo(0.2, 1.5);
  });

  it('has one that was ejected and is back do likewise', () => {
    const world = new BalancerWorld(endpoints(5), { balance, slowStart: 60_000 });
    for (let times = 0; times < 5; times += 1) world.fail('e0');
    world.now += 30_000;
    const probe = world.pick();
    expect(probe?.endpoint.id).toBe('e0');
    probe?.connected(1, world.now);
    probe?.answered(1, world.now);
    probe?.ended('served', world.now);
    const shareAfter = (ms: number): number => {
      world.now += ms;
      return (world.shares(4000).get('e0') ?? 0) / 4000;
    };
    const tenth = shareAfter(6000);
    expect(tenth).toBeGreaterThan(0);
    expect(tenth).toBeLessThan(0.08);
    expect(shareAfter(120_000)).toBeGreaterThan(0.15);
  });
});

describe('ewma', () => {
  it('avoids who fails now and then, and comes back when it answers, or in time', () => {
    const world = new BalancerWorld(endpoints(4), { ejectAfter: 0 });
    const { stats } = world.instance('e0');
    for (const { stats: one } of world.instances) {
      one.observeConnect(1, world.now, 10_000);
      one.observeAnswer(20, world.now, 10_000);
    }
    const share = (): number => (world.shares(4000).get('e0') ?? 0) / 4000;
    const even = share();
    stats.observeFailing(true, world.now, 10_000);
    expect(share()).toBeLessThan(even / 3);
    expect(stats.failing(world.now + 50_000, 10_000)).toBeLessThan(0.01);
    for (let answers = 0; answers < 50; answers += 1) stats.observeFailing(false, world.now, 10_000);
    expect(stats.failing(world.now, 10_000)).toBeLessThan(0.01);
    for (let failures = 0; failures < 50; failures += 1) stats.observeFailing(true, world.now, 10_000);
    expect(stats.failing(world.now, 10_000)).toBeCloseTo(1, 1);
  });

  it('prefers who answers faster, and forgets what was long ago', () => {
    const world = new BalancerWorld(endpoints(2));
    for (const [id, ms] of [
      ['e0', 2],
      ['e1', 50],
    ] as const) {
      const { stats } = world.instance(id);
      stats.observeConnect(1, world.now, 10_000);
      stats.observeAnswer(ms, world.now, 10_000);
    }
    expect(world.shares(100).get('e1')).toBe(0);
    world.now += 200_000;
    // Both have faded: what is open decides alone.
    const picks = Array.from({ length: 10 }, () => world.pick()?.endpoint.id);
    expect(picks.filter((id) => id === 'e1')).toHaveLength(5);
  });

  it('weighs latency by what is open', () => {
    const world = new BalancerWorld(endpoints(2));
    world.instance('e0').stats.observeConnect(1, world.now, 10_000);
    world.instance('e1').stats.observeConnect(4, world.now, 10_000);
    const open = Array.from({ length: 50 }, () => world.pick()?.endpoint.id);
    expect(open.filter((id) => id === 'e0')).toHaveLength(40);
  });

  it('rises at once and in full, and falls slowly (peak EWMA)', () => {
    const world = new BalancerWorld(endpoints(1));
    const { stats } = world.instance('e0');
    stats.observeAnswer(10, 0, 10_000);
    stats.observeAnswer(100, 1, 10_000);
    expect(stats.latency(1, 10_000)).toBe(100);
    stats.observeAnswer(10, 2, 10_000);
    expect(stats.latency(2, 10_000)).toBeGreaterThan(99);
    expect(stats.latency(10_002, 10_000)).toBeCloseTo(100 / Math.E, 0);
  });

  it('takes an endpoint that did not answer in time for as slow as that', () => {
    const world = new BalancerWorld(endpoints(2));
    const slow = world.pick();
    slow?.failed('timeout', 2000, world.now);
    expect(world.shares(50).get(slow?.endpoint.id ?? '')).toBe(0);
  });
});

describe('round robin', () => {
  it('gives every endpoint its turn, and goes on where another picker has left off', () => {
    const world = new BalancerWorld(endpoints(3), { balance: 'round-robin' });
    const ids = () => world.pick()?.endpoint.id;
    expect([ids(), ids()]).toEqual(['e0', 'e1']);
    world.update(endpoints(3));
    expect([ids(), ids(), ids()]).toEqual(['e2', 'e0', 'e1']);
  });

  it('spreads the turns of those with more weight evenly', () => {
    const all = [endpoint('a', { weight: 4 }), endpoint('b'), endpoint('c')];
    const world = new BalancerWorld(all, { balance: 'round-robin' });
    const turns = Array.from({ length: 60 }, () => world.pick()?.endpoint.id);
    expect(turns.filter((id) => id === 'a')).toHaveLength(40);
    // Never more than twice its fair run in a row.
    expect(turns.join('')).not.toMatch(/a{9}/);
  });
});

describe('what is open', () => {
  it('counts until it is over, however that came about, once', () => {
    const world = new BalancerWorld(endpoints(1), { ejectAfter: 0 });
    const { stats } = world.instance('e0');
    const ends: ((pick: NonNullable<ReturnType<typeof world.pick>>) => void)[] = [
      (pick) => pick.failed('connect', 1, world.now),
      (pick) => pick.abandoned(),
      (pick) => pick.ended('served', world.now),
      (pick) => pick.ended('reset', world.now),
    ];
    for (const end of ends) {
      const pick = world.pick();
      expect(stats.outstanding).toBe(1);
      if (pick) {
        end(pick);
        end(pick);
        pick.abandoned();
      }
      expect(stats.outstanding).toBe(0);
    }
  });

  it('of a thread that has died is taken back, and of no other', () => {
    const world = new BalancerWorld(endpoints(40));
    for (let times = 0; times < 100; times += 1) world.pick();
    const total = () => world.instances.reduce((sum, { stats }) => sum + stats.outstanding, 0);
    expect(total()).toBe(100);
    world.slots.forgetThread(1);
    expect(total()).toBe(100);
    world.slots.forgetThread(0);
    expect(total()).toBe(0);
  });
});

describe('an endpoint that accepts and never answers', () => {
  it('looks as slow as it has been waited for, and is picked the less', () => {
    const world = new BalancerWorld(endpoints(2));
    const [hangs, answers] = world.instances.map(({ endpoint: { id } }) => id);
    for (const { stats } of world.instances) {
      stats.observeConnect(1, world.now, 10_000);
      stats.observeAnswer(1, world.now, 10_000);
    }
    const shareOf = (id = ''): number => (world.shares(1000).get(id) ?? 0) / 1000;
    expect(shareOf(hangs)).toBeGreaterThan(0.4);
    world.instance(hangs ?? '').stats.expectAnswer(1000, world.now, 10_000);
    expect(shareOf(hangs)).toBe(0);
    expect(shareOf(answers)).toBe(1);
  });

  it('is not made to look faster by a short wait', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.1, max: 1e5, noNaN: true }), fc.array(fc.nat(20_000)), (answerMs, waits) => {
        const world = new BalancerWorld(endpoints(1));
        const { stats } = world.instance('e0');
        stats.observeAnswer(answerMs, world.now, 10_000);
        for (const wait of waits) {
          world.now += 100;
          const before = stats.latency(world.now, 10_000);
          stats.expectAnswer(wait, world.now, 10_000);
          expect(stats.latency(world.now, 10_000)).toBeGreaterThanOrEqual(Math.max(before, wait) * (1 - 1e-9));
        }
      }),
    );
  });
});
