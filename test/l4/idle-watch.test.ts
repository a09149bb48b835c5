import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { watchIdle } from '../../src/l4/idle-watch.js';
import { VirtualClock } from '../fakes/clock.js';

describe('idle watch', () => {
  it('fires once, within a quarter of the timeout after it, whenever the last byte was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 999 }), { maxLength: 8 }), async (gaps) => {
        const clock = new VirtualClock();
        let moved = 0;
        const fired: number[] = [];
        watchIdle(
          clock,
          1000,
          () => moved,
          () => fired.push(clock.now()),
        );
        for (const gap of gaps) {
          await clock.advance(gap);
          moved += 1;
        }
        expect(fired).toEqual([]);
        const last = clock.now();
        await clock.advance(5000);
        expect(fired.length).toBe(1);
        expect(fired[0]! - last).toBeGreaterThanOrEqual(1000);
        expect(fired[0]! - last).toBeLessThanOrEqual(1250);
      }),
    );
  });

  it('is silent once cancelled, and leaves no timer', async () => {
    const clock = new VirtualClock();
    const watch = watchIdle(
      clock,
      1000,
      () => 0,
      () => expect.unreachable(),
    );
    await clock.advance(600);
    watch.cancel();
    await clock.advance(10_000);
    expect(clock.pending).toBe(0);
  });
});
