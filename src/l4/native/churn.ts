/** How fast connections end, to tell those that stay from those that come and go. Pure: what time it is, is given. */

/**
 * Ms. A worker whose connections live for much longer sees next to nothing end in it; where they live for less, any
 * imbalance of theirs has gone by itself after it.
 */
export const WINDOW_MS = 10;

export class Churn {
  #since = Number.NEGATIVE_INFINITY;
  /** How many had ended when the window before this one began, and when this one did. */
  #before = 0;
  #atStart = 0;

  /**
   * How many ended in this window and the one before it.
   * @param ended how many have ended since the start
   */
  recent(ended: number, now: number): number {
    const age = now - this.#since;
    if (age >= WINDOW_MS) {
      this.#before = age < 2 * WINDOW_MS ? this.#atStart : ended;
      this.#atStart = ended;
      this.#since = now;
    }
    return ended - this.#before;
  }
}
