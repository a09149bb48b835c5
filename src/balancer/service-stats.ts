/** What all threads know of a service together: counts of the service, and the statistics of its endpoints by slot. */
import { blockOf, EndpointStats, firstOf, newBlock, StatsBlock, type StatsPlace } from './endpoint-stats.js';
import { RETRY_BUDGET_WORDS, RetryBudget } from './retry-budget.js';

/** Plain enough to be sent to a thread. */
export interface ServiceCells {
  readonly counts: Int32Array<SharedArrayBuffer>;
  /** More come as there are more endpoints. */
  readonly blocks: readonly SharedArrayBuffer[];
}

/** Places in `counts`; far apart, for the first changes with each connection. */
const COUNT = { turns: 0, version: 16, size: 17, ejected: 18, ejections: 20, retryBudget: 32 } as const;
const COUNTS = COUNT.retryBudget + RETRY_BUDGET_WORDS;

export function newServiceCells(): ServiceCells {
  return { counts: new Int32Array(new SharedArrayBuffer(COUNTS * Int32Array.BYTES_PER_ELEMENT)), blocks: [] };
}

export function withRoomFor(slots: number, { counts, blocks }: ServiceCells, threads: number): ServiceCells {
  const needed = slots === 0 ? 0 : blockOf(slots - 1) + 1;
  if (needed <= blocks.length) return { counts, blocks };
  const added = Array.from({ length: needed - blocks.length }, (_, index) => newBlock(blocks.length + index, threads));
  return { counts, blocks: [...blocks, ...added] };
}

/** One thread's view. */
export class ServiceStats {
  readonly retryBudget: RetryBudget;
  readonly #thread: number;
  readonly #counts: Int32Array<SharedArrayBuffer>;
  #blocks: readonly StatsBlock[] = [];

  /** @param thread from 0 */
  constructor(cells: ServiceCells, thread: number) {
    this.#thread = thread;
    this.#counts = cells.counts;
    this.retryBudget = new RetryBudget(cells.counts.subarray(COUNT.retryBudget));
    this.grow(cells);
  }

  /** Takes notice of blocks that have been added. */
  grow({ blocks }: ServiceCells): void {
    const known = this.#blocks.length;
    const added = blocks.slice(known).map((memory, index) => new StatsBlock(memory, known + index, this.#thread));
    if (added.length > 0) this.#blocks = [...this.#blocks, ...added];
  }

  slot(slot: number): EndpointStats {
    return new EndpointStats(this.placeOf(slot));
  }

  placeOf(slot: number): StatsPlace {
    const number = blockOf(slot);
    const block = this.#blocks[number];
    if (block === undefined) throw new Error(`unreachable: there is no slot ${slot}`);
    return block.placeOf(slot - firstOf(number));
  }

  /** For round robin: the number of this turn. */
  turn(): number {
    return Atomics.add(this.#counts, COUNT.turns, 1) >>> 0;
  }

  /** Changes whenever the standing of an endpoint does. */
  get version(): number {
    return Atomics.load(this.#counts, COUNT.version);
  }

  standingChanged(): void {
    Atomics.add(this.#counts, COUNT.version, 1);
  }

  /** How many endpoints the service has. */
  get size(): number {
    return Atomics.load(this.#counts, COUNT.size);
  }

  /** Endpoints that are ejected now. */
  get ejected(): number {
    return Atomics.load(this.#counts, COUNT.ejected);
  }

  setSize(size: number, ejected: number): void {
    Atomics.store(this.#counts, COUNT.size, size);
    Atomics.store(this.#counts, COUNT.ejected, ejected);
  }

  /** Counts one more ejected, unless that would be more than `most`. */
  enterEjected(most: number): boolean {
    if (Atomics.add(this.#counts, COUNT.ejected, 1) < most) return true;
    Atomics.sub(this.#counts, COUNT.ejected, 1);
    return false;
  }

  leaveEjected(): void {
    Atomics.sub(this.#counts, COUNT.ejected, 1);
  }

  /** Ejections since the start for a reason, by its number, over all threads. */
  ejections(reason: number): number {
    return Atomics.load(this.#counts, COUNT.ejections + reason);
  }

  countEjection(reason: number): void {
    Atomics.add(this.#counts, COUNT.ejections + reason, 1);
  }

  /** Takes back what this view's thread had counted. For when it has died. */
  forget(): void {
    for (const block of this.#blocks) block.forgetThread();
  }
}
