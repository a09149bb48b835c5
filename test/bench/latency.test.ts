import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Recorder } from '../../bench/load/node/recorder.js';
import { parseLoadResult } from '../../bench/load/result.js';
import { histogramOf, percentileCurve } from '../../bench/measure/latency.js';

describe('recorded latencies', () => {
  it('are kept within 1 % from nanoseconds to minutes, through the line that a load program prints', () => {
    const milliseconds = fc.double({ min: 0.001, max: 300_000, noNaN: true });
    fc.assert(
      fc.property(milliseconds, (ms) => {
        const recorder = new Recorder();
        recorder.answered(ms);
        const { latencies } = parseLoadResult(`warming up\n${JSON.stringify(recorder.result(1))}\n`);
        const kept = histogramOf(latencies).getValueAtPercentile(100) / 1e6;
        expect(Math.abs(kept - ms) / ms).toBeLessThan(0.01);
      }),
    );
  });

  it('count the wait of a message that was never answered, and count it as an error', () => {
    const recorder = new Recorder();
    recorder.answered(1);
    recorder.unanswered(5_000);
    const result = recorder.result(1);
    expect(result).toMatchObject({ units: 1, errors: 1 });
    expect(histogramOf(result.latencies).totalCount).toBe(2);
    expect(histogramOf(result.latencies).getValueAtPercentile(100)).toBeGreaterThan(4.9e9);
  });

  it('of several rounds add up', () => {
    const both = histogramOf([[1_000_000, 3]], [[9_000_000, 1]]);
    expect(both.totalCount).toBe(4);
    expect(both.getValueAtPercentile(50) / 1e6).toBeCloseTo(1, 1);
    expect(both.getValueAtPercentile(100) / 1e6).toBeCloseTo(9, 1);
  });
});

describe('a percentile curve', () => {
  it('rises, and ends where there is no value left to tell the next percentile from', () => {
    const some = fc.array(fc.tuple(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 500 })), {
      minLength: 1,
    });
    fc.assert(
      fc.property(some, (counts) => {
        const histogram = histogramOf(counts);
        const curve = percentileCurve(histogram);
        expect(curve[0]?.quantile).toBe(0);
        for (const [index, point] of curve.entries()) {
          const before = curve[index - 1];
          if (before) expect(point.ms).toBeGreaterThanOrEqual(before.ms);
          expect(1 - point.quantile).toBeGreaterThanOrEqual(1 / histogram.totalCount - 1e-12);
        }
      }),
    );
  });

  it('of nothing is empty', () => {
    expect(percentileCurve(histogramOf([]))).toEqual([]);
  });
});

describe('the result of a load program', () => {
  it('that is none is refused with its last line', () => {
    expect(() => parseLoadResult('Segmentation fault\n')).toThrow('Segmentation fault');
    expect(() => parseLoadResult('')).toThrow('without a result');
    expect(() => parseLoadResult('{"units":-1,"seconds":1,"errors":0,"latencies":[]}')).toThrow();
  });
});
