import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Shedder } from '../../src/l4/shedder.js';

const TARGET = 20;
const INTERVAL = 100;

/** A thread that has had the same standing wait for two intervals; the time of the end. */
function overloaded(waitMs = 30): { readonly shedder: Shedder; readonly now: number } {
  const shedder = new Shedder(TARGET);
  let now = 0;
  for (; now <= 2 * INTERVAL; now += 10) {
    shedder.waited(waitMs, now);
    shedder.came('source', 'noisy', now);
  }
  return { shedder, now };
}

describe('shedding', () => {
  it('refuses nobody before the wait has been standing for an interval', () => {
    const shedder = new Shedder(TARGET);
    for (let now = 0; now < INTERVAL; now += 10) {
      shedder.waited(5000, now);
      expect(shedder.refuses('source', 'noisy', 5000, now)).toBe(false);
    }
  });

  it('refuses who has waited longer than the target, in an overload', () => {
    const { shedder, now } = overloaded();
    expect(shedder.refuses('source', 'noisy', TARGET, now)).toBe(false);
    expect(shedder.refuses('source', 'noisy', TARGET + 1, now)).toBe(true);
  });

  it('lets a quiet client in while a noisy one is refused, unless it has waited for an interval', () => {
    const { shedder, now } = overloaded();
    shedder.came('source', 'quiet', now);
    expect(shedder.refuses('source', 'quiet', INTERVAL, now)).toBe(false);
    expect(shedder.refuses('source', 'new', INTERVAL, now)).toBe(false);
    expect(shedder.refuses('source', 'quiet', INTERVAL + 1, now)).toBe(true);
  });

  it('refuses who is not known yet only where anybody would be', () => {
    const { shedder, now } = overloaded();
    expect(shedder.refusesAnyone(INTERVAL, now)).toBe(false);
    expect(shedder.refusesAnyone(INTERVAL + 1, now)).toBe(true);
  });

  it('lets one in after many refusals, so that a thread that is kept busy by refusing serves somebody', () => {
    const { shedder, now } = overloaded();
    const refused = Array.from({ length: 34 }, () => {
      const isRefused = shedder.refuses('source', 'noisy', 5000, now);
      if (!isRefused) shedder.admitted();
      return isRefused;
    });
    expect(refused.filter((one) => !one)).toHaveLength(2);
  });

  it('compares identities with identities, and addresses with addresses', () => {
    const { shedder, now } = overloaded();
    for (let times = 0; times < 10; times += 1) shedder.came('identity', 'spiffe://a/noisy', now);
    shedder.came('identity', 'spiffe://a/quiet', now);
    expect(shedder.refuses('identity', 'spiffe://a/noisy', TARGET + 1, now)).toBe(true);
    expect(shedder.refuses('identity', 'spiffe://a/quiet', TARGET + 1, now)).toBe(false);
  });

  it('asks each connection in an overload, and else one now and then', () => {
    const calm = new Shedder(TARGET);
    expect(calm.asks(0)).toBe(true);
    calm.waited(0, 0);
    expect(calm.asks(0.5)).toBe(false);
    expect(calm.asks(1)).toBe(true);
    const { shedder, now } = overloaded();
    shedder.waited(30, now);
    expect(shedder.asks(now)).toBe(true);
  });

  /**
   * One thread that serves one connection each `costMs`, with a queue before it: clients that come at three times what it can do, most
   * of them of one source. Refusing costs nothing.
   */
  function simulate(costMs: number, noisyPerMs: number, quietPerMs: number, durationMs: number) {
    const shedder = new Shedder(TARGET);
    const queue: { readonly at: number; readonly source: string }[] = [];
    const waits: number[] = [];
    const outcomes = { noisy: [0, 0], quiet: [0, 0] };
    let [busyUntil, noisy, quiet] = [0, 0, 0];
    for (let now = 0; now < durationMs; now += 1) {
      for (noisy += noisyPerMs; noisy >= 1; noisy -= 1) queue.push({ at: now, source: 'noisy' });
      for (quiet += quietPerMs; quiet >= 1; quiet -= 1) queue.push({ at: now, source: `quiet ${now % 50}` });
      while (busyUntil <= now) {
        const next = queue.shift();
        if (next === undefined) break;
        const waited = now - next.at;
        shedder.waited(waited, now);
        const outcome = next.source === 'noisy' ? outcomes.noisy : outcomes.quiet;
        shedder.came('source', next.source, now);
        const refused = shedder.refuses('source', next.source, waited, now);
        if (now > durationMs / 4) outcome[refused ? 1 : 0] = (outcome[refused ? 1 : 0] ?? 0) + 1;
        if (refused) continue;
        shedder.admitted();
        busyUntil = Math.max(busyUntil, now - 1) + costMs;
        if (now > durationMs / 4) waits.push(waited);
      }
    }
    return { waits: waits.sort((a, b) => a - b), outcomes };
  }

  it('keeps a thread that gets three times what it can do busy, nobody waiting much longer than the target, and the quiet served', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.2, max: 2, noNaN: true }),
        fc.double({ min: 0, max: 0.1, noNaN: true }),
        (costMs, quiet) => {
          const durationMs = 8000;
          const capacity = 1 / costMs;
          const { waits, outcomes } = simulate(costMs, 3 * capacity, quiet * capacity, durationMs);
          expect(waits.length).toBeGreaterThan(0.9 * 0.75 * durationMs * capacity);
          expect(waits[Math.floor(0.99 * waits.length)]).toBeLessThanOrEqual(TARGET + 2);
          expect(outcomes.quiet[1]).toBe(0);
          expect(outcomes.noisy[1]).toBeGreaterThan(0);
        },
      ),
      { numRuns: 30 },
    );
  });

  /**
   * One thread that in each turn accepts two of those who have come, and takes each handshake that is under way one step on: the first of
   * two is nearly all of its cost. How long clients waited for the end of theirs, of those who came in the second half.
   */
  function shakeHands(costMs: number, load: number, durationMs: number): number[] {
    const shedder = new Shedder(TARGET);
    const steps = [0.9 * costMs, 0.1 * costMs];
    const took: number[] = [];
    let underWay: { readonly at: number; step: number }[] = [];
    let [now, next] = [0, 0];
    while (now < durationMs) {
      const turn = now;
      for (let admitted = 0; next <= turn && admitted < 2; next += costMs / load) {
        const waitedMs = turn - next;
        if (shedder.asks(now)) shedder.waited(waitedMs, now);
        shedder.came('source', 'a', now);
        if (shedder.refuses('source', 'a', waitedMs, now)) continue;
        shedder.admitted();
        underWay.push({ at: next, step: 0 });
        admitted += 1;
      }
      for (const one of underWay) {
        now += steps[one.step] ?? 0;
        one.step += 1;
        if (one.step === steps.length && one.at > durationMs / 2) took.push(now - one.at);
      }
      underWay = underWay.filter(({ step }) => step < steps.length);
      now = Math.max(now, turn + 0.1);
    }
    return took.sort((one, other) => one - other);
  }

  it('has a thread that accepts in turns do as much as ever at three times what it can do, and whom it serves it serves in time', () => {
    const durationMs = 20_000;
    for (const costMs of [0.3, 1, 2, 4, 20]) {
      const took = shakeHands(costMs, 3, durationMs);
      expect(took.length).toBeGreaterThan((0.9 * durationMs) / 2 / costMs);
      expect(took[Math.floor(0.99 * took.length)]).toBeLessThan(TARGET + 6 * costMs);
    }
  });
});
