/** When a data plane accepts nothing for want of descriptors, and when it goes on. */
import type { Clock, Timer } from '../core/clock.js';

/** How long accepting rests after a dial found no descriptor though by our count there was one. */
const EXHAUSTED_REST_MS = 500;

/** How often a data plane that is paused looks whether connections of other threads have ended, ms: no thread tells another. */
const LOOK_AGAIN_MS = 50;

export interface PausingOptions<Held> {
  readonly clock: Clock;
  /** Whether there are descriptors for another connection. */
  hasRoom(): boolean;
  /** Accepting is to stop, or to go on. */
  onPause(paused: boolean): void;
  /** There is room for one that was held. */
  onRoom(held: Held): void;
}

/** @typeParam Held what was accepted when there was no descriptor left for it, as happens where threads compete for the last */
export class Pausing<Held> {
  readonly #options: PausingOptions<Held>;
  #paused = false;
  #ended = false;
  #held: Held[] = [];
  #lookingAgain: Timer | undefined;
  #resting: Timer | undefined;

  constructor(options: PausingOptions<Held>) {
    this.#options = options;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Keeps one until there is room. */
  hold(one: Held): void {
    this.pause();
    this.#held.push(one);
  }

  pause(): void {
    if (this.#paused || this.#ended) return;
    this.#paused = true;
    this.#options.onPause(true);
    this.#lookAgainLater();
  }

  /** Goes on where there is room. */
  resume(): void {
    const { hasRoom, onRoom, onPause } = this.#options;
    if (!this.#paused || this.#ended || this.#resting) return;
    for (let held = this.#held[0]; held !== undefined && hasRoom(); held = this.#held[0]) {
      this.#held.shift();
      onRoom(held);
    }
    if (!hasRoom()) return;
    this.#paused = false;
    this.#lookingAgain?.cancel();
    onPause(false);
  }

  /** There was no descriptor where there should have been one: pauses for a moment, whatever the count says. */
  rest(): void {
    this.pause();
    this.#resting ??= this.#options.clock.after(EXHAUSTED_REST_MS, () => {
      this.#resting = undefined;
      this.resume();
    });
  }

  /** It never goes on. Returns those that are held. */
  end(): Held[] {
    this.#ended = true;
    this.#resting?.cancel();
    this.#lookingAgain?.cancel();
    return this.#held.splice(0);
  }

  #lookAgainLater(): void {
    this.#lookingAgain = this.#options.clock.after(LOOK_AGAIN_MS, () => {
      this.resume();
      if (this.#paused) this.#lookAgainLater();
    });
  }
}
