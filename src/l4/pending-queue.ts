/**
 * Connections that wait for a free place in their service, in one thread. Whoever waits is let in by turns of the
 * clients (`fair-queue.ts`), and waits no longer than `queueTimeout`; while the queue stands (`codel.ts`) no longer than
 * the delay target, so that those who are let in are let in soon, and the others know at once.
 */
import type { CancelSignal } from '../core/cancel.js';
import type { Clock, Timer } from '../core/clock.js';
import { CoDel } from './codel.js';
import { FairQueue, type Queued } from './fair-queue.js';

export interface QueueBounds {
  /** ms. */
  readonly timeoutMs: number;
  /** The delay target, ms; 0 for none. */
  readonly targetMs: number;
}

/**
 * `in` with a place taken; in vain after the timeout, or after the target in an `overload`; `cut` by the signal; `full` where it
 * had to give way.
 */
export type Waited = 'in' | 'timeout' | 'overload' | 'cut' | 'full';

interface Waiter extends Queued {
  readonly since: number;
  readonly bounds: QueueBounds;
  settle(how: Waited): void;
}

/** A place may come free without this thread being told (another has died): who waits looks so often, ms. */
const LOOK_MS = 50;
/**
 * A queue stands that had no quick moment for so many times its target. RFC 8289 section 4.4 has 20; here it is half of that, for
 * until it is known, which takes up to two intervals, the queue grows.
 */
const INTERVAL_PER_TARGET = 10;

export class PendingQueue {
  readonly #clock: Clock;
  readonly #take: () => boolean;
  readonly #waiting = new FairQueue<Waiter>();
  #codel: CoDel | undefined;
  #targetMs = 0;
  /** When somebody was last refused because the queue stood. */
  #refusedAt = Number.NEGATIVE_INFINITY;
  #next: Timer | undefined;

  /** @param take takes a free place, where there is one */
  constructor(clock: Clock, take: () => boolean) {
    this.#clock = clock;
    this.#take = take;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** One has found a place without waiting. */
  passed(bounds: QueueBounds): void {
    this.#aim(bounds);
    this.#codel?.observe(0, this.#clock.now());
  }

  wait(key: string, bounds: QueueBounds, signal: CancelSignal): Promise<Waited> {
    this.#aim(bounds);
    return new Promise((resolve) => {
      const cut = (): void => {
        this.#waiting.remove(waiter);
        waiter.settle('cut');
      };
      const settle = (how: Waited): void => {
        signal.removeEventListener('abort', cut);
        resolve(how);
      };
      const waiter: Waiter = { key, since: this.#clock.now(), bounds, settle };
      signal.addEventListener('abort', cut, { once: true });
      this.#waiting.enqueue(waiter);
      // Between the look that found no place and this moment one may have come free.
      this.admit();
      this.#watch();
    });
  }

  /** No more may wait: whether the client that has most here, and more than `key` has, gives one up for it (RFC 8290 section 4.1.3). */
  giveWay(key: string): boolean {
    const spare = this.#waiting.spareFor(key);
    if (spare === undefined) return false;
    this.#waiting.remove(spare);
    spare.settle('full');
    return true;
  }

  /** Lets in as many as there are places for. To be called when one has come free. */
  admit(): void {
    const now = this.#clock.now();
    while (this.#waiting.size > 0 && this.#take()) {
      const waiter = this.#waiting.dequeue();
      if (waiter === undefined) return;
      this.#codel?.observe(now - waiter.since, now);
      waiter.settle('in');
    }
  }

  /** A service that was reloaded may have another target. */
  #aim({ targetMs }: QueueBounds): void {
    if (targetMs === this.#targetMs) return;
    this.#targetMs = targetMs;
    this.#codel = targetMs === 0 ? undefined : new CoDel({ targetMs, intervalMs: targetMs * INTERVAL_PER_TARGET });
  }

  #expire(now: number): void {
    const fronts = [...this.#waiting.fronts()];
    // Who has stood longest in a queue that does not move shows that it does not.
    if (fronts.length > 0) this.#codel?.observe(now - Math.min(...fronts.map(({ since }) => since)), now);
    for (const { key } of fronts) {
      // Those of one key are in the order in which they came.
      for (let front = this.#waiting.front(key); front !== undefined; front = this.#waiting.front(key)) {
        const { mostMs, how } = this.#patience(front, now);
        if (now - front.since < mostMs) break;
        this.#waiting.remove(front);
        if (how === 'overload') this.#refusedAt = now;
        front.settle(how);
      }
    }
  }

  #patience({ bounds }: Waiter, now: number): { readonly mostMs: number; readonly how: 'timeout' | 'overload' } {
    const stands = this.#stands(now) && this.#targetMs < bounds.timeoutMs;
    return stands ? { mostMs: this.#targetMs, how: 'overload' } : { mostMs: bounds.timeoutMs, how: 'timeout' };
  }

  /** Also while it is refusing that keeps those who are let in from waiting longer: without it the queue would stand again. */
  #stands(now: number): boolean {
    if (this.#codel === undefined) return false;
    return this.#codel.isOverloaded(now) || now - this.#refusedAt < this.#targetMs * INTERVAL_PER_TARGET;
  }

  #watch(): void {
    if (this.#next !== undefined || this.#waiting.size === 0) return;
    this.#next = this.#clock.after(this.#untilNext(), () => {
      this.#next = undefined;
      this.#expire(this.#clock.now());
      this.admit();
      this.#watch();
    });
  }

  /** Until somebody has waited long enough, or it is time to look, ms. */
  #untilNext(): number {
    const now = this.#clock.now();
    let next = LOOK_MS;
    for (const front of this.#waiting.fronts()) {
      next = Math.min(next, front.since + this.#patience(front, now).mostMs - now);
    }
    return Math.max(0, next);
  }
}
