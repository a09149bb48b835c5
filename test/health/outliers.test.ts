import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConnectTimes, FLOOR_MS, LEAST_SAMPLES, latencyOutliers } from '../../src/health/outliers.js';

const known = (typicalMs: number, group = ''): ConnectTimes => ({ group, typicalMs, samples: LEAST_SAMPLES });
const places = (endpoints: readonly ConnectTimes[], factor = 10) =>
  latencyOutliers(endpoints, factor).map(({ index }) => index);

const times = fc.array(
  fc.record({
    group: fc.constantFrom('a', 'b'),
    typicalMs: fc.double({ min: 0.01, max: 5000, noNaN: true }),
    samples: fc.integer({ min: 0, max: 100 }),
  }),
);

describe('an endpoint is an outlier that', () => {
  it('is far slower to connect to than its peers', () => {
    expect(latencyOutliers([known(2), known(800), known(3), known(2)], 10)).toEqual([
      { index: 1, typicalMs: 800, medianMs: 2 },
    ]);
  });

  it('is slow among two that are slow and three that are not, the slowest first', () => {
    expect(places([known(1), known(500), known(1), known(900), known(1)])).toEqual([3, 1]);
  });
});

describe('no endpoint is an outlier', () => {
  it('that connects within 100 ms, however fast the others are', () => {
    expect(places([known(0.1), known(0.1), known(FLOOR_MS)])).toEqual([]);
  });

  it('of few connections, nor where only two can be compared', () => {
    const few = { group: '', typicalMs: 900, samples: LEAST_SAMPLES - 1 };
    expect(places([known(1), known(1), known(1), few])).toEqual([]);
    expect(places([known(1), known(900)])).toEqual([]);
    expect(places([known(1), known(900), few])).toEqual([]);
  });

  it('where all of them are slow', () => {
    expect(places([known(900), known(950), known(1200), known(1000)])).toEqual([]);
  });

  it('for being in another zone than most', () => {
    const near = [1, 1, 1, 1].map((ms) => known(ms, 'near'));
    const far = [150, 160, 170].map((ms) => known(ms, 'far'));
    expect(places([...near, ...far])).toEqual([]);
  });
});

describe('of any endpoints', () => {
  it('outliers are fewer than half of their group, above the floor, and enough is known of them', () => {
    fc.assert(
      fc.property(times, fc.integer({ min: 2, max: 100 }), (endpoints, factor) => {
        const outliers = latencyOutliers(endpoints, factor);
        for (const { index, typicalMs, medianMs } of outliers) {
          expect(endpoints[index]).toMatchObject({ typicalMs });
          expect(endpoints[index]!.samples).toBeGreaterThanOrEqual(LEAST_SAMPLES);
          expect(typicalMs).toBeGreaterThan(Math.max(FLOOR_MS, factor * medianMs));
        }
        for (const group of ['a', 'b']) {
          const judged = endpoints.filter((one) => one.group === group && one.samples >= LEAST_SAMPLES);
          const out = outliers.filter(({ index }) => endpoints[index]!.group === group);
          expect(out.length).toBeLessThanOrEqual(judged.length / 2);
        }
        const slowness = outliers.map(({ typicalMs }) => typicalMs);
        expect(slowness).toEqual(slowness.toSorted((one, other) => other - one));
      }),
    );
  });

  it('a larger factor finds no others than a smaller one', () => {
    fc.assert(
      fc.property(times, fc.integer({ min: 2, max: 50 }), (endpoints, factor) => {
        const more = new Set(places(endpoints, factor));
        for (const index of places(endpoints, factor * 2)) expect(more).toContain(index);
      }),
    );
  });
});
