/**
 * Whom a thread that cannot keep up turns away. What tells is how long connections waited in the kernel's queue before the thread
 * came to accept them: its other work and those before them are both in that. Pure: time is an argument.
 *
 * Fair to clients: past the target those are refused whose source had its share of late; one that had far less is let in until it
 * has waited for a whole interval, which is longer than anybody waits while refusing the others is enough.
 */
import { CODEL_DEFAULTS, CoDel } from './codel.js';
import { Shares } from './sources.js';

/** Of the target, what CoDel takes for standing: what waits for twice that is refused, so the target is the longest wait. */
const STANDING = 0.5;
/** RFC 8289 section 4.3: CoDel's target is a twentieth to a tenth of its interval. */
const INTERVAL_PER_TARGET = 10 * STANDING;
/** Connections are asked how long they have waited this often at most, ms, while all is well: a system call each. */
const ASK_MS = 1;

export class Shedder {
  readonly #codel: CoDel;
  readonly #intervalMs: number;
  /** By source address, and by the SPIFFE ID of who has proven one. */
  readonly #shares = { source: new Shares(), identity: new Shares() } as const;
  #askedAt = Number.NEGATIVE_INFINITY;

  /** @param targetMs how long a connection may wait in an overload */
  constructor(targetMs: number) {
    this.#intervalMs = Math.max(CODEL_DEFAULTS.intervalMs, INTERVAL_PER_TARGET * targetMs);
    this.#codel = new CoDel({ targetMs: STANDING * targetMs, intervalMs: this.#intervalMs });
  }

  /** Whether it is worth asking how long this one has waited. */
  asks(now: number): boolean {
    return Math.abs(now - this.#askedAt) >= ASK_MS || this.#codel.isOverloaded(now);
  }

  /** One has waited so long for this thread. */
  waited(waitedMs: number, now: number): void {
    this.#askedAt = now;
    this.#codel.observe(waitedMs, now);
  }

  /** Whether one that has waited so long is to be refused, where who it is will only be known later. */
  refusesAnyone(waitedMs: number, now: number): boolean {
    return waitedMs > this.#intervalMs && this.#codel.isOverloaded(now);
  }

  /** Whether one of `client` that has waited so long is to be refused. */
  refuses(kind: 'source' | 'identity', client: string, waitedMs: number, now: number): boolean {
    if (!this.#codel.isTooLate(waitedMs, now)) return false;
    return waitedMs > this.#intervalMs || !this.#shares[kind].isQuiet(client, now);
  }

  /** A connection of `client` was let in. */
  admitted(kind: 'source' | 'identity', client: string, now: number): void {
    this.#shares[kind].add(client, now);
  }
}
