import { expect, test } from 'vitest';
import { RefusalLog } from '../../src/telemetry/refusal-log.js';
import { VirtualClock } from '../fakes/clock.js';
import { capturedLog } from '../fakes/telemetry.js';

function refusals() {
  const clock = new VirtualClock();
  const { log, lines } = capturedLog();
  return { clock, lines, refusalLog: new RefusalLog(log.logger, clock) };
}

test('the first refusal is told at once, a flood of them once in ten seconds', () => {
  const { clock, lines, refusalLog } = refusals();
  for (let index = 0; index < 1000; index += 1) refusalLog.refused('web', 'max-connections');
  expect(lines).toMatchObject([
    {
      level: 'warn',
      listener: 'web',
      reason: 'max-connections',
      count: 1,
      msg: expect.stringContaining('refused a connection'),
    },
  ]);
  clock.advance(10_000);
  expect(lines.slice(1)).toMatchObject([{ count: 999, msg: expect.stringContaining('refused 999 more connections') }]);
});

test('it is quiet again after ten seconds without one, with no timer left', () => {
  const { clock, lines, refusalLog } = refusals();
  refusalLog.refused('web', 'draining');
  clock.advance(10_000);
  expect(clock.pending).toBe(0);
  refusalLog.refused('web', 'draining');
  expect(lines).toMatchObject([{ count: 1 }, { count: 1 }]);
});

test('listeners and reasons do not hide each other', () => {
  const { lines, refusalLog } = refusals();
  refusalLog.refused('web', 'max-connections');
  refusalLog.refused('web', 'max-memory');
  refusalLog.refused('db', 'max-connections');
  expect(lines).toHaveLength(3);
});

test('a service whose circuit breaker is open says so, once in ten seconds', () => {
  const { clock, lines, refusalLog } = refusals();
  for (let index = 0; index < 3; index += 1) refusalLog.turnedAway('orders', 'queue-timeout');
  clock.advance(10_000);
  expect(lines).toMatchObject([
    {
      level: 'warn',
      service: 'orders',
      reason: 'queue-timeout',
      count: 1,
      msg: expect.stringContaining('orders refused a'),
    },
    { count: 2 },
  ]);
});
