/** Those who wait for something to change, each for as long as it likes; a bounded number, and at most half from one source. */
import type { CancelSignal } from '../core/cancel.js';
import type { Clock } from '../core/clock.js';

const SHARE_OF_ONE_SOURCE = 1 / 2;

export class Waiters {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #mostOfOne: number;
  readonly #bySource = new Map<string, number>();
  readonly #waiting = new Set<() => void>();

  constructor(most: number, clock: Clock) {
    this.#clock = clock;
    this.#most = most;
    this.#mostOfOne = Math.ceil(most * SHARE_OF_ONE_SOURCE);
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves when it is woken, the time is over, or `gone` is aborted. `undefined` where no more may wait. */
  wait(source: string, waitMs: number, gone: CancelSignal): Promise<void> | undefined {
    const own = this.#bySource.get(source) ?? 0;
    if (this.#waiting.size >= this.#most || own >= this.#mostOfOne) return undefined;
    this.#bySource.set(source, own + 1);
    return new Promise((resolve) => {
      const settle = (): void => {
        if (!this.#waiting.delete(settle)) return;
        timer.cancel();
        gone.removeEventListener('abort', settle);
        this.#forgetOne(source);
        resolve();
      };
      const timer = this.#clock.after(waitMs, settle);
      this.#waiting.add(settle);
      gone.addEventListener('abort', settle, { once: true });
      if (gone.aborted) settle();
    });
  }

  wakeAll(): void {
    for (const settle of [...this.#waiting]) settle();
  }

  #forgetOne(source: string): void {
    const left = (this.#bySource.get(source) ?? 1) - 1;
    if (left === 0) this.#bySource.delete(source);
    else this.#bySource.set(source, left);
  }
}
