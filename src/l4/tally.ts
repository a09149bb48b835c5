/**
 * A count that several threads keep together, exactly and without waiting for each other. Each thread counts in a cell
 * of its own and the total is their sum, so that what a thread had counted can be taken back when it dies.
 */

/** Cells of different threads lie on different cache lines (64 bytes), or every connection would slow the others down. */
const CELL_WORDS = 16;

/** Room for the cells of so many threads, all at zero; shared by sending it to them. */
export function sharedCells(threads: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(threads * CELL_WORDS * Int32Array.BYTES_PER_ELEMENT));
}

export class Tally {
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #mine: number;

  /** @param thread whose cell this one counts in, from 0 */
  constructor(cells: Int32Array<SharedArrayBuffer> = sharedCells(1), thread = 0) {
    this.#cells = cells;
    this.#mine = thread * CELL_WORDS;
  }

  /** Over all threads. */
  get total(): number {
    return totalOf(this.#cells);
  }

  /**
   * Counts one more, unless that would be more than `limit` over all threads. Two threads that compete for the last
   * place may both be told no, once: who still sees a free place afterwards tries again.
   */
  enter(limit: number): boolean {
    Atomics.add(this.#cells, this.#mine, 1);
    if (this.total <= limit) return true;
    this.leave();
    return false;
  }

  leave(): void {
    Atomics.sub(this.#cells, this.#mine, 1);
  }
}

/** What all threads have counted. */
export function totalOf(cells: Int32Array<SharedArrayBuffer>): number {
  let sum = 0;
  for (let at = 0; at < cells.length; at += CELL_WORDS) sum += Atomics.load(cells, at);
  return sum;
}

/** What a thread has counted. */
export function countOf(cells: Int32Array<SharedArrayBuffer>, thread: number): number {
  return Atomics.load(cells, thread * CELL_WORDS);
}

/** Takes back all that a thread had counted, and says how much that was. For when it has died. */
export function clearCell(cells: Int32Array<SharedArrayBuffer>, thread: number): number {
  return Atomics.exchange(cells, thread * CELL_WORDS, 0);
}
