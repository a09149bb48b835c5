import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKET_WORDS, Bucket } from '../../src/l4/bucket.js';

function cells(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(BUCKET_WORDS * 4));
}

const START = 1_000_000;
const aRate = fc.oneof(fc.double({ min: 1e-6, max: 10, noNaN: true }), fc.double({ min: 10, max: 1e6, noNaN: true }));

describe('a leaky bucket', () => {
  it('lets so many in at once, and then as many as drain', () => {
    const bucket = new Bucket(cells(), 0);
    const enter = (now: number): boolean => bucket.enter(10, 0.1, now);
    expect(Array.from({ length: 12 }, () => enter(START))).toEqual([...Array(10).fill(true), false, false]);
    expect(enter(START + 9)).toBe(false);
    expect(enter(START + 10)).toBe(true);
    expect(enter(START + 10)).toBe(false);
    expect(Array.from({ length: 12 }, () => enter(START + 1000)).filter(Boolean)).toHaveLength(10);
  });

  it('never lets more in than it holds and has drained, however fast or slowly they come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        aRate,
        fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 100, noNaN: true })), { maxLength: 500 }),
        (most, perMs, gaps) => {
          const bucket = new Bucket(cells(), 0);
          const entered: number[] = [];
          let now = START;
          for (const gap of gaps) {
            now += gap;
            if (bucket.enter(most, perMs, now)) entered.push(now);
          }
          for (const from of entered.slice(0, 20)) {
            const count = entered.filter((at) => at >= from).length;
            // A millisecond of the clock, and one of the rounding.
            expect(count).toBeLessThanOrEqual(most + (now - from + 1) * perMs + 1);
          }
        },
      ),
    );
  });

  it('is as full as one that drains all the time, but for rounding, whoever of several threads fills it', () => {
    const step = fc.record({ amount: fc.nat({ max: 100_000 }), afterMs: fc.double({ min: 0, max: 50, noNaN: true }) });
    fc.assert(
      fc.property(aRate, fc.array(step, { maxLength: 300 }), (perMs, steps) => {
        const shared = cells();
        const threads = [new Bucket(shared, 0), new Bucket(shared, 0), new Bucket(shared, 0)];
        let [exact, now] = [0, START];
        for (const [index, { amount, afterMs }] of steps.entries()) {
          const drained = Math.floor(perMs * Math.floor(now + afterMs)) - Math.floor(perMs * Math.floor(now));
          now += afterMs;
          exact = Math.max(0, exact - drained) + amount;
          expect(threads[index % 3]?.add(amount, perMs, now)).toBe(exact);
        }
      }),
    );
  });

  it('is slightly behind, and never drained twice, where the clocks of two threads differ', () => {
    const shared = cells();
    const [ahead, behind] = [new Bucket(shared, 0), new Bucket(shared, 0)];
    ahead.add(1000, 1, START);
    for (let ms = 1; ms <= 500; ms += 1) {
      ahead.add(0, 1, START + ms);
      behind.add(0, 1, START + ms - 3);
    }
    expect(ahead.add(0, 1, START + 500)).toBe(500);
  });

  it.each([-3_600_000, -1e9, 1e9, 1e12])(
    'is never fuller for a clock that jumps by %d ms, and goes on from there',
    (jump) => {
      const bucket = new Bucket(cells(), 0);
      bucket.add(1e6, 0.001, 1e10);
      expect(bucket.add(1, 0.001, 1e10 + jump)).toBe(1);
      expect(bucket.add(5, 1, 1e10 + jump + 3)).toBe(5);
    },
  );

  it('drains at the latest as if no time had passed where milliseconds have gone round', () => {
    for (const idleMs of [2 ** 31 - 1, 2 ** 31, 2 ** 31 + 500, 2 ** 32, 2 ** 32 + 7, 2 ** 33]) {
      const bucket = new Bucket(cells(), 0);
      bucket.add(100, 1, START);
      bucket.add(0, 1, START + idleMs);
      expect(bucket.add(0, 1, START + idleMs + 2000)).toBe(0);
    }
  });

  it('holds no more than memory has room for', () => {
    const bucket = new Bucket(cells(), 0);
    for (let times = 0; times < 5000; times += 1) bucket.add(2 ** 20, 0, START);
    expect(bucket.add(1, 0, START)).toBeLessThanOrEqual(2 ** 30);
    expect(bucket.add(0, 2 ** 20, START + 2000)).toBe(0);
  });
});
