import { describe, expect, it } from 'vitest';
import { Restarts } from '../../src/workers/restarts.js';

describe('when a dead worker is replaced', () => {
  it('is at once, unless it had just replaced another; then later and later', () => {
    const restarts = new Restarts();
    const waits: number[] = [];
    for (let death = 0; death < 10; death += 1) {
      waits.push(restarts.died(death * 20_000));
      restarts.replaced(death * 20_000 + 19_999);
    }
    expect(waits).toEqual([0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  it('is at once again for one that has served a while', () => {
    const restarts = new Restarts();
    restarts.died(0);
    restarts.replaced(0);
    expect(restarts.died(500)).toBe(100);
    restarts.replaced(600);
    expect(restarts.died(10_600)).toBe(0);
  });
});
