/** So many things at a time, and so many begun in a while; any more wait in the order in which they came. */
import type { Clock, Timer } from '../core/clock.js';
import { Queue } from '../core/structures.js';

export interface TurnBounds {
  readonly atATime: number;
  /** Begun within any `windowMs`. */
  readonly perWindow: number;
  readonly windowMs: number;
}

export class Turns {
  readonly #clock: Clock;
  readonly #bounds: TurnBounds;
  readonly #waiting = new Queue<() => Promise<void>>();
  #running = 0;
  #windowAt = Number.NEGATIVE_INFINITY;
  #begun = 0;
  #next: Timer | undefined;

  constructor(clock: Clock, bounds: TurnBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  /** Runs it when it is its turn. It must not reject. */
  take(run: () => Promise<void>): void {
    this.#waiting.enqueue(run);
    this.#go();
  }

  stop(): void {
    this.#waiting.clear();
    this.#next?.cancel();
  }

  #go(): void {
    const { atATime, perWindow, windowMs } = this.#bounds;
    while (this.#running < atATime && this.#waiting.size > 0) {
      const now = this.#clock.now();
      if (now - this.#windowAt >= windowMs) {
        this.#windowAt = now;
        this.#begun = 0;
      }
      if (this.#begun >= perWindow) {
        this.#goAt(this.#windowAt + windowMs);
        return;
      }
      this.#begun += 1;
      this.#running += 1;
      void this.#waiting
        .dequeue()?.()
        .then(() => {
          this.#running -= 1;
          this.#go();
        });
    }
  }

  #goAt(moment: number): void {
    this.#next ??= this.#clock.after(Math.max(0, moment - this.#clock.now()), () => {
      this.#next = undefined;
      this.#go();
    });
  }
}
