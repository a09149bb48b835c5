import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CoDel } from '../../src/l4/codel.js';

const TARGET = 5;
const INTERVAL = 100;

function codel(): CoDel {
  return new CoDel({ targetMs: TARGET, intervalMs: INTERVAL });
}

/** Observations, each so long after the one before it. */
function observations(delayMs: fc.Arbitrary<number>, maxGapMs: number) {
  return fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: maxGapMs }), delayMs }), { maxLength: 200 });
}

const anyDelay = fc.oneof(fc.double({ min: 0, max: 2 * TARGET, noNaN: true }), fc.integer({ min: 0, max: 1000 }));

describe('CoDel', () => {
  it('takes a queue that has been above its target for a whole interval for standing', () => {
    const one = codel();
    for (let now = 0; now < 100; now += 10) one.observe(6, now);
    expect(one.isOverloaded(99)).toBe(false);
    expect(one.isOverloaded(100)).toBe(true);
    one.observe(6, 105);
    expect(one.isOverloaded(204)).toBe(true);
  });

  it('takes a queue that had one quick moment in the interval for a burst', () => {
    const one = codel();
    for (let now = 0; now < 100; now += 10) one.observe(now === 50 ? TARGET : 500, now);
    one.observe(500, 100);
    expect(one.isOverloaded(100)).toBe(false);
  });

  it('takes a queue to which nobody comes for empty', () => {
    const one = codel();
    for (let now = 0; now <= 100; now += 10) one.observe(50, now);
    expect(one.isOverloaded(150)).toBe(true);
    expect(one.isOverloaded(400)).toBe(false);
    one.observe(50, 400);
    expect(one.isOverloaded(400)).toBe(false);
  });

  it('knows by the wait of who comes out that the queue was not empty in a silence', () => {
    const one = codel();
    one.observe(50, 0);
    one.observe(990, 1000);
    expect(one.isOverloaded(1000)).toBe(true);
  });

  it('lasts no longer where the clock goes back', () => {
    const one = codel();
    for (let now = 1000; now <= 1100; now += 10) one.observe(50, now);
    expect(one.isOverloaded(1100)).toBe(true);
    expect(one.isOverloaded(10)).toBe(false);
    one.observe(0, 10);
    expect(one.isOverloaded(110)).toBe(false);
  });

  it('is never overloaded while each interval has an observation within the target', () => {
    fc.assert(
      fc.property(observations(anyDelay, 2 * INTERVAL), (all) => {
        const one = codel();
        let now = 0;
        for (const { afterMs, delayMs } of all) {
          now += afterMs;
          one.observe(delayMs, now);
          one.observe(TARGET, now);
          expect(one.isOverloaded(now)).toBe(false);
        }
      }),
    );
  });

  it('is overloaded after two intervals with nothing but delays above the target', () => {
    const above = fc.double({ min: TARGET, minExcluded: true, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(observations(above, INTERVAL - 1), (all) => {
        const one = codel();
        let now = 0;
        for (const { afterMs, delayMs } of all) {
          now += afterMs;
          one.observe(delayMs, now);
          if (now - (all[0]?.afterMs ?? 0) >= 2 * INTERVAL) expect(one.isOverloaded(now)).toBe(true);
        }
      }),
    );
  });

  it('is within one interval of what the least delay of each stretch of time says', () => {
    fc.assert(
      fc.property(observations(anyDelay, INTERVAL / 2), (all) => {
        const one = codel();
        const seen: { readonly at: number; readonly delayMs: number }[] = [];
        let now = 0;
        for (const { afterMs, delayMs } of all) {
          now += afterMs;
          one.observe(delayMs, now);
          seen.push({ at: now, delayMs });
          if (!one.isOverloaded(now)) continue;
          // Then some interval that ended within the last one has nothing within the target.
          const starts = seen.filter(({ at }) => at >= now - 3 * INTERVAL && at <= now - INTERVAL);
          const standing = starts.some(({ at: from }) =>
            seen.every(({ at, delayMs: delay }) => at < from || at >= from + INTERVAL || delay > TARGET),
          );
          expect(standing).toBe(true);
        }
      }),
    );
  });

  it('is asked without being changed', () => {
    fc.assert(
      fc.property(
        observations(anyDelay, 2 * INTERVAL),
        fc.infiniteStream(fc.integer({ min: 0, max: 300 })),
        (all, ask) => {
          const [asked, left] = [codel(), codel()];
          let now = 0;
          for (const { afterMs, delayMs } of all) {
            now += afterMs;
            asked.observe(delayMs, now);
            left.observe(delayMs, now);
            asked.isOverloaded(now + (ask.next().value ?? 0));
            expect(asked.isOverloaded(now)).toBe(left.isOverloaded(now));
          }
        },
      ),
    );
  });
});
