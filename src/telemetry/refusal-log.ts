/** Tells the log of connections that were turned away, without a line for each: a flood must not become a flood of lines. */
import type { Clock } from '../core/clock.js';
import type { Logger } from './logger.js';
import type { Refusal } from './record.js';

/** After the first line, the next is due this much later, ms, with the count of what came between. */
const QUIET_MS = 10_000;

const REASONS: Readonly<Record<Refusal, string>> = {
  'max-connections': 'as many connections as limits.maxConnections allows are open',
  'listener-max-connections': "as many connections as the listener's maxConnections allows are open",
  'max-memory': 'this process uses as much memory as limits.maxMemory allows',
  descriptors: 'this process has no descriptor left: raise its limit of open files',
  draining: 'this process is shutting down',
};

export class RefusalLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** By listener and reason, while quiet: how many were refused since the last line. */
  readonly #quiet = new Map<string, number>();

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  refused(listener: string, reason: Refusal): void {
    const key = `${listener} ${reason}`;
    const count = this.#quiet.get(key);
    if (count !== undefined) {
      this.#quiet.set(key, count + 1);
      return;
    }
    this.#tell(listener, reason, 1);
    this.#beQuiet(key, listener, reason);
  }

  #beQuiet(key: string, listener: string, reason: Refusal): void {
    this.#quiet.set(key, 0);
    this.#clock.after(QUIET_MS, () => {
      const count = this.#quiet.get(key) ?? 0;
      this.#quiet.delete(key);
      if (count === 0) return;
      this.#tell(listener, reason, count);
      this.#beQuiet(key, listener, reason);
    });
  }

  #tell(listener: string, reason: Refusal, count: number): void {
    const what = count === 1 ? 'a connection' : `${count} more connections`;
    this.#logger.warn({ listener, reason, count }, `listener ${listener} refused ${what}: ${REASONS[reason]}`);
  }
}
