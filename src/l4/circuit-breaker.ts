/**
 * How many connections a service may have, open or being opened, over all threads; those past it wait, or are refused
 * (Envoy's circuit breakers, with a queue as HAProxy's servers have). It protects what is behind: a service that is slow
 * does not also get all the connections that pile up in front of it.
 */
import type { CancelSignal } from '../core/cancel.js';
import type { Clock } from '../core/clock.js';
import { PendingQueue, type QueueBounds, type Waited } from './pending-queue.js';
import { clearCell, sharedCells, Tally, totalOf } from './tally.js';

type SharedCells = Int32Array<SharedArrayBuffer>;

/** What all threads count together of a service. Plain enough to be sent to a thread. */
export interface BreakerCells {
  readonly connections: SharedCells;
  readonly waiting: SharedCells;
  readonly retries: SharedCells;
  /** One number, which changes when a place has come free for who waits in another thread. */
  readonly freed: SharedCells;
}

export function newBreakerCells(threads: number): BreakerCells {
  const freed = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  return { connections: sharedCells(threads), waiting: sharedCells(threads), retries: sharedCells(threads), freed };
}

/** A thread has died, and what it had counted with it. */
export function forgetInBreaker({ connections, waiting, retries }: BreakerCells, thread: number): void {
  for (const cells of [connections, waiting, retries]) clearCell(cells, thread);
}

export interface BreakerBounds {
  /** Connections; `undefined` for no bound. */
  readonly maxConnections: number | undefined;
  /** Connections that wait. */
  readonly maxPending: number;
  /** Connections that are being tried again at a time; `undefined` for no bound. */
  readonly maxRetries: number | undefined;
  readonly queue: QueueBounds;
}

/** What all threads have counted, beside its bounds; a bound is absent where there is none. */
export interface BreakerUse {
  readonly connections: number;
  readonly maxConnections?: number;
  readonly waiting: number;
  /** 0 where nobody may wait; absent where nobody has to. */
  readonly maxWaiting?: number;
  /** Connections that are being tried again. */
  readonly retrying: number;
  readonly maxRetrying?: number;
  /** For the next connection one is refused at once: itself, or one that gives way to it. */
  readonly open: boolean;
}

/** As it is at this moment. Each count is exact; one may be older than another by as long as it takes to read them. */
export function useOf(
  cells: BreakerCells,
  { maxConnections, maxPending, maxRetries, queue }: BreakerBounds,
): BreakerUse {
  const connections = totalOf(cells.connections);
  const waiting = totalOf(cells.waiting);
  const maxWaiting = queue.timeoutMs === 0 ? 0 : maxPending;
  const bound = maxConnections !== undefined;
  return {
    connections,
    ...(bound && { maxConnections, maxWaiting }),
    waiting,
    retrying: totalOf(cells.retries),
    ...(maxRetries !== undefined && { maxRetrying: maxRetries }),
    // Who comes while others wait has to wait behind them, as `tryEnter` has it.
    open: bound && (connections >= maxConnections || waiting > 0) && waiting >= maxWaiting,
  };
}

/** One thread's view. */
export class CircuitBreaker {
  readonly #connections: Tally;
  readonly #waiting: Tally;
  readonly #retries: Tally;
  readonly #freed: SharedCells;
  readonly #queue: PendingQueue;
  /** What who waits may take a place by; of whoever came last. */
  #limit = Number.POSITIVE_INFINITY;
  #listens = false;

  constructor(cells: BreakerCells, thread: number, clock: Clock) {
    this.#connections = new Tally(cells.connections, thread);
    this.#waiting = new Tally(cells.waiting, thread);
    this.#retries = new Tally(cells.retries, thread);
    this.#freed = cells.freed;
    this.#queue = new PendingQueue(clock, () => this.#connections.enter(this.#limit));
  }

  /** Open or being opened, over all threads. */
  get connections(): number {
    return this.#connections.total;
  }

  /** Takes a place without waiting, where there is one and nobody waits for it. */
  tryEnter({ maxConnections, queue }: BreakerBounds): boolean {
    if (maxConnections === undefined) return this.#connections.enter(Number.POSITIVE_INFINITY);
    if (this.#waiting.total > 0 || !this.#connections.enter(maxConnections)) return false;
    this.#queue.passed(queue);
    return true;
  }

  /**
   * Waits for a place; `full` where as many wait as may, or where nobody may wait at all.
   * @param client on whose behalf: clients are let in by turns, and one with many that wait does not keep others from waiting
   */
  async enter(client: string, bounds: BreakerBounds, signal: CancelSignal): Promise<Waited> {
    const { maxConnections = Number.POSITIVE_INFINITY, maxPending, queue } = bounds;
    this.#limit = maxConnections;
    if (queue.timeoutMs === 0) return 'full';
    if (!this.#waiting.enter(maxPending)) {
      if (!this.#queue.giveWay(client)) return 'full';
      // Who gave way leaves in a moment.
      this.#waiting.enter(Number.POSITIVE_INFINITY);
    }
    this.#listen();
    try {
      return await this.#queue.wait(client, queue, signal);
    } finally {
      this.#waiting.leave();
    }
  }

  /** A connection that had entered has ended. */
  leave(): void {
    this.#connections.leave();
    const waiting = this.#waiting.total;
    if (waiting === 0) return;
    const here = this.#queue.size;
    // The place goes to a thread by lot, weighed by how many wait there: each of them admits its own.
    if (Math.random() * waiting < here) return void this.#queue.admit();
    Atomics.add(this.#freed, 0, 1);
    Atomics.notify(this.#freed, 0);
  }

  /** Counts a connection in that is to be tried again. */
  tryRetry(max: number | undefined): boolean {
    return this.#retries.enter(max ?? Number.POSITIVE_INFINITY);
  }

  retried(): void {
    this.#retries.leave();
  }

  /** While somebody waits here, what other threads free is heard of. */
  #listen(): void {
    if (this.#listens) return;
    this.#listens = true;
    const told = Atomics.waitAsync(this.#freed, 0, Atomics.load(this.#freed, 0));
    void Promise.resolve(told.value).then(() => {
      this.#listens = false;
      if (this.#queue.size === 0) return;
      this.#listen();
      this.#queue.admit();
    });
  }
}
