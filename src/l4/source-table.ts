/**
 * Buckets of sources, in memory that all threads see and that is the same however many sources there are: where a place is needed, the
 * source loses its own that was seen longest ago of the few that share it. As it has not been seen, its buckets are empty as a rule.
 */
import { randomInt } from 'node:crypto';
import { hash32 } from '../balancer/xxhash.js';
import { BUCKET_WORDS, Bucket } from './bucket.js';

/** Buckets that each source has. */
export const BUCKETS = 3;
/** Behind the source's hash; 32 bytes in all. */
const PLACE_WORDS = 8;
/** Places in which a source may be: the source that is looked for is found by looking at two cache lines or four. */
const WAYS = 8;
const SETS = 512;
/** Its first word is what hashes begin with: nobody outside knows which sources share a place. */
const HEADER_WORDS = PLACE_WORDS;

/** Sources that it can hold. */
export const MOST_SOURCES = SETS * WAYS;

/** 128 KiB. */
export function newSourceCells(): Int32Array<SharedArrayBuffer> {
  const cells = new Int32Array(
    new SharedArrayBuffer((HEADER_WORDS + MOST_SOURCES * PLACE_WORDS) * Int32Array.BYTES_PER_ELEMENT),
  );
  cells[0] = randomInt(2 ** 31);
  return cells;
}

/** A source's place, for as long as it has it. */
export interface SourcePlace {
  readonly key: number;
  readonly at: number;
  readonly buckets: readonly Bucket[];
}

export class SourceTable {
  readonly #cells: Int32Array<SharedArrayBuffer>;

  constructor(cells: Int32Array<SharedArrayBuffer>) {
    this.#cells = cells;
  }

  /** Where the buckets of `source` are, which are empty where it is new. */
  find(source: string, now: number): SourcePlace {
    // 0 is nobody's.
    const key = hash32(source, this.#cells[0] ?? 0) | 0 || 1;
    const set = HEADER_WORDS + ((key >>> 0) % SETS) * WAYS * PLACE_WORDS;
    for (;;) {
      const at = this.#known(set, key);
      if (at !== undefined) return this.#place(key, at);
      const oldest = this.#oldest(set, now);
      const before = Atomics.load(this.#cells, oldest);
      // Another thread may just have taken it.
      if (Atomics.compareExchange(this.#cells, oldest, before, key) !== before) continue;
      const taken = this.#place(key, oldest);
      for (const bucket of taken.buckets) bucket.clear();
      return taken;
    }
  }

  /** Whether it is still the place of whom it was found for. */
  isCurrent({ key, at }: SourcePlace): boolean {
    return Atomics.load(this.#cells, at) === key;
  }

  #known(set: number, key: number): number | undefined {
    for (let at = set; at < set + WAYS * PLACE_WORDS; at += PLACE_WORDS) {
      if (Atomics.load(this.#cells, at) === key) return at;
    }
    return undefined;
  }

  /** One that is nobody's, or else was seen longest ago. */
  #oldest(set: number, now: number): number {
    let [oldest, most] = [set, -1];
    for (let at = set; at < set + WAYS * PLACE_WORDS; at += PLACE_WORDS) {
      if (Atomics.load(this.#cells, at) === 0) return at;
      const idle = Math.min(...this.#place(0, at).buckets.map((bucket) => bucket.idleMs(now)));
      if (idle > most) [oldest, most] = [at, idle];
    }
    return oldest;
  }

  #place(key: number, at: number): SourcePlace {
    const buckets = Array.from(
      { length: BUCKETS },
      (_, index) => new Bucket(this.#cells, at + 1 + index * BUCKET_WORDS),
    );
    return { key, at, buckets };
  }
}
