/**
 * Time as an argument. Nothing in meshproxy that has to be tested asks the machine what time it is: it is given a
 * `Clock`, and a test gives it one that stands still until told otherwise.
 */
import type { CancelSignal } from './cancel.js';

/** A timer that was set; `cancel` is idempotent and does nothing once it has fired. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds with a fraction, from an arbitrary origin, the same in all threads. For durations. */
  now(): number;
  /** Milliseconds since 1970. For people and for logs; it may jump. */
  wall(): number;
  /** Calls `action` once, `delayMs` from now. A pending timer does not keep the process alive. */
  after(delayMs: number, action: () => void): Timer;
}

/** The longest delay a Node timer takes; past it, it would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Each thread's `performance.now` counts from its own start; the system's monotonic clock is the same for all of them. */
const THREAD_STARTED_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export const systemClock: Clock = {
  now: () => THREAD_STARTED_MS + performance.now(),
  wall: () => Date.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, Math.min(delayMs, MAX_TIMER_MS));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves after `delayMs`, or at once when `signal` is aborted; which of them, its caller asks the signal. */
export function sleep(clock: Clock, delayMs: number, signal: CancelSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = clock.after(delayMs, wake);
    signal.addEventListener('abort', wake, { once: true });
  });
}
