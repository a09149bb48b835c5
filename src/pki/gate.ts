/**
 * How many requests the authority takes on: so many a second, so many at a time, and of both no more than half for one
 * source. Who is turned away is told when to come back, each at another time. Pure: time is an argument.
 */
import { isIPv6 } from 'node:net';
import { bytesToIp, ipToBytes } from '../core/ip.js';

export interface GateLimits {
  /** Requests a second in the long run; `Infinity` for no limit. */
  readonly ratePerS: number;
  /** Under way at a time. */
  readonly concurrency: number;
}

export type Admission =
  /** Who is admitted has to `leave`, once. */
  | { readonly kind: 'admitted'; leave(): void }
  | { readonly kind: 'busy'; readonly why: string; readonly retryAfterMs: number };

/** What was not used in so long can be used at once: as many requests as come in so long. */
const BURST_MS = 1000;
/** However large the crowd, nobody waits longer for a next try: renewal begins with a third of the life left, 100 s of the shortest. */
const MAX_RETRY_MS = 30_000;
/** About what one takes that waits for a disk. */
const SLOT_RETRY_MS = 250;
/** Of rate and concurrency: so that one source can never keep all others out. */
const SHARE_OF_ONE_SOURCE = 1 / 2;
/** Sources remembered. Past it, a source that is new has only the limits of all. */
const MAX_SOURCES = 10_000;
/** Looking through all of them takes a tenth of a millisecond: not for each request of a crowd. */
const FORGET_EVERY_MS = 100;

export class Gate {
  readonly #limits: GateLimits;
  readonly #perSource: GateLimits;
  readonly #all: Line;
  readonly #sources = new Map<string, Line>();
  #forgotAt = Number.NEGATIVE_INFINITY;

  constructor(limits: GateLimits) {
    this.#limits = limits;
    this.#perSource = {
      ratePerS: limits.ratePerS * SHARE_OF_ONE_SOURCE,
      concurrency: Math.ceil(limits.concurrency * SHARE_OF_ONE_SOURCE),
    };
    this.#all = new Line(limits);
  }

  /** Requests under way. */
  get busy(): number {
    return this.#all.busy;
  }

  /**
   * @param source `sourceOf` its address
   * @param now monotonic, ms
   * @param random between 0 and 1
   */
  enter(source: string, now: number, random: number): Admission {
    const line = this.#lineOf(source, now);
    if (this.#all.busy >= this.#limits.concurrency) return busy('as many requests as it may are under way', random);
    if (line !== undefined && line.busy >= this.#perSource.concurrency) {
      return busy('half of the requests under way are from this address', random);
    }
    // The source's first: what one source asks too much must not be counted against all.
    const own = line?.take(now) ?? 0;
    if (own > 0) return inTurn('too many requests a second from this address', own, random);
    const wait = this.#all.take(now);
    if (wait > 0) return inTurn('too many requests a second', wait, random);
    const lines = line === undefined ? [this.#all] : [this.#all, line];
    for (const one of lines) one.busy += 1;
    return {
      kind: 'admitted',
      leave() {
        for (const one of lines) one.busy -= 1;
      },
    };
  }

  #lineOf(source: string, now: number): Line | undefined {
    const known = this.#sources.get(source);
    if (known !== undefined) return known;
    if (this.#sources.size >= MAX_SOURCES) this.#forget(now);
    if (this.#sources.size >= MAX_SOURCES) return undefined;
    const line = new Line(this.#perSource);
    this.#sources.set(source, line);
    return line;
  }

  /** Those of whom there is nothing to remember. */
  #forget(now: number): void {
    if (now - this.#forgotAt < FORGET_EVERY_MS) return;
    this.#forgotAt = now;
    for (const [source, line] of this.#sources) {
      if (line.isIdle(now)) this.#sources.delete(source);
    }
  }
}

/**
 * A token bucket, as the one number of the generic cell rate algorithm (ITU-T I.371 annex A): the time at which it would
 * be full again. Beside it, when the next of those who were turned away is due.
 */
class Line {
  busy = 0;
  readonly #spacing: number;
  #full = Number.NEGATIVE_INFINITY;
  #nextReturn = Number.NEGATIVE_INFINITY;

  constructor({ ratePerS }: GateLimits) {
    this.#spacing = 1000 / ratePerS;
  }

  /** Takes one and answers 0, or how long to wait for a turn of one's own, ms. */
  take(now: number): number {
    const full = Math.max(this.#full, now) + this.#spacing;
    // A rate below one a burst's time lets one through all the same.
    if (full - now <= Math.max(BURST_MS, this.#spacing)) {
      this.#full = full;
      return 0;
    }
    const room = full - Math.max(BURST_MS, this.#spacing);
    this.#nextReturn = Math.min(Math.max(this.#nextReturn + this.#spacing, room), now + MAX_RETRY_MS);
    return this.#nextReturn - now;
  }

  isIdle(now: number): boolean {
    return this.busy === 0 && this.#full <= now && this.#nextReturn <= now;
  }
}

function busy(why: string, random: number): Admission {
  return { kind: 'busy', why, retryAfterMs: Math.ceil(SLOT_RETRY_MS * (1 + random * 3)) };
}

/** A turn of one's own, and up to half as long again: those who have the last turn that there is do not come together. */
function inTurn(why: string, waitMs: number, random: number): Admission {
  return { kind: 'busy', why, retryAfterMs: Math.ceil(waitMs * (1 + random / 2)) };
}

/** Bytes of an IPv6 address that one customer or one machine has to itself. */
const PREFIX_BYTES = 8;

/** What counts as one source: an IPv4 address, or the /64 of an IPv6 one. @param address of a socket, IPv4-mapped as IPv4 */
export function sourceOf(address: string): string {
  if (!isIPv6(address)) return address;
  const bytes = ipToBytes(address).fill(0, PREFIX_BYTES);
  return bytesToIp(bytes);
}
