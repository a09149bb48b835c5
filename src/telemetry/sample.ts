/** Measured values as plain data: how often each occurred, as exactly as the histogram that counted them. */
import type { JsHistogram } from 'hdr-histogram-js';
// By itself: the package's other histograms, their WebAssembly and their compression would be loaded by every thread.
import histogram from 'hdr-histogram-js/dist/Int32Histogram.js';

export interface Sample {
  /** Groups of values that the histogram cannot tell apart, by their index in it, ascending; only those that have any. */
  readonly groups: readonly number[];
  /** How many values each of them has. */
  readonly counts: readonly number[];
  /** Microseconds, of all values, exactly; as are the extremes. */
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** All in microseconds, save `count`. */
export interface LatencySummary {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export const NO_SAMPLE: Sample = { groups: [], counts: [], sum: 0, min: Number.POSITIVE_INFINITY, max: 0 };

/** Two significant digits: a value is off by less than 1 %, and a histogram is a tenth of the size that three would take. */
const DIGITS = 2;
/** Where a histogram's range starts out, microseconds; it grows with its values. */
const START_US = 10_000;
/** For what its groups mean, which is the same in every one of them, whatever its range. */
const SCALE = createHistogram();

/** For microseconds. Its counters have 32 bits. */
export function createHistogram(): JsHistogram {
  const created = new histogram.default(1, START_US, DIGITS);
  created.autoResize = true;
  return created;
}

/** Both together, exactly. */
export function mergeSamples(one: Sample, other: Sample): Sample {
  if (one.groups.length === 0) return other;
  if (other.groups.length === 0) return one;
  const groups: number[] = [];
  const counts: number[] = [];
  let [i, j] = [0, 0];
  while (i < one.groups.length || j < other.groups.length) {
    const a = one.groups[i] ?? Number.POSITIVE_INFINITY;
    const b = other.groups[j] ?? Number.POSITIVE_INFINITY;
    groups.push(Math.min(a, b));
    counts.push((a <= b ? (one.counts[i] ?? 0) : 0) + (b <= a ? (other.counts[j] ?? 0) : 0));
    if (a <= b) i += 1;
    if (b <= a) j += 1;
  }
  const [min, max] = [Math.min(one.min, other.min), Math.max(one.max, other.max)];
  return { groups, counts, sum: one.sum + other.sum, min, max };
}

export function countOf({ counts }: Sample): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The values that so many percent (ascending) of all are not larger than; never outside of what was measured. */
export function percentilesOf(sample: Sample, percentiles: readonly number[]): number[] {
  const { groups, counts, min, max } = sample;
  const count = countOf(sample);
  let index = 0;
  let upTo = counts[0] ?? 0;
  return percentiles.map((percentile) => {
    const rank = Math.ceil((percentile * count) / 100);
    while (upTo < rank && index + 1 < counts.length) {
      index += 1;
      upTo += counts[index] ?? 0;
    }
    if (rank === 0) return min;
    const upperEnd = SCALE.valueFromIndex((groups[index] ?? 0) + 1) - 1;
    return Math.min(Math.max(upperEnd, min), max);
  });
}

/** @param sample of one value at least */
export function summarize(sample: Sample): LatencySummary {
  const count = countOf(sample);
  const [p50 = 0, p90 = 0, p99 = 0, p999 = 0] = percentilesOf(sample, [50, 90, 99, 99.9]);
  const mean = Math.round(sample.sum / count);
  return { count, min: sample.min, mean, p50, p90, p99, p999, max: sample.max };
}
