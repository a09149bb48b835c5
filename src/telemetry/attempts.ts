/** What became of attempts to reach each endpoint: counted for the metrics, and the last failure kept for people. */
import type { Clock } from '../core/clock.js';
import type { Attempt } from './record.js';

/** Endpoints that a thread tells apart, in all services together; any more share `OTHER`. Every one is two series to whoever stores the metrics. */
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

/** Plain data. */
export type AttemptsSnapshot = readonly {
  readonly service: string;
  readonly endpoint: string;
  readonly attempts: EndpointAttempts;
}[];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class AttemptBook {
  readonly #services = new Map<string, Map<string, Mutable<EndpointAttempts>>>();
  #size = 0;

  attempted(service: string, attempt: Attempt, clock: Clock): void {
    const { endpoint } = attempt;
    const entry = this.#services.get(service)?.get(endpoint) ?? this.#entry(service, this.#isFull() ? OTHER : endpoint);
    if (attempt.error === undefined) {
      entry.connected += 1;
      return;
    }
    entry.failed += 1;
    entry.lastFailure = { at: clock.wall(), address: attempt.address, error: attempt.error };
  }

  snapshot(): AttemptsSnapshot {
    return [...this].map(({ service, endpoint, attempts }) => ({ service, endpoint, attempts: { ...attempts } }));
  }

  /** Adds what others have counted, under the names that they told apart; of the failures the latest stays. */
  add(others: AttemptsSnapshot): void {
    for (const { service, endpoint, attempts } of others) {
      const entry = this.#entry(service, endpoint);
      entry.connected += attempts.connected;
      entry.failed += attempts.failed;
      const lastFailure = latest(entry.lastFailure, attempts.lastFailure);
      if (lastFailure) entry.lastFailure = lastFailure;
    }
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
    let entry = endpoints.get(endpoint);
    if (entry === undefined) {
      entry = { connected: 0, failed: 0 };
      endpoints.set(endpoint, entry);
      this.#size += 1;
    }
    return entry;
  }

  #isFull(): boolean {
    return this.#size >= MAX_ENDPOINTS;
  }
}

/** Of two at the same time it is the same one whichever comes first. */
function latest(one: Failure | undefined, other: Failure | undefined): Failure | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  if (one.at !== other.at) return one.at > other.at ? one : other;
  return `${one.address} ${one.error}` > `${other.address} ${other.error}` ? one : other;
}
