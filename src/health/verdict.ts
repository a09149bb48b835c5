/** When an endpoint counts as unhealthy, and when it is checked next. Pure. */

export interface Health {
  readonly isHealthy: boolean;
  /** Checks in a row that said otherwise. */
  readonly against: number;
  /** Nothing is known of it: the next check alone decides. */
  readonly isNew: boolean;
}

/** Healthy until found otherwise, and its first check decides, as with HAProxy (`init-state up`): who comes is given connections at once. */
export const UNKNOWN: Health = { isHealthy: true, against: 0, isNew: true };

export interface Thresholds {
  /** Checks in a row that must pass, or fail. */
  readonly rise: number;
  readonly fall: number;
}

/** What is thought of an endpoint after a check. `inARow`: how many checks have said so, where that turned it. */
export function after(
  { isHealthy, against, isNew }: Health,
  passed: boolean,
  { rise, fall }: Thresholds,
): { readonly health: Health; readonly turnedBy: number | undefined } {
  if (passed === isHealthy) return { health: { isHealthy, against: 0, isNew: false }, turnedBy: undefined };
  const inARow = against + 1;
  const needed = isNew ? 1 : passed ? rise : fall;
  if (inARow < needed) return { health: { isHealthy, against: inARow, isNew: false }, turnedBy: undefined };
  return { health: { isHealthy: passed, against: 0, isNew: false }, turnedBy: inARow };
}

/** So many proxies that were started together do not ask together for long. */
const JITTER = 0.1;

/** How long after a check began the next begins, ms. @param random from 0 to 1 */
export function nextAfter(intervalMs: number, random: number): number {
  return intervalMs * (1 - JITTER + 2 * JITTER * random);
}

/** Of endpoints that come together, so long for each, ms: one is checked at once, and thousands not all at once. */
const SPREAD_MS_EACH = 10;

/** How long after it came an endpoint is first checked, ms, of `count` that came together. @param random from 0 to 1 */
export function firstAfter(intervalMs: number, count: number, random: number): number {
  return Math.min(intervalMs, count * SPREAD_MS_EACH) * random;
}
