import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RETRY_BUDGET_WORDS, RetryBudget } from '../../src/balancer/retry-budget.js';

function budget(): RetryBudget {
  return new RetryBudget(new Int32Array(new SharedArrayBuffer(RETRY_BUDGET_WORDS * 4)));
}

describe('the retry budget', () => {
  it('allows its share of the connections of the last ten seconds', () => {
    const one = budget();
    const settings = { share: 0.2, minPerSecond: 1 };
    for (let at = 0; at < 1000; at += 1) one.connection(5_000 + at);
    let retries = 0;
    while (one.retry(settings, 5_999)) retries += 1;
    expect(retries).toBe(200);
    expect(one.retry(settings, 14_999)).toBe(false);
    expect(one.retry(settings, 15_000)).toBe(true);
  });

  it('allows its least number to a service with few connections', () => {
    const one = budget();
    one.connection(1_000);
    let retries = 0;
    while (one.retry({ share: 0.2, minPerSecond: 3 }, 1_000)) retries += 1;
    expect(retries).toBe(30);
  });

  it('tells what was spent of the last ten seconds and what may be', () => {
    const one = budget();
    const settings = { share: 0.5, minPerSecond: 1 };
    expect(one.use(settings, 1_000)).toEqual({ spent: 0, allowed: 10 });
    for (let times = 0; times < 100; times += 1) one.connection(1_000);
    while (one.retry(settings, 1_000));
    expect(one.use(settings, 1_000)).toEqual({ spent: 50, allowed: 50 });
    expect(one.use(settings, 11_000)).toEqual({ spent: 0, allowed: 10 });
  });

  it('is one for all threads', () => {
    const cells = new Int32Array(new SharedArrayBuffer(RETRY_BUDGET_WORDS * 4));
    const [one, other] = [new RetryBudget(cells), new RetryBudget(cells)];
    for (let times = 0; times < 100; times += 1) one.connection(1_000);
    let retries = 0;
    while (other.retry({ share: 0.5, minPerSecond: 1 }, 1_000)) retries += 1;
    expect(retries).toBe(50);
    expect(one.retry({ share: 0.5, minPerSecond: 1 }, 1_000)).toBe(false);
  });

  it('never lets more through than its share of any ten seconds, or its least number', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ afterMs: fc.integer({ min: 0, max: 4_000 }), kind: fc.constantFrom('connection', 'retry') }),
          {
            maxLength: 300,
          },
        ),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 5 }),
        (steps, share, minPerSecond) => {
          const one = budget();
          const [connections, retries]: [number[], number[]] = [[], []];
          let now = 0;
          for (const { afterMs, kind } of steps) {
            now += afterMs;
            const second = Math.floor(now / 1000);
            const recent = (all: readonly number[]): number => all.filter((at) => second - at < 10).length;
            if (kind === 'connection') {
              one.connection(now);
              connections.push(second);
            } else {
              const allowed = recent(retries) + 1 <= Math.max(share * recent(connections), minPerSecond * 10);
              expect(one.retry({ share, minPerSecond }, now)).toBe(allowed);
              if (allowed) retries.push(second);
            }
          }
        },
      ),
    );
  });
});
