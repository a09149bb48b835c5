/** What became of attempts to reach each endpoint: counted for the metrics, and the last failure kept for people. */
import type { Clock } from '../core/clock.js';
import type { Attempt } from './record.js';

/** Endpoints told apart, in all services together; any more share `OTHER`. Every one is two series to whoever stores the metrics. */
const MAX_ENDPOINTS = 1000;
export const OTHER = 'other';

export interface Failure {
  /** ms since 1970. */
  readonly at: number;
  readonly address: string;
  readonly error: string;
}

export interface EndpointAttempts {
  readonly connected: number;
  readonly failed: number;
  readonly lastFailure?: Failure;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class AttemptBook {
  readonly #clock: Clock;
  readonly #services = new Map<string, Map<string, Mutable<EndpointAttempts>>>();
  #size = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  attempted(service: string, attempt: Attempt): void {
    const entry = this.#entry(service, attempt.endpoint);
    if (attempt.error === undefined) {
      entry.connected += 1;
      return;
    }
    entry.failed += 1;
    entry.lastFailure = { at: this.#clock.wall(), address: attempt.address, error: attempt.error };
  }

  of(service: string, endpoint: string): EndpointAttempts | undefined {
    return this.#services.get(service)?.get(endpoint);
  }

  *[Symbol.iterator](): Generator<{ service: string; endpoint: string; attempts: EndpointAttempts }> {
    for (const [service, endpoints] of this.#services) {
      for (const [endpoint, attempts] of endpoints) yield { service, endpoint, attempts };
    }
  }

  /** Forgets every endpoint that `isWanted` does not know. */
  prune(isWanted: (service: string, endpoint: string) => boolean): void {
    for (const [service, endpoints] of this.#services) {
      for (const endpoint of endpoints.keys()) {
        if (!isWanted(service, endpoint) && endpoints.delete(endpoint)) this.#size -= 1;
      }
      if (endpoints.size === 0) this.#services.delete(service);
    }
  }

  #entry(service: string, endpoint: string): Mutable<EndpointAttempts> {
    let endpoints = this.#services.get(service);
    if (endpoints === undefined) {
      endpoints = new Map();
      this.#services.set(service, endpoints);
    }
    const known = endpoints.get(endpoint);
    if (known !== undefined) return known;
    const name = this.#size < MAX_ENDPOINTS ? endpoint : OTHER;
    const entry = endpoints.get(name) ?? { connected: 0, failed: 0 };
    if (!endpoints.has(name)) {
      endpoints.set(name, entry);
      this.#size += 1;
    }
    return entry;
  }
}
