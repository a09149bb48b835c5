/**
 * Whom a thread that cannot keep up turns away. What tells is how long connections waited in the kernel's queue before the thread
 * came to accept them: its other work and those before them are both in that. Pure: time is an argument.
 *
 * Fair to clients: past the target those are refused whose source came as often as others of late; one that came far less often is let in
 * until it has waited for a whole interval, which is longer than anybody waits while refusing the others is enough.
 */
import { CODEL_DEFAULTS, CoDel } from './codel.js';
import { Shares } from './sources.js';

/** Of the target, what CoDel takes for standing: a queue that is kept from growing past the target stays above that. */
const STANDING = 0.5;
/** RFC 8289 section 4.3: CoDel's target is a twentieth to a tenth of its interval. */
const INTERVAL_PER_TARGET = 10 * STANDING;
/**
 * Parts of an interval, of each of which the longest wait counts. A thread accepts all who came in its last turn at once, and the last
 * of those has never waited: that says nothing of how long its turns are.
 */
const SLOTS = 20;
/** Connections are asked how long they have waited this often at most, ms, while all is well: a system call each. */
const ASK_MS = 1;
/**
 * After so many refusals one more is let in, late as it is: a thread that is kept busy by refusing alone must not serve nobody. It is
 * about as many as can be refused in the time that it takes to serve one.
 */
const REFUSED_PER_SERVED = 16;

export type ClientKind = 'source' | 'identity';

export class Shedder {
  readonly #targetMs: number;
  readonly #intervalMs: number;
  readonly #codel: CoDel;
  /** By source address, and by the SPIFFE ID of who has proven one. */
  readonly #shares = { source: new Shares(), identity: new Shares() } as const;
  #askedAt = Number.NEGATIVE_INFINITY;
  #slotAt = Number.NEGATIVE_INFINITY;
  #longestMs = 0;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #refusedInARow = 0;

  /** @param targetMs how long a connection may wait in an overload */
  constructor(targetMs: number) {
    this.#targetMs = targetMs;
    this.#intervalMs = Math.max(CODEL_DEFAULTS.intervalMs, INTERVAL_PER_TARGET * targetMs);
    this.#codel = new CoDel({ targetMs: STANDING * targetMs, intervalMs: this.#intervalMs });
  }

  /** Whether it is worth asking how long this one has waited. */
  asks(now: number): boolean {
    return Math.abs(now - this.#askedAt) >= ASK_MS || this.#isOverloaded(now);
  }

  /** One has waited so long for this thread. */
  waited(waitedMs: number, now: number): void {
    this.#askedAt = now;
    const age = now - this.#slotAt;
    if (age >= 0 && age < this.#intervalMs / SLOTS) {
      this.#longestMs = Math.max(this.#longestMs, waitedMs);
      return;
    }
    if (age >= 0) this.#codel.observe(this.#longestMs, now);
    this.#slotAt = now;
    this.#longestMs = waitedMs;
  }

  /** Whether one that has waited so long is to be refused, where who it is will only be known later. */
  refusesAnyone(waitedMs: number, now: number): boolean {
    return waitedMs > this.#intervalMs && this.#refusesLate(now);
  }

  /** Whether one of `client` that has waited so long is to be refused. */
  refuses(kind: ClientKind, client: string, waitedMs: number, now: number): boolean {
    if (waitedMs <= this.#targetMs) return false;
    return (waitedMs > this.#intervalMs || !this.#shares[kind].isQuiet(client, now)) && this.#refusesLate(now);
  }

  /** A connection of `client` has come, whatever becomes of it. */
  came(kind: ClientKind, client: string, now: number): void {
    this.#shares[kind].add(client, now);
  }

  /** A connection was let in. */
  admitted(): void {
    this.#refusedInARow = 0;
  }

  /** Also while it refuses that keeps the wait short: else the queue would grow again for an interval, after each in which it did not. */
  #isOverloaded(now: number): boolean {
    return this.#codel.isOverloaded(now) || Math.abs(now - this.#refusedAt) < this.#intervalMs;
  }

  #refusesLate(now: number): boolean {
    if (!this.#isOverloaded(now)) return false;
    this.#refusedAt = now;
    this.#refusedInARow += 1;
    return this.#refusedInARow <= REFUSED_PER_SERVED;
  }
}
