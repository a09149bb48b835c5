import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawPercentiles, type Panel } from '../../bench/report/plot.js';
import { renderPng } from '../../bench/report/png.js';
import {
  formatLatency,
  linear,
  logarithmic,
  logTicks,
  niceBound,
  ninesOf,
  percentileTicks,
} from '../../bench/report/scales.js';

const positive = fc.double({ min: 1e-4, max: 1e5, noNaN: true });

describe('scales of the plot', () => {
  it('put each further nine of a percentile one step to the right', () => {
    expect([0, 0.9, 0.99, 0.999].map((quantile) => Number(ninesOf(quantile).toFixed(9)))).toEqual([0, 1, 2, 3]);
  });

  it('map the ends of a range to the ends of an axis, and what lies between in order', () => {
    fc.assert(
      fc.property(positive, positive, positive, (a, b, c) => {
        const [from, middle, to] = [a, b, c].sort((x, y) => x - y) as [number, number, number];
        fc.pre(to > from * 1.0001);
        for (const scale of [linear(from, to, 10, 110), logarithmic(from, to, 10, 110)]) {
          expect(scale(from)).toBeCloseTo(10);
          expect(scale(to)).toBeCloseTo(110);
          expect(scale(middle)).toBeGreaterThanOrEqual(10 - 1e-9);
          expect(scale(middle)).toBeLessThanOrEqual(110 + 1e-9);
        }
      }),
    );
  });

  it('round a range outwards to 1, 2 or 5 times a power of ten, by less than a factor of 2.5', () => {
    expect([0.03, 0.05, 7, 1000].map((value) => niceBound(value, 'down'))).toEqual([0.02, 0.05, 5, 1000]);
    expect([0.03, 0.05, 7, 1000].map((value) => Number(niceBound(value, 'up').toFixed(9)))).toEqual([
      0.05, 0.05, 10, 1000,
    ]);
    fc.assert(
      fc.property(positive, (value) => {
        expect(niceBound(value, 'down')).toBeLessThanOrEqual(value * 1.00001);
        expect(niceBound(value, 'down')).toBeGreaterThan(value / 2.51);
        expect(niceBound(value, 'up')).toBeGreaterThanOrEqual(value * 0.99999);
        expect(niceBound(value, 'up')).toBeLessThan(value * 2.51);
      }),
    );
  });

  it('have ticks inside the range: fewer to a decade where there are many decades', () => {
    expect(logTicks(0.05, 2)).toEqual([0.05, 0.1, 0.2, 0.5, 1, 2]);
    expect(logTicks(0.01, 1000)).toEqual([0.01, 0.1, 1, 10, 100, 1000]);
    expect(percentileTicks(2.5).map(({ label }) => label)).toEqual(['0 %', '50 %', '90 %', '99 %']);
  });

  it('write latencies in the unit that suits them', () => {
    expect([0.05, 0.5, 1, 20, 1000, 2500].map(formatLatency)).toEqual([
      '50 µs',
      '500 µs',
      '1 ms',
      '20 ms',
      '1 s',
      '2.5 s',
    ]);
  });
});

describe('the plot', () => {
  const panel: Panel = {
    title: 'a <title> & more',
    curves: [
      {
        peer: 'pipe',
        points: [
          { quantile: 0, ms: 0.1 },
          { quantile: 0.9, ms: 1 },
          { quantile: 0.99, ms: 10 },
        ],
      },
      {
        peer: 'meshproxy',
        points: [
          { quantile: 0, ms: 0.2 },
          { quantile: 0.99, ms: 2 },
        ],
      },
    ],
  };

  it('has one curve for each peer, a legend, labelled axes, and no markup from outside', () => {
    const svg = drawPercentiles([panel], 'some machine');
    const curves = [...svg.matchAll(/<polyline points="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(curves).toHaveLength(2);
    // To the right and up (y grows downwards): a slower percentile lies further right and higher.
    const points = (curves[0] ?? '').split(' ').map((point) => point.split(',').map(Number));
    expect(points.map(([x]) => x)).toEqual([...points.map(([x]) => x ?? 0)].sort((a, b) => a - b));
    expect(points.map(([, y]) => y)).toEqual([...points.map(([, y]) => y ?? 0)].sort((a, b) => b - a));
    for (const label of ['>pipe<', '>meshproxy<', '>percentile<', '>latency<', '>99 %<', '>1 ms<', '>some machine<']) {
      expect(svg).toContain(label);
    }
    expect(svg).toContain('a &lt;title&gt; &amp; more');
  });

  it('of a workload without latencies is its title alone', () => {
    expect(drawPercentiles([{ title: 'nothing', curves: [{ peer: 'pipe', points: [] }] }], '')).not.toContain(
      'polyline',
    );
  });

  it('is rendered as a PNG of twice its size', () => {
    const png = renderPng(drawPercentiles([panel], 'some machine'));
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1800, 2 * 492]);
  });
});
