/**
 * Connections on which the client has asked and the endpoint has not answered yet. What is only learnt when an answer
 * comes is never learnt of an endpoint that accepts and then never answers: so those who wait tell now and then for how long.
 */
import type { Clock, Timer } from '../core/clock.js';
import { type Linked, LinkedSet } from '../core/linked-set.js';

/** So often they are asked, ms: an endpoint that hangs loses most of its share within a second or two. */
const SWEEP_MS = 1000;

export interface Waiting extends Linked<Waiting> {
  /** No answer so far. */
  stillWaits(now: number): void;
}

/** Those of one thread. */
export class Unanswered {
  readonly #clock: Clock;
  readonly #waiting = new LinkedSet<Waiting>();
  #next: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(waiting: Waiting): void {
    this.#waiting.add(waiting);
    this.#next ??= this.#clock.after(SWEEP_MS, () => this.#sweep());
  }

  /** It has been answered, or is over. */
  delete(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (const waiting of this.#waiting) waiting.stillWaits(now);
    this.#next = this.#waiting.size === 0 ? undefined : this.#clock.after(SWEEP_MS, () => this.#sweep());
  }
}
