import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyBook, LatencyTotals } from '../../src/telemetry/latency.js';
import type { LatencySummary } from '../../src/telemetry/sample.js';
import { VirtualClock } from '../fakes/clock.js';

function totalsOf(...books: readonly LatencyBook[]): LatencyTotals {
  const totals = new LatencyTotals();
  for (const book of books) totals.add(book.snapshot());
  return totals;
}

function summaryOf(book: LatencyBook, service = 'web'): { sinceStart: LatencySummary; recent?: LatencySummary } {
  const found = totalsOf(book)
    .summaries()
    .find((entry) => entry.service === service)?.steps.duration;
  if (found === undefined) throw new Error('nothing was measured');
  return found;
}

/** The smallest value that at least this share of all is not larger than. */
function exact(sorted: readonly number[], percentile: number): number {
  return sorted[Math.max(Math.ceil((percentile / 100) * sorted.length) - 1, 0)] ?? 0;
}

test('percentiles are within one percent of the exact ones, over the whole range', () => {
  const us = fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: 86_400_000_000 }));
  fc.assert(
    fc.property(fc.array(us, { minLength: 1, maxLength: 500 }), (values) => {
      const book = new LatencyBook(new VirtualClock());
      for (const value of values) book.record('web', 'duration', value / 1000);
      const sorted = values.toSorted((a, b) => a - b);
      const summary = summaryOf(book).sinceStart;
      expect(summary.count).toBe(values.length);
      expect(summary.min).toBe(sorted[0]);
      expect(summary.max).toBe(sorted.at(-1));
      expect(summary.mean).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, -0.5);
      for (const [percentile, value] of [
        [50, summary.p50],
        [90, summary.p90],
        [99, summary.p99],
        [99.9, summary.p999],
      ] as const) {
        const truth = exact(sorted, percentile);
        expect(Math.abs(value - truth)).toBeLessThanOrEqual(Math.max(1, truth * 0.01));
      }
    }),
  );
});

test('whatever is measured counts: negative as nothing, more than a day as a day', () => {
  const book = new LatencyBook(new VirtualClock());
  book.record('web', 'duration', -5);
  book.record('web', 'duration', 1e12);
  expect(summaryOf(book).sinceStart).toMatchObject({ count: 2, min: 0, max: 86_400e6 });
});

test('recent values leave after one to two minutes, and stay in what is since the start', () => {
  const clock = new VirtualClock();
  const book = new LatencyBook(clock);
  book.record('web', 'duration', 10);
  clock.advance(60_000);
  book.record('web', 'duration', 20);
  expect(summaryOf(book).recent).toMatchObject({ count: 2, min: 10_000, max: 20_000 });
  clock.advance(60_000);
  expect(summaryOf(book).recent).toMatchObject({ count: 1, min: 20_000 });
  clock.advance(60_000);
  expect(summaryOf(book).recent).toBeUndefined();
  expect(summaryOf(book).sinceStart).toMatchObject({ count: 2, min: 10_000, max: 20_000 });
});

test('after an hour of silence nothing is recent, and nothing is lost', () => {
  const clock = new VirtualClock();
  const book = new LatencyBook(clock);
  book.record('web', 'duration', 10);
  clock.advance(3_600_000);
  book.record('web', 'duration', 30);
  expect(summaryOf(book).recent).toMatchObject({ count: 1, min: 30_000 });
  expect(summaryOf(book).sinceStart.count).toBe(2);
  expect(clock.pending).toBe(0);
});

test('the curve climbs from the smallest value to the largest', () => {
  const book = new LatencyBook(new VirtualClock());
  for (let ms = 1; ms <= 1000; ms += 1) book.record('web', 'duration', ms);
  const curve = totalsOf(book).curve('web', 'duration');
  expect(curve[0]).toEqual({ percentile: 0, us: 1000 });
  expect(curve.at(-1)).toEqual({ percentile: 100, us: 1_000_000 });
  const values = curve.map(({ us }) => us);
  expect(values).toEqual(values.toSorted((a, b) => a - b));
  expect(totalsOf(book).curve('web', 'connect')).toEqual([]);
});

test('a service that is gone is forgotten', () => {
  const book = new LatencyBook(new VirtualClock());
  book.record('web', 'connect', 1);
  book.record('old', 'connect', 1);
  book.prune((service) => service === 'web');
  expect(
    totalsOf(book)
      .summaries()
      .map(({ service }) => service),
  ).toEqual(['web']);
});
