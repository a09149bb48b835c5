import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBandwidth, formatRate, parseBandwidth, parseRate } from '../../src/core/rate.js';

describe('rates', () => {
  it.each([
    ['100/s', { count: 100, perMs: 1000 }],
    ['10/m', { count: 10, perMs: 60_000 }],
    ['1 / h', { count: 1, perMs: 3_600_000 }],
  ])('%s is read', (text, rate) => {
    expect(parseRate(text)).toEqual(rate);
  });

  it.each(['', '100', '/s', '0/s', '-1/s', '1.5/s', '1/d', '1/ms', '1e3/s', '1/s ', 'x/s', '10MiB/s', '1234567890/s'])(
    '%j is none',
    (text) => {
      expect(parseRate(text)).toBeUndefined();
    },
  );

  it('are read back as they are written', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 999_999_999 }),
        fc.constantFrom(1000, 60_000, 3_600_000),
        (count, perMs) => {
          expect(parseRate(formatRate({ count, perMs }))).toEqual({ count, perMs });
        },
      ),
    );
  });
});

describe('bandwidths', () => {
  it.each([
    ['10MiB/s', 10 * 1024 ** 2],
    ['1.5k / s', 1536],
    ['1024/s', 1024],
  ])('%s is read', (text, bytes) => {
    expect(parseBandwidth(text)).toBe(bytes);
  });

  it.each(['', '10MiB', '/s', '10MiB/m', '10 apples/s', '-1/s', '10MiB/s/s'])('%j is none', (text) => {
    expect(parseBandwidth(text)).toBeUndefined();
  });

  it('are read back as they are written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (bytes) => {
        expect(parseBandwidth(formatBandwidth(bytes))).toBe(bytes);
      }),
    );
  });
});
