import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Canceller } from '../../src/core/cancel.js';
import { PendingQueue, type Waited } from '../../src/l4/pending-queue.js';
import { turn, VirtualClock } from '../fakes/clock.js';

const PATIENT = { timeoutMs: 5000, targetMs: 0 };
const SHEDDING = { timeoutMs: 5000, targetMs: 50 };

class World {
  readonly clock = new VirtualClock();
  free = 0;
  readonly queue = new PendingQueue(this.clock, () => {
    if (this.free === 0) return false;
    this.free -= 1;
    return true;
  });
  readonly ended: { readonly key: string; readonly how: Waited; readonly afterMs: number }[] = [];

  wait(key: string, bounds = PATIENT, signal = new Canceller()): Canceller {
    const since = this.clock.now();
    void this.queue.wait(key, bounds, signal).then((how) => {
      this.ended.push({ key, how, afterMs: this.clock.now() - since });
    });
    return signal;
  }

  async release(places: number): Promise<void> {
    this.free += places;
    this.queue.admit();
    await turn();
  }
}

describe('connections that wait for a free place', () => {
  it('are let in by turns of their clients', async () => {
    const world = new World();
    for (const key of ['a', 'a', 'a', 'b', 'c']) world.wait(key);
    await world.release(4);
    expect(world.ended.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'a']);
    expect(world.queue.size).toBe(1);
  });

  it('give up after the queue timeout, to the millisecond, and not before', async () => {
    const world = new World();
    world.wait('a');
    await world.clock.advanceAsync(1234);
    world.wait('b');
    await world.clock.advanceAsync(4000);
    expect(world.ended).toEqual([{ key: 'a', how: 'timeout', afterMs: 5000 }]);
    await world.clock.advanceAsync(1000);
    expect(world.ended[1]).toEqual({ key: 'b', how: 'timeout', afterMs: 5000 });
    expect(world.clock.pending).toBe(0);
  });

  it('take a place that came free before they waited, or that nobody has told of', async () => {
    const world = new World();
    world.free = 1;
    world.wait('a');
    await turn();
    expect(world.ended).toEqual([{ key: 'a', how: 'in', afterMs: 0 }]);
    world.wait('b');
    world.free = 1;
    await world.clock.advanceAsync(50);
    expect(world.ended[1]).toMatchObject({ key: 'b', how: 'in' });
  });

  it('leave when they are cut off, and leave the others their places', async () => {
    const world = new World();
    const signal = world.wait('a');
    world.wait('b');
    signal.abort();
    await turn();
    expect(world.ended).toEqual([{ key: 'a', how: 'cut', afterMs: 0 }]);
    await world.release(2);
    expect(world.ended[1]).toMatchObject({ key: 'b', how: 'in' });
    expect(world.free).toBe(1);
  });

  it.each([
    ['one client', () => 'a'],
    ['a thousand clients', (nth: number) => `client ${nth % 1000}`],
  ])(
    'of %s wait no longer than the target while the queue stands, and again as long as they may once it has drained',
    async (_, keyOf) => {
      const world = new World();
      let nth = 0;
      // One place a 20 ms, and three who come in that time: the queue cannot but stand.
      for (let now = 0; now < 6000; now += 20) {
        for (let come = 0; come < 3; come += 1) world.wait(keyOf(nth++), SHEDDING);
        await world.clock.advanceAsync(20);
        await world.release(1);
      }
      const late = world.ended.slice(-100);
      expect(new Set(late.map(({ how }) => how))).toEqual(new Set(['in', 'overload']));
      expect(late.filter(({ how }) => how === 'in').length).toBeGreaterThanOrEqual(30);
      for (const { afterMs } of late) expect(afterMs).toBeLessThanOrEqual(50);
      // All who are left are let in, and nobody comes for a while.
      await world.release(world.queue.size);
      await world.clock.advanceAsync(5000);
      world.free = 0;
      world.wait('b', SHEDDING);
      await world.clock.advanceAsync(500);
      expect(world.queue.size).toBe(1);
    },
  );

  it('all end exactly once, with never more let in than there were places', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('wait' as const), key: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ kind: fc.constant('release' as const), places: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 2000 }) }),
      fc.record({ kind: fc.constant('cut' as const), which: fc.nat() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.constantFrom(PATIENT, SHEDDING), async (steps, bounds) => {
        const world = new World();
        const signals: Canceller[] = [];
        let places = 0;
        for (const one of steps) {
          if (one.kind === 'wait') signals.push(world.wait(one.key, bounds));
          if (one.kind === 'cut') signals[one.which % Math.max(1, signals.length)]?.abort();
          if (one.kind === 'pass') await world.clock.advanceAsync(one.ms);
          if (one.kind === 'release') {
            places += one.places;
            await world.release(one.places);
          }
        }
        await world.clock.advanceAsync(10_000);
        await turn();
        expect(world.ended).toHaveLength(signals.length);
        expect(world.ended.filter(({ how }) => how === 'in').length + world.free).toBe(places);
        expect(world.queue.size).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});
