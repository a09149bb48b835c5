import fc from 'fast-check';
import { expect, it } from 'vitest';
import { backoffMs } from '../../src/core/backoff.js';

const bounds = { baseMs: 1000, maxMs: 30_000 };

it('waits twice as long after each failure, up to the longest wait', () => {
  const longest = [1, 2, 3, 4, 5, 6, 7].map((failures) => backoffMs(failures, bounds, 1));
  expect(longest).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

it('spreads each wait between a half and all of it', () => {
  expect([0, 0.5, 1].map((random) => backoffMs(3, bounds, random))).toEqual([2000, 3000, 4000]);
});

it('never waits longer than allowed, nor less than after the first failure, however many there were', () => {
  const failures = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const ms = fc.integer({ min: 1, max: 3_600_000 });
  fc.assert(
    fc.property(failures, ms, ms, fc.double({ min: 0, max: 1, noNaN: true }), (failures, one, other, random) => {
      const bounds = { baseMs: Math.min(one, other), maxMs: Math.max(one, other) };
      const wait = backoffMs(failures, bounds, random);
      expect(wait).toBeLessThanOrEqual(bounds.maxMs);
      expect(wait).toBeGreaterThanOrEqual(bounds.baseMs / 2);
    }),
  );
});
