import { expect, test } from 'vitest';
import { AttemptBook, OTHER } from '../../src/telemetry/attempts.js';
import type { Attempt } from '../../src/telemetry/record.js';
import { VirtualClock } from '../fakes/clock.js';

const attempt = (endpoint: string, error?: string): Attempt => ({
  endpoint,
  why: 'next in turn',
  address: '10.0.0.1:80',
  durationMs: 1,
  ...(error !== undefined && { error }),
});

test('attempts are counted per endpoint, and the last failure is kept', () => {
  const clock = new VirtualClock();
  const book = new AttemptBook();
  book.attempted('web', attempt('a', 'no answer'), clock);
  clock.advance(5000);
  book.attempted('web', attempt('a', 'refused'), clock);
  book.attempted('web', attempt('a'), clock);
  book.attempted('db', attempt('a'), clock);
  expect(book.of('web', 'a')).toEqual({
    connected: 1,
    failed: 2,
    lastFailure: { at: clock.wall(), address: '10.0.0.1:80', error: 'refused' },
  });
  expect(book.of('db', 'a')).toEqual({ connected: 1, failed: 0 });
  expect(book.of('db', 'b')).toBeUndefined();
});

test('however many endpoints come by, a thousand are told apart', () => {
  const clock = new VirtualClock();
  const book = new AttemptBook();
  for (let index = 0; index < 5000; index += 1) book.attempted('web', attempt(`10.0.0.1:${index}`), clock);
  const names = [...book].map(({ endpoint }) => endpoint);
  expect(names).toHaveLength(1001);
  expect(book.of('web', OTHER)).toMatchObject({ connected: 4000 });
  book.attempted('web', attempt('10.0.0.1:7'), clock);
  expect(book.of('web', '10.0.0.1:7')).toMatchObject({ connected: 2 });
});

test('endpoints that are gone are forgotten, and make room', () => {
  const clock = new VirtualClock();
  const book = new AttemptBook();
  for (let index = 0; index < 1000; index += 1) book.attempted('web', attempt(`10.0.0.1:${index}`), clock);
  book.prune((_, endpoint) => endpoint === '10.0.0.1:5');
  book.attempted('web', attempt('new'), clock);
  expect([...book].map(({ endpoint }) => endpoint)).toEqual(['10.0.0.1:5', 'new']);
});
