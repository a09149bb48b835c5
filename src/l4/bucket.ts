/**
 * A leaky bucket that several threads fill together, without waiting for each other: what is put in adds to its level, and time
 * takes it out at the rate. Pure but for the memory that it is in: time is an argument.
 *
 * Exact but for moments: a thread that looks while another one is just letting time take its part sees the level of before, and two
 * whose clocks differ by a millisecond drain by the later one. What is put in is never lost.
 */

/** Of a bucket: the millisecond up to which it has drained, and its level. */
export const BUCKET_WORDS = 2;

/** Beyond it nothing is added: a level is a number of 32 bits. */
const FULL = 2 ** 30;
/** A clock that is further behind has jumped, or a month has passed (milliseconds have 32 bits): the bucket is empty. Threads differ by less. */
const JUMP_MS = 1000;

export class Bucket {
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #at: number;

  /** @param at where its `BUCKET_WORDS` begin, which are 0 at first */
  constructor(cells: Int32Array<SharedArrayBuffer>, at: number) {
    this.#cells = cells;
    this.#at = at;
  }

  /** Puts so much in, whatever the level. Returns the level now. @param perMs how much drains in a millisecond */
  add(amount: number, perMs: number, now: number): number {
    this.#drain(perMs, now);
    const before = Atomics.load(this.#cells, this.#at + 1);
    if (before + amount > FULL) return before;
    return Atomics.add(this.#cells, this.#at + 1, amount) + amount;
  }

  /** Puts one in, unless the level would be above `most` then. Two threads that compete for the last place may both be told no. */
  enter(most: number, perMs: number, now: number): boolean {
    if (this.add(1, perMs, now) <= most) return true;
    Atomics.sub(this.#cells, this.#at + 1, 1);
    return false;
  }

  /** How long nobody has looked at it, ms: the longer, the less is lost with it. */
  idleMs(now: number): number {
    return (Math.floor(now) - Atomics.load(this.#cells, this.#at)) >>> 0;
  }

  /** As it was at first. */
  clear(): void {
    Atomics.store(this.#cells, this.#at, 0);
    Atomics.store(this.#cells, this.#at + 1, 0);
  }

  #drain(perMs: number, now: number): void {
    const ms = Math.floor(now);
    const before = Atomics.load(this.#cells, this.#at);
    const elapsed = (ms - before) | 0;
    if (elapsed <= 0 && elapsed >= -JUMP_MS) return;
    // One thread of several that come in the same millisecond.
    if (Atomics.compareExchange(this.#cells, this.#at, before, ms | 0) !== before) return;
    // By what has drained since the clock's zero, so that rounding adds up to nothing.
    const drained = elapsed < 0 ? FULL : Math.floor(ms * perMs) - Math.floor((ms - elapsed) * perMs);
    for (;;) {
      const level = Atomics.load(this.#cells, this.#at + 1);
      const left = Math.max(0, level - drained);
      if (Atomics.compareExchange(this.#cells, this.#at + 1, level, left) === level) return;
    }
  }
}
