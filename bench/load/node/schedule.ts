/**
 * When the messages of a constant rate are due: message i at start + i / rate, whatever happened to those before it.
 * Latency counts from then, not from when the message could be sent. A client that waits for one answer before it
 * sends the next would, during a stall, leave out just those messages that the stall would have delayed ("coordinated
 * omission", Gil Tene).
 */
export class Schedule {
  readonly #startMs: number;
  readonly #perMs: number;
  /** How many messages are due in all. */
  readonly total: number;

  constructor(startMs: number, perSecond: number, seconds: number) {
    this.#startMs = startMs;
    this.#perMs = perSecond / 1000;
    this.total = Math.floor(perSecond * seconds);
  }

  dueAt(message: number): number {
    return this.#startMs + message / this.#perMs;
  }

  /** How many messages are due by `nowMs`: those from 0 to one less than this. */
  dueBy(nowMs: number): number {
    if (nowMs < this.#startMs) return 0;
    return Math.min(this.total, Math.floor((nowMs - this.#startMs) * this.#perMs) + 1);
  }

  /** The latency of a message that was answered at `nowMs`. */
  latency(message: number, nowMs: number): number {
    return nowMs - this.dueAt(message);
  }
}
