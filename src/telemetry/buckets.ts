/** Plain data. */
export interface BucketsSnapshot {
  readonly counts: readonly number[];
  readonly sum: number;
}

/**
 * A histogram in Prometheus' sense: how many values were at most as large as each bound.
 *
 * Beside prom-client's, which hashes its labels on every value: 0.8 µs three times a connection, against 0.02 µs here.
 */
export class Buckets {
  readonly #bounds: readonly number[];
  /** Per bound, not yet summed up; the last is for what is larger than every bound. */
  readonly #counts: Float64Array;
  #sum = 0;

  /** `bounds` ascend. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const index = this.#bounds.findIndex((bound) => value <= bound);
    const bucket = index === -1 ? this.#bounds.length : index;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }

  snapshot(): BucketsSnapshot {
    return { counts: [...this.#counts], sum: this.#sum };
  }

  /** Adds what others with the same bounds have observed. */
  add({ counts, sum }: BucketsSnapshot): void {
    for (const [index, count] of counts.entries()) this.#counts[index] = (this.#counts[index] ?? 0) + count;
    this.#sum += sum;
  }

  /** The lines of the text exposition format, version 0.0.4. `labels` as they stand between braces, escaped. */
  *lines(name: string, labels: string): Generator<string> {
    let count = 0;
    for (const [index, ofBucket] of this.#counts.entries()) {
      count += ofBucket;
      yield `${name}_bucket{${labels},le="${this.#bounds[index] ?? '+Inf'}"} ${count}`;
    }
    yield `${name}_sum{${labels}} ${this.#sum}`;
    yield `${name}_count{${labels}} ${count}`;
  }
}
