/** What happens in the authority's service, as log lines: one for each, and for a flood a few a second and their number. */
import type { Clock } from './core/clock.js';
import type { ServiceEvent } from './pki/service-events.js';
import type { Logger } from './telemetry/logger.js';

/** Of one kind, in one second: more than anybody reads, and no more than a disk bears. */
const MOST_LINES = 20;
const SECOND_MS = 1000;

export class CaLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** Lines of each kind in this second. */
  readonly #told = new Map<string, number>();

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  tell(event: ServiceEvent): void {
    switch (event.kind) {
      case 'issued':
        this.#issued(event);
        break;
      case 'refused':
        this.#refused(event);
        break;
      case 'turned-away':
        this.#bounded(
          'warn',
          'turned away',
          { requester: event.address },
          `turned away ${event.address}: ${event.why}`,
        );
        break;
      case 'failed':
        this.#bounded('error', 'failed', { err: event.error }, `failed: ${event.what}`);
        break;
      case 'renewed':
        this.#logger.info({ notAfter: isoTime(event.notAfter) }, "the service's own certificate is renewed");
    }
  }

  #issued({ address, identity, serial, notAfter, by }: ServiceEvent & { kind: 'issued' }): void {
    const fields = { requester: address, identity, serial, notAfter: isoTime(notAfter), by };
    this.#logger.info(fields, `issued a certificate of ${identity} to ${address}, by ${by}`);
  }

  #refused({ address, identity, code, why }: ServiceEvent & { kind: 'refused' }): void {
    const whom = identity === undefined ? address : `${address}, as ${identity}`;
    this.#bounded('warn', `refused ${code}`, { requester: address, identity, code }, `refused ${whom}: ${why}`);
  }

  #bounded(level: 'warn' | 'error', kind: string, fields: object, message: string): void {
    const told = this.#told.get(kind) ?? 0;
    this.#told.set(kind, told + 1);
    if (told === 0) this.#clock.after(SECOND_MS, () => this.#sumUp(kind));
    if (told < MOST_LINES) this.#logger[level](fields, message);
  }

  #sumUp(kind: string): void {
    const count = (this.#told.get(kind) ?? 0) - MOST_LINES;
    this.#told.delete(kind);
    if (count > 0) this.#logger.warn({ count }, `${kind}: ${count} more within a second`);
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
