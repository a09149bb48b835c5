import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Linked, LinkedSet } from '../../src/core/linked-set.js';

class Element implements Linked<Element> {
  before: Element | undefined;
  after: Element | undefined;
}

describe('a linked set', () => {
  it('does what a Set does, whatever is added and deleted in whatever order', () => {
    const step = fc.tuple(fc.constantFrom('add', 'delete'), fc.nat(9));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const elements = Array.from({ length: 10 }, () => new Element());
        const linked = new LinkedSet<Element>();
        const model = new Set<Element>();
        for (const [what, which] of steps) {
          const element = elements[which];
          if (element === undefined) throw new Error('there are ten');
          if (what === 'add') {
            linked.add(element);
            model.add(element);
          } else {
            linked.delete(element);
            model.delete(element);
          }
          expect(linked.size).toBe(model.size);
          expect([...linked]).toEqual([...model]);
          expect(elements.map((one) => linked.has(one))).toEqual(elements.map((one) => model.has(one)));
        }
        for (const element of elements.filter((one) => !model.has(one)))
          expect(element).toEqual({ before: undefined, after: undefined });
      }),
    );
  });

  it('goes through those of the moment, whoever leaves meanwhile', () => {
    const elements = Array.from({ length: 3 }, () => new Element());
    const linked = new LinkedSet<Element>();
    for (const element of elements) linked.add(element);
    let seen = 0;
    for (const _ of linked) {
      seen += 1;
      for (const element of elements) linked.delete(element);
    }
    expect(seen).toBe(3);
    expect(linked.size).toBe(0);
  });
});
