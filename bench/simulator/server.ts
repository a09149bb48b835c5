/**
 * A modelled endpoint: so many requests at a time, the others wait in the order in which they came. Since no request overtakes
 * another, when one will be answered is known as soon as it is there.
 */

import type { Random } from './random.js';

/** What an endpoint does from a moment on. */
export type Condition =
  /** Answers, so many times slower than others. */
  | { readonly kind: 'up'; readonly slowness: number }
  /** Nothing listens. What it was working on is reset. */
  | { readonly kind: 'refuses' }
  /** Accepts, and resets that share of connections before their first byte. */
  | { readonly kind: 'resets'; readonly share: number }
  /** Accepts, and never answers. */
  | { readonly kind: 'hangs' };

export interface Phase {
  /** ms. */
  readonly from: number;
  readonly condition: Condition;
}

export type Fate =
  | { readonly kind: 'answered'; readonly at: number }
  | { readonly kind: 'reset'; readonly at: number }
  | { readonly kind: 'never' };

export const UP: Condition = { kind: 'up', slowness: 1 };

export class Server {
  readonly id: string;
  readonly #phases: readonly Phase[];
  readonly #random: Random;
  #phase = 0;
  /** When each of its slots is free. */
  #freeAt: number[];

  /** @param phases in their order, the first from the beginning */
  constructor(id: string, slots: number, phases: readonly Phase[], random: Random) {
    this.id = id;
    this.#random = random;
    this.#freeAt = new Array<number>(slots).fill(0);
    this.#phases = phases;
  }

  conditionAt(now: number): Condition {
    for (;;) {
      const next = this.#phases[this.#phase + 1];
      if (next === undefined || next.from > now) break;
      this.#phase += 1;
      // Who stops working has forgotten all that was waiting.
      if (stopsWork(next)) this.#freeAt = this.#freeAt.map(() => 0);
    }
    return this.#phases[this.#phase]?.condition ?? UP;
  }

  /** When it would have answered that, as it is now; `undefined` of one that does not work. */
  wouldAnswerAt(workMs: number, now: number): number | undefined {
    const condition = this.conditionAt(now);
    if (condition.kind !== 'up') return undefined;
    return Math.max(now, Math.min(...this.#freeAt)) + workMs * condition.slowness;
  }

  /** It is asked for something that takes it `workMs` of one slot. */
  ask(workMs: number, now: number): Fate {
    const condition = this.conditionAt(now);
    switch (condition.kind) {
      case 'hangs':
        return { kind: 'never' };
      case 'refuses':
        return { kind: 'reset', at: now };
      case 'resets':
        return this.#random() < condition.share ? { kind: 'reset', at: now } : this.#work(workMs, now);
      case 'up':
        return this.#work(workMs * condition.slowness, now);
    }
  }

  #work(workMs: number, now: number): Fate {
    const free = Math.min(...this.#freeAt);
    const at = Math.max(now, free) + workMs;
    this.#freeAt[this.#freeAt.indexOf(free)] = at;
    const cut = this.#phases.slice(this.#phase + 1).find(stopsWork);
    if (cut === undefined || at < cut.from) return { kind: 'answered', at };
    return cut.condition.kind === 'hangs' ? { kind: 'never' } : { kind: 'reset', at: cut.from };
  }
}

function stopsWork({ condition }: Phase): boolean {
  return condition.kind === 'refuses' || condition.kind === 'hangs';
}
