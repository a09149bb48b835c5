/** How long to wait before trying again what has failed. */

export interface BackoffBounds {
  /** The longest wait after the first failure, ms. */
  readonly baseMs: number;
  /** No wait is longer, ms. */
  readonly maxMs: number;
}

/**
 * How long to wait before the next try: doubling from `baseMs` to `maxMs`, and of that a random part between half and
 * all, so that many who failed together do not come back together.
 * @param failures in a row so far, from 1
 * @param random between 0 and 1
 */
export function backoffMs(failures: number, { baseMs, maxMs }: BackoffBounds, random: number): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** (failures - 1));
  return ceiling * (0.5 + random / 2);
}
