import { expect, test } from 'vitest';
import { formatMs } from '../../src/telemetry/words.js';

test.each([
  [0, '0 µs'],
  [0.0424, '42 µs'],
  [0.5, '500 µs'],
  [0.9999, '1 ms'],
  [3.04, '3 ms'],
  [3.14, '3.1 ms'],
  [9.99, '10 ms'],
  [250.4, '250 ms'],
  [999.4, '999 ms'],
  [999.9, '1 s'],
  [1250, '1.25 s'],
  [59_949, '59.9 s'],
  [59_999, '1m'],
  [90_400, '1m30s'],
  [86_400_000 * 2, '2d'],
])('%d ms is %s', (ms, text) => {
  expect(formatMs(ms)).toBe(text);
});
