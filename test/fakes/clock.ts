/** A clock that stands still until a test moves it. */
import type { Clock, Timer } from '../../src/core/clock.js';

interface Pending {
  readonly due: number;
  readonly action: () => void;
}

export class VirtualClock implements Clock {
  #now = 1_000;
  /** Wall time when `now()` is 0: far from it, so that the two are not mixed up unnoticed. */
  readonly #epoch = Date.UTC(2026, 0, 1);
  readonly #pending = new Set<Pending>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#epoch + this.#now;
  }

  after(delayMs: number, action: () => void): Timer {
    const pending = { due: this.#now + delayMs, action };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Moves time on by `ms`, calling what falls due on the way, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#pending].filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
      if (due === undefined) break;
      this.#pending.delete(due);
      this.#now = Math.max(this.#now, due.due);
      due.action();
    }
    this.#now = end;
  }
}
