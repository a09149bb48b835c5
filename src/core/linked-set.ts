/**
 * A set, in the order of insertion, whose elements are their own nodes: each can be in one such set at a time. For what
 * comes and goes with every connection. A `Set` of V8 that is added to and deleted from is now and then copied as a whole, and
 * the copies left behind, once they are old, keep what they held from being collected young: measured, two thirds of the
 * collector's time at a steady 3 000 connections a second.
 */

/** Fields that belong to the set that it is in. */
export interface Linked<T> {
  before: T | undefined;
  after: T | undefined;
}

export class LinkedSet<T extends Linked<T>> implements Iterable<T> {
  #first: T | undefined;
  #last: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(element: T): boolean {
    return element.before !== undefined || element === this.#first;
  }

  add(element: T): void {
    if (this.has(element)) return;
    element.before = this.#last;
    if (this.#last === undefined) this.#first = element;
    else this.#last.after = element;
    this.#last = element;
    this.#size += 1;
  }

  delete(element: T): void {
    if (!this.has(element)) return;
    const { before, after } = element;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    // Nothing that has left points at anything that has stayed: no garbage keeps what is young.
    element.before = undefined;
    element.after = undefined;
    this.#size -= 1;
  }

  /** Those of this moment, whatever comes or goes meanwhile. */
  [Symbol.iterator](): IterableIterator<T> {
    const elements: T[] = [];
    for (let one = this.#first; one !== undefined; one = one.after) elements.push(one);
    return elements.values();
  }
}
