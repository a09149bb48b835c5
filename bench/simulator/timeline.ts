/** Virtual time: what is due next happens next, and nothing takes any time but what is said to. */

import type { Clock } from './program.js';

interface Due {
  readonly at: number;
  /** Of two that are due at the same moment, the one that was asked for first. */
  readonly order: number;
  readonly action: () => void;
}

export class Timeline {
  /** ms. */
  now = 0;
  /** A binary heap: each is due no later than the two below it. */
  readonly #heap: Due[] = [];
  #order = 0;

  at(moment: number, action: () => void): void {
    const heap = this.#heap;
    const due = { at: Math.max(moment, this.now), order: this.#order++, action };
    let place = heap.length;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = heap[above];
      if (other === undefined || isBefore(other, due)) break;
      heap[place] = other;
      place = above;
    }
    heap[place] = due;
  }

  /** As the program asks what time it is, and to be called back. */
  get clock(): Clock {
    return {
      now: () => this.now,
      wall: () => this.now,
      after: (delayMs, action) => {
        let isCancelled = false;
        this.at(this.now + delayMs, () => {
          if (!isCancelled) action();
        });
        return {
          cancel: () => {
            isCancelled = true;
          },
        };
      },
    };
  }

  /** Until nothing is due any more. */
  run(): void {
    for (let due = this.#take(); due !== undefined; due = this.#take()) {
      this.now = due.at;
      due.action();
    }
  }

  #take(): Due | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || last === first) return first;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      const [one, other] = [heap[left], heap[left + 1]];
      if (one === undefined) break;
      const isOther = other !== undefined && isBefore(other, one);
      const below = isOther ? other : one;
      if (isBefore(last, below)) break;
      heap[place] = below;
      place = isOther ? left + 1 : left;
    }
    heap[place] = last;
    return first;
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
