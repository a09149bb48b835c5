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
    while (this.#fireNext(end));
    this.#now = end;
  }

  /** As `advance`, for code that awaits: what a timer has set off runs before time moves on to the next. */
  async advanceAsync(ms: number): Promise<void> {
    const end = this.#now + ms;
    do await turn();
    while (this.#fireNext(end));
    this.#now = end;
  }

  /** The earliest timer due by `end`; of several due together, the one that was set first. False where there is none. */
  #fireNext(end: number): boolean {
    let next: Pending | undefined;
    for (const timer of this.#pending) {
      if (timer.due <= end && (next === undefined || timer.due < next.due)) next = timer;
    }
    if (next === undefined) return false;
    this.#pending.delete(next);
    this.#now = Math.max(this.#now, next.due);
    next.action();
    return true;
  }
}

/** One turn of the event loop: every promise that can settle has settled after it. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
