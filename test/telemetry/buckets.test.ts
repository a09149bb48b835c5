import { expect, test } from 'vitest';
import { Buckets } from '../../src/telemetry/buckets.js';

test('a bucket counts what is at most as large as its bound', () => {
  const buckets = new Buckets([0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 1, 7]) buckets.observe(value);
  expect([...buckets.lines('x', 'service="web"')]).toEqual([
    'x_bucket{service="web",le="0.1"} 2',
    'x_bucket{service="web",le="1"} 4',
    'x_bucket{service="web",le="+Inf"} 5',
    'x_sum{service="web"} 8.65',
    'x_count{service="web"} 5',
  ]);
});
