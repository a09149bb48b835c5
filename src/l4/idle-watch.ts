import type { Clock, Timer } from '../core/clock.js';

/** Looks per timeout: the callback comes between one timeout and one and a quarter after the last byte. */
const LOOKS = 4;

/**
 * Calls `onIdle` once, when `moved()` has not changed for `timeoutMs`. Costs nothing per byte: it looks now and then.
 * @param moved a figure that changes with every byte that moves
 */
export function watchIdle(clock: Clock, timeoutMs: number, moved: () => number, onIdle: () => void): Timer {
  // Not asked at once: most connections end before the first look, and asking costs system calls.
  let last: number | undefined;
  let still = 0;
  let timer: Timer;
  const look = (): void => {
    const now = moved();
    still = now === last ? still + 1 : 0;
    last = now;
    if (still >= LOOKS) onIdle();
    else timer = clock.after(timeoutMs / LOOKS, look);
  };
  timer = clock.after(timeoutMs / LOOKS, look);
  return { cancel: () => timer.cancel() };
}
