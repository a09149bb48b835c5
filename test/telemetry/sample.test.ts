import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyBook } from '../../src/telemetry/latency.js';
import { countOf, mergeSamples, NO_SAMPLE, percentilesOf, type Sample } from '../../src/telemetry/sample.js';
import { VirtualClock } from '../fakes/clock.js';

function sampleOf(values: readonly number[]): Sample {
  const book = new LatencyBook(new VirtualClock());
  for (const us of values) book.record('web', 'duration', us / 1000);
  return book.snapshot()[0]?.recent ?? NO_SAMPLE;
}

const us = fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: 86_400_000_000 }));

test('samples that were measured apart are, together, what would have been measured at once', () => {
  const values = fc.array(us, { maxLength: 200 });
  fc.assert(
    fc.property(values, values, (one, other) => {
      const together = sampleOf([...one, ...other]);
      expect(mergeSamples(sampleOf(one), sampleOf(other))).toEqual(together);
      expect(mergeSamples(sampleOf(other), sampleOf(one))).toEqual(together);
      expect(countOf(together)).toBe(one.length + other.length);
    }),
  );
});

test('percentiles climb from the smallest value to the largest', () => {
  fc.assert(
    fc.property(fc.array(us, { minLength: 1, maxLength: 200 }), (values) => {
      const climbing = percentilesOf(sampleOf(values), [0, 1, 10, 50, 99, 99.99, 100]);
      expect(climbing).toEqual(climbing.toSorted((a, b) => a - b));
      expect(climbing[0]).toBe(Math.min(...values));
      expect(climbing.at(-1)).toBe(Math.max(...values));
    }),
  );
});
