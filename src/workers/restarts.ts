/** When a worker that has died is to be replaced. Pure: what time it is, is given. */

/** One that dies this soon after it had replaced another may do so each time, ms. */
const SOON_MS = 10_000;
const FIRST_MS = 100;
const LONGEST_MS = 10_000;

export class Restarts {
  #replacedAt = Number.NEGATIVE_INFINITY;
  #soon = 0;

  replaced(now: number): void {
    this.#replacedAt = now;
  }

  /** How long to wait, ms: not at all, unless it had just been replaced. */
  died(now: number): number {
    this.#soon = now - this.#replacedAt < SOON_MS ? this.#soon + 1 : 0;
    return this.#soon === 0 ? 0 : Math.min(LONGEST_MS, FIRST_MS * 2 ** (this.#soon - 1));
  }
}
