/** Latencies, as the load programs report them and as hdr-histogram keeps them. */
import { build, type Histogram } from 'hdr-histogram-js';

/** `[nanoseconds, how many]`. */
export type LatencyCounts = readonly (readonly [number, number])[];

/** Percentiles along the axis that hdr plots use: each step halves what is left above, down to one in 100 000. */
const DEEPEST = 0.00001;
const STEPS_PER_HALF = 8;

/** Ten minutes: longer than any benchmark lets anything take. */
const LONGEST_NS = 600_000_000_000;

export function histogramOf(...all: LatencyCounts[]): Histogram {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_NS,
    numberOfSignificantValueDigits: 3,
    autoResize: false,
  });
  for (const [ns, count] of all.flat()) {
    histogram.recordValueWithCount(Math.min(Math.max(1, Math.round(ns)), LONGEST_NS), count);
  }
  return histogram;
}

/** One point of a percentile curve. */
export interface CurvePoint {
  /** The share of requests at most as slow as this: 0.99 is the 99th percentile. */
  readonly quantile: number;
  readonly ms: number;
}

/** The percentile curve, as far up as the number of values supports: one value alone says nothing about one in 1000. */
export function percentileCurve(histogram: Histogram): CurvePoint[] {
  const total = histogram.totalCount;
  const points: CurvePoint[] = [];
  for (let step = 0; total > 0; step++) {
    const above = 2 ** (-step / STEPS_PER_HALF);
    if (above < Math.max(DEEPEST, 1 / total)) break;
    const quantile = 1 - above;
    points.push({ quantile, ms: histogram.getValueAtPercentile(quantile * 100) / 1e6 });
  }
  return points;
}
