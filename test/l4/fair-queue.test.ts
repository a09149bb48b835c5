import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue } from '../../src/l4/fair-queue.js';

interface Item {
  readonly key: string;
  readonly number: number;
}

describe('a fair queue', () => {
  it('lets a client with one connection in front of the second of a client with a thousand', () => {
    const queue = new FairQueue<Item>();
    for (let number = 0; number < 1000; number += 1) queue.enqueue({ key: 'noisy', number });
    queue.enqueue({ key: 'quiet', number: 0 });
    expect([queue.dequeue(), queue.dequeue(), queue.dequeue()]).toEqual([
      { key: 'noisy', number: 0 },
      { key: 'quiet', number: 0 },
      { key: 'noisy', number: 1 },
    ]);
  });

  it('goes round the keys that wait, each key in its order, whoever leaves meanwhile', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('enqueue' as const), key }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('dequeue' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), which: fc.nat() }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new FairQueue<Item>();
        /** The keys in the order of their turns, each with those that wait. */
        const model: { key: string; items: Item[] }[] = [];
        let number = 0;
        for (const one of steps) {
          if (one.kind === 'enqueue') {
            const item = { key: one.key, number: number++ };
            queue.enqueue(item);
            const turn = model.find((known) => known.key === one.key);
            if (turn === undefined) model.push({ key: one.key, items: [item] });
            else turn.items.push(item);
          } else if (one.kind === 'dequeue') {
            const turn = model.shift();
            expect(queue.dequeue()).toBe(turn?.items.shift());
            if (turn !== undefined && turn.items.length > 0) model.push(turn);
          } else {
            const items = model.flatMap((turn) => turn.items);
            const item = items[one.which % Math.max(1, items.length)];
            if (item === undefined) continue;
            queue.remove(item);
            const turn = model.find(({ key: known }) => known === item.key);
            turn?.items.splice(turn.items.indexOf(item), 1);
            if (turn?.items.length === 0) model.splice(model.indexOf(turn), 1);
          }
          expect(queue.size).toBe(model.reduce((sum, { items }) => sum + items.length, 0));
          expect([...queue.fronts()]).toEqual(model.map(({ items }) => items[0]));
          const most = Math.max(0, ...model.map(({ items }) => items.length));
          const longest = most > 1 ? model.find(({ items }) => items.length === most) : undefined;
          expect(queue.spareFor('nobody')).toBe(longest?.items[0]);
          // Who has most has nobody to spare for itself.
          if (longest !== undefined) expect(queue.spareFor(longest.key)).toBeUndefined();
        }
      }),
    );
  });
});
