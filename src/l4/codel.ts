/**
 * CoDel for whatever waits in a queue: whether the queue is a burst that will drain, or standing. A burst has its quick moments;
 * where even the least delay of an interval was above the target, nothing drains (RFC 8289 section 3.2). Pure: time is an argument.
 *
 * What is to follow from it is its users' to decide. RFC 8289 drops a packet now and then, which a TCP sender heeds and a client that
 * connects does not: for requests, folly turns away all that have waited too long for as long as the queue stands.
 */

export interface CoDelOptions {
  /** The delay that a queue may have and still do its work, ms. RFC 8289 section 4.4: 5. */
  readonly targetMs: number;
  /** How long the delay must have been above it, ms. RFC 8289 section 4.3: 100, the time in which a sender notices. */
  readonly intervalMs: number;
}

export const CODEL_DEFAULTS: CoDelOptions = { targetMs: 5, intervalMs: 100 };

export class CoDel {
  readonly #targetMs: number;
  readonly #intervalMs: number;
  /** When the interval under way began: with the first observation after the one before it. */
  #startedAt = Number.NEGATIVE_INFINITY;
  /** The least delay of the interval under way. */
  #leastMs = 0;
  /** What the interval before said. */
  #overloaded = false;

  constructor({ targetMs, intervalMs }: CoDelOptions = CODEL_DEFAULTS) {
    this.#targetMs = targetMs;
    this.#intervalMs = intervalMs;
  }

  /**
   * One has waited so long: 0 for one that found nobody before it. Also to be told of whoever stands first in a queue that
   * does not move, or nothing is known of it until it does.
   */
  observe(delayMs: number, now: number): void {
    if (this.#isUnderWay(now)) {
      this.#leastMs = Math.min(this.#leastMs, delayMs);
      return;
    }
    // Who has waited through all the silence shows that the queue was not empty in it.
    this.#overloaded = this.#verdict(now, delayMs);
    this.#startedAt = now;
    this.#leastMs = delayMs;
  }

  /** Whether the queue was standing in the last interval. Not where nobody has come for one: it is empty then. */
  isOverloaded(now: number): boolean {
    return this.#isUnderWay(now) ? this.#overloaded : this.#verdict(now, 0);
  }

  /** Of the interval that has ended. @param silenceMs how long after its end it may have been silent, beyond an interval */
  #verdict(now: number, silenceMs: number): boolean {
    const endedMs = now - this.#startedAt - this.#intervalMs;
    return this.#leastMs > this.#targetMs && endedMs >= 0 && endedMs < Math.max(this.#intervalMs, silenceMs);
  }

  /** A clock that went back ends it as well: it would last for as long as the clock went back. */
  #isUnderWay(now: number): boolean {
    return now >= this.#startedAt && now < this.#startedAt + this.#intervalMs;
  }
}
