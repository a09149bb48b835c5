import { describe, expect, it } from 'vitest';
import { ejectionMs } from '../../src/balancer/ejection.js';
import { BalancerWorld, endpoint, endpoints } from './world.js';

function failing(world: BalancerWorld, id: string, times = 5, how: 'connect' | 'reset' = 'connect'): void {
  for (let count = 0; count < times; count += 1) world.fail(id, how);
}

describe('an endpoint that fails', () => {
  it('takes no connection after five failures in a row, and one may try it when its time is over', () => {
    const world = new BalancerWorld(endpoints(4));
    failing(world, 'e0', 4);
    expect(world.instance('e0').stats.ejectedFor).toBe(0);
    failing(world, 'e0', 1);
    expect(world.shares(200).get('e0')).toBe(0);
    world.now += 29_999;
    expect(world.shares(200).get('e0')).toBe(0);
    world.now += 1;
    const probe = world.pick();
    expect(probe).toMatchObject({ endpoint: { id: 'e0' }, why: expect.stringContaining('probe') });
    expect(world.shares(200).get('e0')).toBe(0);
    probe?.connected(1, world.now);
    expect(world.shares(400).get('e0')).toBeGreaterThan(20);
  });

  it('counts among those of which only so many may be out as long as it is there, and no longer', () => {
    const all = endpoints(4);
    const world = new BalancerWorld(all);
    failing(world, 'e0');
    world.now += 30_000;
    const probe = world.pick();
    expect(probe?.endpoint.id).toBe('e0');
    const gone = world.instance('e0');
    world.update(all.slice(1));
    expect(world.stats.ejected).toBe(0);
    // What was under way when it went tells of it still.
    probe?.connected(1, world.now);
    expect(world.stats.ejected).toBe(0);
    for (let times = 0; times < 5; times += 1) world.ejector.failed(gone, 'connect', false, world.now);
    expect([world.stats.ejected, gone.stats.ejectedFor]).toEqual([0, 0]);
    failing(world, 'e1');
    failing(world, 'e2');
    expect(world.stats.ejected).toBe(1);
  });

  it('is out for twice as long where the one that tries it fails, and up to the longest', () => {
    const world = new BalancerWorld(endpoints(4));
    failing(world, 'e0');
    for (const wait of [30_000, 60_000, 120_000, 240_000, 300_000, 300_000]) {
      world.now += wait;
      const probe = world.pick();
      expect(probe?.endpoint.id).toBe('e0');
      probe?.failed('connect', 1, world.now);
      expect(world.shares(50).get('e0')).toBe(0);
    }
    expect([1, 2, 5, 99].map((times) => ejectionMs(times, { baseMs: 30_000, maxMs: 300_000 }))).toEqual([
      30_000, 60_000, 300_000, 300_000,
    ]);
  });

  it('is not counted by failures that a success lies between', () => {
    const world = new BalancerWorld(endpoints(4));
    for (let rounds = 0; rounds < 5; rounds += 1) {
      failing(world, 'e0', 4);
      world.instance('e0').stats.connected();
    }
    expect(world.instance('e0').stats.ejectedFor).toBe(0);
  });

  it('by resetting before it says anything is back only once it has answered', () => {
    const world = new BalancerWorld(endpoints(4));
    failing(world, 'e0', 5, 'reset');
    world.now += 30_000;
    const probe = world.pick();
    probe?.connected(1, world.now);
    expect(world.shares(100).get('e0')).toBe(0);
    probe?.answered(5, world.now);
    expect(world.shares(400).get('e0')).toBeGreaterThan(20);
  });

  it('may be tried by the next where the first that tries it learns nothing', () => {
    const world = new BalancerWorld(endpoints(4));
    failing(world, 'e0', 5, 'reset');
    world.now += 30_000;
    expect(world.pick()?.endpoint.id).toBe('e0');
    expect(world.shares(50).get('e0')).toBe(0);
    world.now += 10_000;
    expect(world.pick()?.endpoint.id).toBe('e0');
  });

  it('is not ejected where it is the only one, nor where half of all are already', () => {
    const alone = new BalancerWorld([endpoint('a')]);
    failing(alone, 'a', 20);
    expect(alone.shares(10).get('a')).toBe(10);
    const world = new BalancerWorld(endpoints(6));
    for (const { endpoint: one } of world.instances) failing(world, one.id, 20);
    expect(world.instances.filter(({ stats }) => stats.ejectedFor !== 0)).toHaveLength(3);
    expect(world.stats.ejected).toBe(3);
  });

  it('keeps its place where it is gone for a moment, and a stranger in its place begins anew', () => {
    const world = new BalancerWorld(endpoints(3));
    failing(world, 'e0');
    world.update(endpoints(3).slice(1));
    expect(world.stats.ejected).toBe(0);
    world.now += 1000;
    world.update(endpoints(3));
    expect(world.stats.ejected).toBe(1);
    expect(world.shares(50).get('e0')).toBe(0);
    world.update(endpoints(3).slice(1));
    world.now += 60_000;
    world.update([...endpoints(3).slice(1), endpoint('stranger')]);
    expect(world.instance('stranger').stats.ejectedFor).toBe(0);
    expect(world.instance('stranger').stats.startedAt).toBe(world.now);
  });

  it('is never ejected where that is off', () => {
    const world = new BalancerWorld(endpoints(3), { ejectAfter: 0 });
    failing(world, 'e0', 100);
    expect(world.stats.ejected).toBe(0);
  });
});
