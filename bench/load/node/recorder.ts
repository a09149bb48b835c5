/** What the clients in TypeScript count, and how they report it. */
import type { LoadResult } from '../result.js';

/** Each octave of latencies is told apart in 128 steps, as in native/common.c: every value is kept within 0.8 %. */
const STEPS = 128;

export class Recorder {
  errors = 0;
  readonly #counts = new Map<number, number>();
  #units = 0;

  get units(): number {
    return this.#units;
  }

  /** Counts one unit that took `ms`. */
  answered(ms: number): void {
    this.#units++;
    this.#record(ms);
  }

  /** Counts a unit that was not answered after `ms`: an error, whose wait counts. */
  unanswered(ms: number): void {
    this.errors++;
    this.#record(ms);
  }

  #record(ms: number): void {
    const ns = Math.max(1, ms * 1e6);
    const width = Math.max(1, 2 ** Math.floor(Math.log2(ns)) / STEPS);
    const kept = Math.round(ns / width) * width;
    this.#counts.set(kept, (this.#counts.get(kept) ?? 0) + 1);
  }

  result(seconds: number): LoadResult {
    return { units: this.#units, seconds, errors: this.errors, latencies: [...this.#counts] };
  }
}

/** Prints a result as its reader in ../result.ts expects it, and ends the program. */
export function report(result: LoadResult): void {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

/** Says what failed, and ends the program. */
export function fail(what: string): never {
  console.error(what);
  process.exit(1);
}
