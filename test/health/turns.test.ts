import { describe, expect, it } from 'vitest';
import { Turns } from '../../src/health/turns.js';
import { turn, VirtualClock } from '../fakes/clock.js';
import { withResolvers } from '../fakes/net.js';

describe('turns', () => {
  it('are given to so many at a time, in the order in which they were asked for', async () => {
    const turns = new Turns(new VirtualClock(), { atATime: 2, perWindow: 100, windowMs: 10 });
    const begun: number[] = [];
    const runs = [0, 1, 2, 3].map(() => withResolvers<void>());
    for (const [index, { promise }] of runs.entries()) {
      turns.take(() => {
        begun.push(index);
        return promise;
      });
    }
    expect(begun).toEqual([0, 1]);
    runs[1]?.resolve();
    await turn();
    expect(begun).toEqual([0, 1, 2]);
    runs[0]?.resolve();
    runs[2]?.resolve();
    await turn();
    expect(begun).toEqual([0, 1, 2, 3]);
  });

  it('begin at no more than a rate, however short they are', async () => {
    const clock = new VirtualClock();
    const turns = new Turns(clock, { atATime: 100, perWindow: 10, windowMs: 10 });
    let done = 0;
    for (let count = 0; count < 1000; count += 1) {
      turns.take(async () => {
        done += 1;
      });
    }
    await turn();
    expect(done).toBe(10);
    await clock.advanceAsync(500);
    expect(done).toBe(510);
    turns.stop();
    await clock.advanceAsync(1000);
    expect(done).toBe(510);
  });
});
