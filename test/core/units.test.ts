import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/core/units.js';

describe('durations', () => {
  test.each([
    ['0', 0],
    ['0s', 0],
    ['250ms', 250],
    ['2s', 2000],
    ['1.5s', 1500],
    ['1h30m', 5_400_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['0.4ms', 0],
    ['30', undefined],
    ['', undefined],
    ['-1s', undefined],
    ['1 s', undefined],
    ['1S', undefined],
    ['s', undefined],
    ['1.s', undefined],
    ['.5s', undefined],
    ['1s2', undefined],
    ['1w', undefined],
    ['1s\n', undefined],
    [`${'9'.repeat(14)}d`, undefined],
    [`${'9'.repeat(400)}d`, undefined],
  ])('%j', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it('are written so that they are read back as the same', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(), fc.maxSafeNat()), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  it('are written in their shortest form', () => {
    expect(formatDuration(90_000)).toBe('1m30s');
    expect(formatDuration(3_600_000)).toBe('1h');
    expect(formatDuration(0)).toBe('0');
  });

  it('are written to the nearest millisecond', () => {
    expect(formatDuration(0.4)).toBe('0');
    expect(formatDuration(999.6)).toBe('1s');
  });
});

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['1024', 1024],
    ['64KiB', 65536],
    ['64kb', 65536],
    ['64k', 65536],
    ['1.5 MiB', 1_572_864],
    ['2G', 2_147_483_648],
    ['100b', 100],
    ['', undefined],
    ['KiB', undefined],
    ['-1', undefined],
    ['1 2', undefined],
    ['1e3', undefined],
    ['0x10', undefined],
    ['1constructor', undefined],
    ['8388608GiB', undefined],
    ['9'.repeat(400), undefined],
  ])('%j', (text, expected) => {
    expect(parseSize(text)).toBe(expected);
  });

  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1_572_864, '1.5 MiB'],
    [1_048_575, '1020 KiB'],
    [5 * 1024 ** 4, '5 TiB'],
  ])('%d bytes are shown as %s', (bytes, expected) => {
    expect(formatSize(bytes)).toBe(expected);
  });

  it('are shown with no more than half a percent lost', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1024 ** 4 - 1024 ** 3 }), (bytes) => {
        expect(Math.abs((parseSize(formatSize(bytes)) ?? 0) - bytes)).toBeLessThanOrEqual(bytes * 0.005);
      }),
    );
  });
});

it('any text is a duration or a size or neither, and nothing is thrown', () => {
  const text = fc
    .array(fc.constantFrom('1', '9'.repeat(20), '.', 'm', 's', 'ms', 'k', 'iB', ' ', '-'))
    .map((all) => all.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string(), text), (text) => {
      for (const value of [parseDuration(text), parseSize(text)]) {
        if (value !== undefined) expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
      }
    }),
  );
});
