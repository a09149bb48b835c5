import { describe, expect, it } from 'vitest';
import { countOf, durationOf, rateOf } from '../../../src/cli/ca/values.js';

describe('values of options', () => {
  it.each([
    ['200/s', 200],
    ['600/m', 10],
    ['36/h', 0.01],
    ['0.5/s', 0.5],
    ['off', Number.POSITIVE_INFINITY],
  ])('%s is a rate of %s a second', (text, rate) => {
    expect(rateOf('--rate', text)).toBe(rate);
  });

  it.each(['', '200', '0/s', '-1/s', '1/d', '1e3/s', ' 1/s', '1/s/s'])('%j is no rate', (text) => {
    expect(() => rateOf('--rate', text)).toThrow(`--rate ${JSON.stringify(text)}: write 200/s, 600/m, or off`);
  });

  it('durations and counts have bounds, which are said', () => {
    const range = { least: 1000, most: 60_000 };
    expect(durationOf('--ttl', '1m', range)).toBe(60_000);
    expect(() => durationOf('--ttl', '61s', range)).toThrow('--ttl "61s": it is not between 1s and 1m');
    expect(() => durationOf('--ttl', '60', range)).toThrow('it is no duration; write 30m');
    expect(countOf('--concurrency', '7', { least: 1, most: 9 })).toBe(7);
    for (const text of ['0', '10', '1.5', 'x', '']) {
      expect(() => countOf('--concurrency', text, { least: 1, most: 9 })).toThrow('write a number from 1 to 9');
    }
  });
});
