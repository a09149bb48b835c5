/** Tells the log that accepting has stopped for want of descriptors, and that it goes on. */
import type { Clock } from '../core/clock.js';
import type { Logger } from './logger.js';

/** Between two pauses that are told of, ms: at the limit, stop and go take turns with every connection. The metric `meshproxy_listener_paused` tells of each. */
const QUIET_MS = 10_000;

export class PauseLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  #toldAt = Number.NEGATIVE_INFINITY;
  /** The end of a pause is told where its beginning was. */
  #tells = true;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  changed(paused: boolean, connections: number): void {
    const now = this.#clock.now();
    if (paused) this.#tells = now - this.#toldAt >= QUIET_MS;
    if (!this.#tells) return;
    if (!paused) {
      this.#logger.info({ connections }, 'accepting goes on: there are descriptors again');
      return;
    }
    this.#toldAt = now;
    const users = connections === 1 ? '1 connection uses' : `${connections} connections use`;
    this.#logger.warn(
      { connections },
      `accepting is paused: ${users} the descriptors of this process; raise its limit of open files (ulimit -n)`,
    );
  }
}
