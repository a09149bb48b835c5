import { describe, expect, it } from 'vitest';
import { Unanswered } from '../../src/l4/unanswered.js';
import { VirtualClock } from '../fakes/clock.js';

function waiting() {
  const told: number[] = [];
  return { told, stillWaits: (now: number) => void told.push(now), before: undefined, after: undefined };
}

describe('connections that wait for an answer', () => {
  it('tell so every second, until they are answered', () => {
    const clock = new VirtualClock();
    const all = new Unanswered(clock);
    const [one, other] = [waiting(), waiting()];
    all.add(one);
    clock.advance(500);
    all.add(other);
    clock.advance(500);
    expect([one.told, other.told]).toEqual([[2000], [2000]]);
    all.delete(one);
    clock.advance(1000);
    expect([one.told, other.told]).toEqual([[2000], [2000, 3000]]);
  });

  it('cost no timer while there is none', () => {
    const clock = new VirtualClock();
    const all = new Unanswered(clock);
    const one = waiting();
    all.add(one);
    all.delete(one);
    clock.advance(1000);
    expect(clock.pending).toBe(0);
    all.add(one);
    clock.advance(1000);
    expect(one.told).toEqual([3000]);
  });
});
