/**
 * TLS handshakes with clients that are under way: the dearest part of a connection, all of whose cost comes after it was accepted. A thread
 * that has begun a hundred is busy with them for as long as a hundred take, whoever comes meanwhile. Pure: time is an argument.
 */

/** How long is counted to know how many a thread can do, ms: some turns of a thread that is busy. */
const WINDOW_MS = 1000;
/** So many are never too many: one thread does nothing while it waits for the client's part of its only one. */
const LEAST = 2;

export class Handshakes {
  #underWay = 0;
  #windowAt = Number.NEGATIVE_INFINITY;
  #ended = 0;
  /** Of the window before this one. */
  #endedBefore = 0;

  began(): void {
    this.#underWay += 1;
  }

  ended(now: number): void {
    this.#underWay -= 1;
    this.#roll(now);
    this.#ended += 1;
  }

  /**
   * Whether there are more under way than this thread does in `ms`, by what it has done of late. It is said of a thread that is
   * busy: an idle one does as few as there are. What is in a queue of that length waits so long (Little's law).
   */
  areMoreThan(ms: number, now: number): boolean {
    this.#roll(now);
    const perMs = Math.max(this.#ended, this.#endedBefore) / WINDOW_MS;
    return this.#underWay >= Math.max(LEAST, perMs * ms);
  }

  #roll(now: number): void {
    const age = now - this.#windowAt;
    if (age >= 0 && age < WINDOW_MS) return;
    this.#endedBefore = age >= 0 && age < 2 * WINDOW_MS ? this.#ended : 0;
    this.#ended = 0;
    this.#windowAt = now;
  }
}
