import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Handshakes } from '../../src/l4/handshakes.js';

describe('handshakes under way', () => {
  it('are too many where they are more than the thread does in the time, by what it did in the last second', () => {
    const handshakes = new Handshakes();
    // 100 a second, one at a time.
    for (let now = 0; now < 2000; now += 10) {
      handshakes.began();
      handshakes.ended(now);
    }
    for (let count = 0; count < 5; count += 1) {
      expect(handshakes.areMoreThan(50, 2000)).toBe(false);
      handshakes.began();
    }
    expect(handshakes.areMoreThan(50, 2000)).toBe(true);
    expect(handshakes.areMoreThan(100, 2000)).toBe(false);
  });

  it('are never too many where there is one, however slow the thread is', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 5000, noNaN: true })), (gaps) => {
        const handshakes = new Handshakes();
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          handshakes.began();
          expect(handshakes.areMoreThan(1, now)).toBe(false);
          handshakes.ended(now);
        }
      }),
    );
  });

  it('go by what was done of late: a thread that has done nothing for two seconds may be busy with something else', () => {
    const handshakes = new Handshakes();
    for (let count = 0; count < 100; count += 1) {
      handshakes.began();
      handshakes.ended(0);
    }
    for (let count = 0; count < 3; count += 1) handshakes.began();
    expect(handshakes.areMoreThan(100, 1500)).toBe(false);
    expect(handshakes.areMoreThan(100, 2500)).toBe(true);
    // Nor does a clock that goes back leave anything behind.
    expect(handshakes.areMoreThan(100, -1e6)).toBe(true);
  });
});
