/**
 * Accepted connections on their way from one worker to another: numbers in memory that all of them see, for threads
 * share the table of descriptors. Each pair of workers has a lane of its own, with one sender and one taker. So nobody
 * waits for anybody, and one that dies, at whatever moment, leaves no lane that others cannot use.
 */

/** What one sender hands to one taker before that has had its turn: twice what a listener accepts at once. A power of two. */
export const LANE_ENTRIES = 128;
/** Words in a cache line of 64 bytes: what different threads write lies on different ones. */
const LINE = 16;
/** A lane: how many were sent, how many were taken (both wrap around), and the entries, of two words each. */
const TAKEN = LINE;
const ENTRIES = 2 * LINE;
const LANE_WORDS = ENTRIES + 2 * LANE_ENTRIES;
/** Before all else: how many are on their way, in all lanes. */
const HEAD_WORDS = LINE;

export type InboxCells = Int32Array<SharedArrayBuffer>;

/** The inboxes of so many workers, all empty and closed; shared by sending them. */
export function sharedInboxes(workers: number): InboxCells {
  const words = HEAD_WORDS + workers * LINE + workers * workers * LANE_WORDS;
  return new Int32Array(new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT));
}

export class Inboxes {
  readonly #cells: InboxCells;
  readonly #workers: number;

  constructor(cells: InboxCells, workers: number) {
    this.#cells = cells;
    this.#workers = workers;
  }

  /** From now on that worker takes connections of groups up to `newest`; 0 for none. */
  open(worker: number, newest: number): void {
    Atomics.store(this.#cells, HEAD_WORDS + worker * LINE, newest);
  }

  /** Whether that worker takes connections that were accepted in `group`. */
  isOpen(worker: number, group: number): boolean {
    return Atomics.load(this.#cells, HEAD_WORDS + worker * LINE) >= group;
  }

  /** Once true it stays so until the next `put`: there is no other sender. */
  hasRoom(from: number, to: number): boolean {
    return this.#inLane(this.#lane(from, to)) < LANE_ENTRIES;
  }

  /** There must be room. */
  put(from: number, to: number, group: number, fd: number): void {
    const lane = this.#lane(from, to);
    const sent = Atomics.load(this.#cells, lane);
    const entry = entryAt(lane, sent);
    this.#cells[entry] = group;
    this.#cells[entry + 1] = fd;
    // Counted first: a sender that dies in between leaves one too many, which is harmless; one too few is not.
    Atomics.add(this.#cells, 0, 1);
    // What was written before it is seen by who sees this.
    Atomics.store(this.#cells, lane, (sent + 1) | 0);
  }

  /** Takes what is there, in the order of each sender. An entry that `taker` is called with is in the inbox no more. */
  take(worker: number, taker: (group: number, fd: number) => void): void {
    for (let from = 0; from < this.#workers; from += 1) this.#takeLane(this.#lane(from, worker), taker);
  }

  /** How many are on their way, to whichever worker. */
  get underWay(): number {
    return Atomics.load(this.#cells, 0);
  }

  /** How many wait to be taken by that worker. */
  waiting(worker: number): number {
    let sum = 0;
    for (let from = 0; from < this.#workers; from += 1) sum += this.#inLane(this.#lane(from, worker));
    return sum;
  }

  #takeLane(lane: number, taker: (group: number, fd: number) => void): void {
    // No more than there were: one who sends as fast as this takes must not hold the thread.
    const sent = Atomics.load(this.#cells, lane);
    for (let taken = Atomics.load(this.#cells, lane + TAKEN); taken !== sent; taken = (taken + 1) | 0) {
      const entry = entryAt(lane, taken);
      const [group = 0, fd = -1] = [this.#cells[entry], this.#cells[entry + 1]];
      Atomics.store(this.#cells, lane + TAKEN, (taken + 1) | 0);
      Atomics.sub(this.#cells, 0, 1);
      taker(group, fd);
    }
  }

  #inLane(lane: number): number {
    return (Atomics.load(this.#cells, lane) - Atomics.load(this.#cells, lane + TAKEN)) | 0;
  }

  #lane(from: number, to: number): number {
    return HEAD_WORDS + this.#workers * LINE + (to * this.#workers + from) * LANE_WORDS;
  }
}

function entryAt(lane: number, count: number): number {
  return lane + ENTRIES + 2 * (count & (LANE_ENTRIES - 1));
}
