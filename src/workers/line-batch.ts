/** Log lines on their way to main: many in one message, and no more under way than main can be expected to take. */
import type { Clock, Timer } from '../core/clock.js';

/** Lines are gathered this long, ms: a message costs some microseconds in both threads, whatever is in it. */
const GATHER_MS = 20;
/** So many are sent at once even so. */
const MAX_GATHERED = 500;
/** Sent and not taken: some megabytes of access lines. Past it main is stalled, and lines are dropped and counted. */
const MAX_UNDER_WAY = 10_000;

export class LineBatch {
  readonly #clock: Clock;
  readonly #send: (lines: readonly string[], dropped: number) => void;
  #gathered: string[] = [];
  #underWay = 0;
  #dropped = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, send: (lines: readonly string[], dropped: number) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  add(line: string): void {
    if (this.#underWay + this.#gathered.length >= MAX_UNDER_WAY) {
      this.#dropped += 1;
      return;
    }
    this.#gathered.push(line);
    if (this.#gathered.length >= MAX_GATHERED) this.flush();
    else this.#timer ??= this.#clock.after(GATHER_MS, () => this.flush());
  }

  /** Main has taken so many of what was sent. */
  taken(lines: number): void {
    this.#underWay -= lines;
    if (this.#dropped > 0) this.flush();
  }

  /** Sends what there is. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#gathered.length === 0 && this.#dropped === 0) return;
    const [lines, dropped] = [this.#gathered, this.#dropped];
    this.#gathered = [];
    this.#dropped = 0;
    this.#underWay += lines.length;
    this.#send(lines, dropped);
  }
}
