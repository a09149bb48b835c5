/** Holds a connection back where its listener or its client has a bandwidth limit: there is none for any other. */
import type { LiveConnection } from './live.js';
import type { Direction, Rates } from './rates.js';
import type { SourcePlace } from './source-table.js';
import { sourceOf } from './sources.js';
import type { Connection, Pace } from './transport.js';

/** Of one direction. */
export class Throttle implements Pace {
  readonly #rates: Rates;
  readonly #source: string;
  readonly #direction: Direction;
  #place: SourcePlace | undefined;
  #until = Number.NEGATIVE_INFINITY;
  #heldMs = 0;

  constructor(rates: Rates, source: string, direction: Direction) {
    this.#rates = rates;
    this.#source = source;
    this.#direction = direction;
  }

  /** How long it was held back until now, or will have been, ms. */
  get heldMs(): number {
    return this.#heldMs;
  }

  took(bytes: number): number {
    const rates = this.#rates;
    this.#place = rates.placeOf(this.#source, this.#place);
    const restMs = rates.carried(bytes, this.#direction, this.#place);
    if (restMs <= 0) return restMs;
    const now = rates.clock.now();
    this.#heldMs += now + restMs - Math.max(now, this.#until);
    this.#until = now + restMs;
    return restMs;
  }

  get mostAtOnce(): number {
    return this.#rates.mostAtOnce;
  }

  /** Whether it is held back now: then its silence is not that of its peers. */
  isHeld(now: number): boolean {
    return now < this.#until;
  }
}

export type Throttles = Readonly<Record<Direction, Throttle>>;

/** Before the relay: has both directions keep to the limits. Costs nothing where there is none. */
export function throttle(live: LiveConnection, upstream: Connection): void {
  const { rates, downstream } = live;
  if (rates?.limitsBandwidth !== true) return;
  live.throttles ??= throttlesOf(live, rates);
  const { received, sent } = live.throttles;
  downstream.pace = received;
  upstream.pace = sent;
  // What was read of the endpoint before the relay: another endpoint's share starts with nothing.
  if (upstream.bytesRead > 0) sent.took(upstream.bytesRead);
}

function throttlesOf(live: LiveConnection, rates: Rates): Throttles {
  const source = live.source ?? sourceOf(live.downstream.remote);
  const both = { received: new Throttle(rates, source, 'received'), sent: new Throttle(rates, source, 'sent') };
  // What was read of the client by then counts as well: what comes next waits the longer.
  if (live.bytesReceived > 0) both.received.took(live.bytesReceived);
  return both;
}
