/** Tells the log of connections that were turned away, without a line for each: a flood must not become a flood of lines. */
import type { Clock } from '../core/clock.js';
import type { Logger } from './logger.js';
import type { Ending, Refusal } from './record.js';

/** After the first line, the next is due this much later, ms, with the count of what came between. */
const QUIET_MS = 10_000;

const REASONS: Readonly<Record<Refusal, string>> = {
  'max-connections': 'as many connections as limits.maxConnections allows are open',
  'listener-max-connections': "as many connections as the listener's maxConnections allows are open",
  'max-memory': 'this process uses as much memory as limits.maxMemory allows',
  descriptors: 'this process has no descriptor left: raise its limit of open files',
  overload: 'this process cannot keep up: connections wait longer than limits.shedTarget to be accepted',
  'rate-limit': "it was given as many in a time as the listener's maxConnectionRate allows",
  'source-rate-limit': "one client opened as many in a time as the listener's maxConnectionRatePerSource allows",
  draining: 'this process is shutting down',
};

/** How a service turns connections away whose circuit breaker is open. */
type ServiceRefusal = Extract<Ending, 'service-full' | 'queue-timeout' | 'overload'>;

const SERVICE_REASONS: Readonly<Record<ServiceRefusal, string>> = {
  'service-full': 'as many connections as its maxConnections and maxPending allow are open and wait',
  'queue-timeout': 'as many connections as its maxConnections allows were open for all of its queueTimeout',
  overload: 'more connections wait than it can take in time: while they do, none waits longer than its queueTarget',
};

export function isServiceRefusal(ending: Ending | undefined): ending is ServiceRefusal {
  return ending !== undefined && Object.hasOwn(SERVICE_REASONS, ending);
}

/** Who refused, and why. */
interface Told {
  readonly who: { readonly listener: string } | { readonly service: string };
  readonly name: string;
  readonly reason: Refusal | ServiceRefusal;
  readonly words: string;
}

export class RefusalLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** By who and why, while quiet: how many were refused since the last line. */
  readonly #quiet = new Map<string, number>();

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  refused(listener: string, reason: Refusal): void {
    this.#note({ who: { listener }, name: `listener ${listener}`, reason, words: REASONS[reason] });
  }

  turnedAway(service: string, reason: ServiceRefusal): void {
    this.#note({ who: { service }, name: `service ${service}`, reason, words: SERVICE_REASONS[reason] });
  }

  #note(told: Told): void {
    const key = `${told.name} ${told.reason}`;
    const count = this.#quiet.get(key);
    if (count !== undefined) {
      this.#quiet.set(key, count + 1);
      return;
    }
    this.#tell(told, 1);
    this.#beQuiet(key, told);
  }

  #beQuiet(key: string, told: Told): void {
    this.#quiet.set(key, 0);
    this.#clock.after(QUIET_MS, () => {
      const count = this.#quiet.get(key) ?? 0;
      this.#quiet.delete(key);
      if (count === 0) return;
      this.#tell(told, count);
      this.#beQuiet(key, told);
    });
  }

  #tell({ who, name, reason, words }: Told, count: number): void {
    const what = count === 1 ? 'a connection' : `${count} more connections`;
    this.#logger.warn({ ...who, reason, count }, `${name} refused ${what}: ${words}`);
  }
}
