import { expect, test } from 'vitest';
import { PauseLog } from '../../src/telemetry/pause-log.js';
import { VirtualClock } from '../fakes/clock.js';
import { capturedLog } from '../fakes/telemetry.js';

function pauses() {
  const clock = new VirtualClock();
  const { log, lines } = capturedLog();
  return { clock, lines, pauseLog: new PauseLog(log.logger, clock) };
}

test('a pause is told with how many connections there are and what to do, and so is its end', () => {
  const { lines, pauseLog } = pauses();
  pauseLog.changed(true, 42);
  pauseLog.changed(false, 41);
  expect(lines).toMatchObject([
    { level: 'warn', connections: 42, msg: expect.stringMatching(/paused.*ulimit -n/) },
    { level: 'info', connections: 41, msg: expect.stringContaining('goes on') },
  ]);
});

test('one connection is one', () => {
  const { lines, pauseLog } = pauses();
  pauseLog.changed(true, 1);
  expect(lines).toMatchObject([{ msg: expect.stringContaining('1 connection uses the descriptors') }]);
});

test('pauses that follow each other are told of once in ten seconds, both ends or neither', () => {
  const { clock, lines, pauseLog } = pauses();
  for (let i = 0; i < 1000; i += 1) {
    pauseLog.changed(true, i);
    clock.advance(9);
    pauseLog.changed(false, i);
  }
  expect(lines.map(({ level }) => level)).toEqual(['warn', 'info']);
  clock.advance(1000);
  pauseLog.changed(true, 1);
  expect(lines.length).toBe(3);
});
