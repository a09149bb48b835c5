import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { median, medianRatio, spread } from '../../bench/measure/statistics.js';

const values = fc.array(fc.double({ min: 0.001, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 20 });

describe('median', () => {
  it('is the middle of an odd number of values, and the mean of the two in the middle of an even one', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 9, 2])).toBe(3);
    expect(median([])).toBeUndefined();
  });

  it('has as many values below as above, in whatever order they come', () => {
    fc.assert(
      fc.property(values, (all) => {
        const middle = median(all) ?? Number.NaN;
        expect(median([...all].reverse())).toBe(middle);
        const half = all.length / 2;
        expect(all.filter((value) => value < middle).length).toBeLessThanOrEqual(half);
        expect(all.filter((value) => value > middle).length).toBeLessThanOrEqual(half);
      }),
    );
  });
});

describe('spread', () => {
  it('is half the range as a share of the median', () => {
    expect(spread([90, 100, 120])).toBeCloseTo(0.15);
    expect(spread([7, 7, 7])).toBe(0);
  });

  it('is unknown of a single round', () => {
    expect(spread([5])).toBeUndefined();
  });
});

describe('ratio of two peers', () => {
  it('compares within each round, so that a slow round of the machine changes nothing', () => {
    const ours = new Map([
      [0, 11],
      [1, 110],
      [2, 11],
    ]);
    const theirs = new Map([
      [0, 10],
      [1, 100],
      [2, 10],
    ]);
    expect(medianRatio(ours, theirs)).toBeCloseTo(1.1);
  });

  it('leaves out rounds that only one of them has', () => {
    const ours = new Map([
      [0, 20],
      [1, 999],
    ]);
    const theirs = new Map([
      [0, 10],
      [2, 1],
    ]);
    expect(medianRatio(ours, theirs)).toBe(2);
    expect(medianRatio(new Map([[0, 1]]), new Map([[1, 1]]))).toBeUndefined();
  });

  it('of a peer to itself is 1', () => {
    fc.assert(
      fc.property(values, (all) => {
        const rounds = new Map(all.entries());
        expect(medianRatio(rounds, rounds)).toBe(1);
      }),
    );
  });
});
