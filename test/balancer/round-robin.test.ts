import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../src/balancer/picker.js';
import { createRotation, roundRobin } from '../../src/balancer/round-robin.js';

const none: ReadonlySet<Endpoint> = new Set();

function endpoints(count: number): Endpoint[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `e${index}`,
    addresses: [{ kind: 'ip', host: '127.0.0.1', port: 9000 + index }],
  }));
}

describe('round robin', () => {
  it('gives every endpoint the same number of turns', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 20 }), (n, rounds) => {
        const picker = roundRobin(endpoints(n), createRotation());
        const counts = new Map<string, number>();
        for (let i = 0; i < n * rounds; i += 1) {
          const id = picker.pick({ tried: none })?.endpoint.id ?? 'none';
          counts.set(id, (counts.get(id) ?? 0) + 1);
        }
        expect([...counts.values()]).toEqual(Array(n).fill(rounds));
      }),
    );
  });

  it('never picks what has been tried, and finds what has not', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }), fc.nat(100), (triedFlags, start) => {
        const all = endpoints(triedFlags.length);
        const tried = new Set(all.filter((_, index) => triedFlags[index]));
        const pick = roundRobin(all, { next: start }).pick({ tried });
        if (tried.size === all.length) expect(pick).toBeUndefined();
        else expect(tried.has(pick!.endpoint)).toBe(false);
      }),
    );
  });

  it('goes on where it was when the endpoints change', () => {
    const rotation = createRotation();
    const all = endpoints(4);
    roundRobin(all, rotation).pick({ tried: none });
    const next = roundRobin(all, rotation).pick({ tried: none });
    expect(next?.endpoint.id).toBe('e1');
  });

  it('says why', () => {
    const picker = roundRobin(endpoints(3), { next: 1 });
    expect(picker.pick({ tried: none })?.why).toBe('round robin, 2 of 3');
  });

  it('picks nothing where there is nothing', () => {
    expect(roundRobin([], createRotation()).pick({ tried: none })).toBeUndefined();
  });
});
