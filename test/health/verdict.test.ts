import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { after, firstAfter, type Health, nextAfter, UNKNOWN } from '../../src/health/verdict.js';

const thresholds = fc.record({ rise: fc.integer({ min: 1, max: 5 }), fall: fc.integer({ min: 1, max: 5 }) });

/** The standing after each of these checks. */
function through(results: readonly boolean[], bounds: { rise: number; fall: number }, start: Health = UNKNOWN) {
  const turns: boolean[] = [];
  let health = start;
  for (const passed of results) {
    health = after(health, passed, bounds).health;
    turns.push(health.isHealthy);
  }
  return turns;
}

describe('an endpoint', () => {
  it('counts as healthy until found otherwise, and its very first check may find that', () => {
    expect(UNKNOWN.isHealthy).toBe(true);
    expect(after(UNKNOWN, false, { rise: 2, fall: 3 })).toMatchObject({ health: { isHealthy: false }, turnedBy: 1 });
  });

  it('is out after three failures in a row, and back after two that passed', () => {
    const results = [true, false, false, true, false, false, false, true, false, true, true];
    const standing = [true, true, true, true, true, true, false, false, false, false, true];
    expect(through(results, { rise: 2, fall: 3 })).toEqual(standing);
  });

  it('turns only after as many checks in a row as were asked for, and then always', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 2 }), thresholds, (results, bounds) => {
        const standing = [true, ...through(results, bounds)];
        for (let at = 1; at < results.length; at += 1) {
          const [was, is] = [standing[at], standing[at + 1]];
          const needed = was ? bounds.fall : bounds.rise;
          const recent = results.slice(Math.max(0, at + 1 - needed), at + 1);
          const allAgainst = recent.length === needed && recent.every((one) => one !== was);
          if (is !== was) expect(allAgainst).toBe(true);
          // A standing that has lasted as long as those checks must have turned.
          const steady = standing.slice(at + 1 - needed, at + 1).every((one) => one === was);
          if (allAgainst && steady && at + 1 - needed >= 0) expect(is).not.toBe(was);
        }
      }),
    );
  });
});

describe('checks', () => {
  it('are a tenth earlier or later than the interval says, so that proxies do not ask together', () => {
    expect([0, 0.5, 1].map((random) => nextAfter(1000, random))).toEqual([900, 1000, 1100]);
  });

  it('of one endpoint that is added begin at once, of thousands over the interval', () => {
    expect(firstAfter(5000, 1, 1)).toBeLessThanOrEqual(10);
    expect(firstAfter(5000, 100_000, 1)).toBe(5000);
    expect(firstAfter(5000, 100_000, 0.25)).toBe(1250);
  });
});
