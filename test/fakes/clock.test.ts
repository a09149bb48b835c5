import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from './clock.js';

describe('virtual clock', () => {
  it('stands still until it is moved, monotonic and wall time alike', () => {
    const clock = new VirtualClock();
    const { now, wall } = { now: clock.now(), wall: clock.wall() };
    clock.after(0, () => expect.unreachable());
    expect([clock.now(), clock.wall()]).toEqual([now, wall]);
  });

  it('calls every timer once, at its time, the earlier first and of equal ones the one that was set first', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), fc.array(fc.nat(20)), (delays, steps) => {
        const clock = new VirtualClock();
        const start = clock.now();
        const fired: { index: number; at: number }[] = [];
        delays.forEach((delay, index) => {
          clock.after(delay, () => fired.push({ index, at: clock.now() - start }));
        });
        for (const step of [...steps, 50]) clock.advance(step);
        const expected = delays.map((at, index) => ({ index, at })).sort((a, b) => a.at - b.at || a.index - b.index);
        expect(fired).toEqual(expected);
        expect(clock.now() - start).toBe(steps.reduce((sum, step) => sum + step, 50));
      }),
    );
  });

  it('calls a timer that another one sets, if it is due by then', () => {
    const clock = new VirtualClock();
    const start = clock.now();
    const fired: number[] = [];
    clock.after(10, () => clock.after(5, () => fired.push(clock.now() - start)));
    clock.advance(14);
    expect(fired).toEqual([]);
    clock.advance(1);
    expect(fired).toEqual([15]);
  });

  it('forgets a timer that is cancelled, also by one due at the same moment', () => {
    const clock = new VirtualClock();
    clock.after(10, () => later.cancel());
    const later = clock.after(10, () => expect.unreachable());
    expect(clock.pending).toBe(2);
    clock.advance(10);
    expect(clock.pending).toBe(0);
  });

  it('advanceAsync lets a loop that awaits its timers go round as often as real time would', async () => {
    const clock = new VirtualClock();
    const start = clock.now();
    const rounds: number[] = [];
    const loop = async () => {
      for (;;) {
        await new Promise<void>((resolve) => clock.after(10, resolve));
        await Promise.resolve();
        rounds.push(clock.now() - start);
      }
    };
    void loop();
    await clock.advanceAsync(35);
    expect(rounds).toEqual([10, 20, 30]);
    expect(clock.now() - start).toBe(35);
  });

  it('advanceAsync first lets run what was already under way', async () => {
    const clock = new VirtualClock();
    let fired = false;
    void Promise.resolve().then(() => clock.after(5, () => (fired = true)));
    await clock.advanceAsync(5);
    expect(fired).toBe(true);
  });
});
