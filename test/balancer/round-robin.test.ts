import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Endpoint, Picker } from '../../src/balancer/picker.js';
import { createRotation, roundRobin, sharedRotation } from '../../src/balancer/round-robin.js';

const none: ReadonlySet<Endpoint> = new Set();

function endpoints(count: number): Endpoint[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `e${index}`,
    addresses: [{ kind: 'ip', host: '127.0.0.1', port: 9000 + index }],
  }));
}

function pickIds(picker: Picker, count: number): (string | undefined)[] {
  return Array.from({ length: count }, () => picker.pick({ tried: none })?.endpoint.id);
}

describe('round robin', () => {
  it('gives every endpoint the same number of turns, wherever the rotation stands', () => {
    const some = fc.integer({ min: 1, max: 50 });
    fc.assert(
      fc.property(some, some, fc.nat(100), (n, rounds, next) => {
        const all = endpoints(n);
        const turns = new Map(all.map(({ id }) => [id, 0]));
        for (const id of pickIds(roundRobin(all, { next }), n * rounds)) {
          turns.set(id ?? 'none', (turns.get(id ?? 'none') ?? 0) + 1);
        }
        expect([...turns]).toEqual(all.map(({ id }) => [id, rounds]));
      }),
    );
  });

  it('goes on where another thread has left off', () => {
    const cells = new Int32Array(new SharedArrayBuffer(4));
    const [one, other] = [
      roundRobin(endpoints(3), sharedRotation(cells)),
      roundRobin(endpoints(3), sharedRotation(cells)),
    ];
    expect([pickIds(one, 2), pickIds(other, 3), pickIds(one, 1)]).toEqual([['e0', 'e1'], ['e2', 'e0', 'e1'], ['e2']]);
  });

  it('never picks what has been tried, and reaches all that has not', () => {
    const flags = fc.array(fc.boolean(), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(flags, fc.nat(100), (triedBefore, next) => {
        const all = endpoints(triedBefore.length);
        const tried = new Set(all.filter((_, index) => triedBefore[index]));
        const picker = roundRobin(all, { next });
        const left = all.length - tried.size;
        for (let i = 0; i < left; i += 1) {
          const pick = picker.pick({ tried });
          expect(pick).toBeDefined();
          expect(tried.has(pick!.endpoint)).toBe(false);
          tried.add(pick!.endpoint);
        }
        expect(picker.pick({ tried })).toBeUndefined();
      }),
    );
  });

  it('goes on behind the one it picked where it passed over others', () => {
    const all = endpoints(3);
    const picker = roundRobin(all, createRotation());
    expect(picker.pick({ tried: new Set([all[0]!]) })?.endpoint.id).toBe('e1');
    expect(pickIds(picker, 2)).toEqual(['e2', 'e0']);
  });

  it('goes on where it was when endpoints come and go', () => {
    const rotation = createRotation();
    expect(pickIds(roundRobin(endpoints(3), rotation), 8).at(-1)).toBe('e1');
    expect(pickIds(roundRobin(endpoints(5), rotation), 4)).toEqual(['e2', 'e3', 'e4', 'e0']);
    expect(pickIds(roundRobin(endpoints(2), rotation), 2)).toEqual(['e1', 'e0']);
  });

  it('shares its turns between a picker in use and the one that replaces it', () => {
    const rotation = createRotation();
    const [before, after] = [roundRobin(endpoints(4), rotation), roundRobin(endpoints(4), rotation)];
    const ids = [before, after, before, after].flatMap((picker) => pickIds(picker, 1));
    expect(ids).toEqual(['e0', 'e1', 'e2', 'e3']);
  });

  it('says why', () => {
    expect(roundRobin(endpoints(3), { next: 1 }).pick({ tried: none })?.why).toBe('round robin, 2 of 3');
  });

  it('shows its endpoints in their order, and picks nothing where there are none', () => {
    const all = endpoints(3);
    expect(roundRobin(all, createRotation()).endpoints).toEqual(all);
    expect(roundRobin([], createRotation()).pick({ tried: none })).toBeUndefined();
  });
});
