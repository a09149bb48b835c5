import { describe, expect, it } from 'vitest';
import { sleep } from '../../src/core/clock.js';
import { turn, VirtualClock } from '../fakes/clock.js';

describe('sleep', () => {
  function start(signal: AbortSignal) {
    const clock = new VirtualClock();
    const state = { awake: false };
    void sleep(clock, 1000, signal).then(() => {
      state.awake = true;
    });
    return { clock, state };
  }

  it('lasts as long as it was asked to', async () => {
    const { clock, state } = start(new AbortController().signal);
    await clock.advanceAsync(999);
    expect(state.awake).toBe(false);
    await clock.advanceAsync(1);
    await turn();
    expect(state.awake).toBe(true);
  });

  it('ends at once when it is aborted, and leaves no timer', async () => {
    const controller = new AbortController();
    const { clock, state } = start(controller.signal);
    await clock.advanceAsync(500);
    controller.abort();
    await turn();
    expect([state.awake, clock.pending]).toEqual([true, 0]);
  });

  it('does not begin where it was aborted before', async () => {
    const { clock, state } = start(AbortSignal.abort());
    await turn();
    expect([state.awake, clock.pending]).toEqual([true, 0]);
  });
});
