/** An endpoint with what is known of it: what pickers choose among. */
import { EndpointStats, type StatsPlace } from './endpoint-stats.js';
import type { Endpoint } from './picker.js';

export interface Instance {
  readonly endpoint: Endpoint;
  readonly stats: EndpointStats;
  /** 1 to 1000. */
  readonly weight: number;
}

/** Both in one object: of a hundred thousand endpoints, whatever a pick looks at is in no cache of the processor. */
export class PlacedInstance extends EndpointStats implements Instance {
  readonly endpoint: Endpoint;
  readonly weight: number;

  constructor(endpoint: Endpoint, place: StatsPlace) {
    super(place);
    this.endpoint = endpoint;
    this.weight = weightOf(endpoint);
  }

  get stats(): EndpointStats {
    return this;
  }
}

/** A weight that is not 1 is seldom; 0 takes no connection and is no instance. */
export function weightOf({ weight = 1 }: Endpoint): number {
  return weight;
}

export type Standing =
  /** Takes connections. */
  | 'in'
  /** Was found to misbehave, and takes none for a time. */
  | 'ejected'
  /** Its time is over: one connection may try it. */
  | 'half-open'
  /** A health check says so. */
  | 'unhealthy';

export function standingOf({ stats }: Instance, now: number): Standing {
  if (stats.isUnhealthy) return 'unhealthy';
  const { ejectedUntil } = stats;
  if (ejectedUntil === 0) return 'in';
  return now < ejectedUntil ? 'ejected' : 'half-open';
}

/**
 * Slow start: which part of its weight an endpoint has that came to a service later than the others, or was out and is
 * back, so long after that. Straight from a tenth to all of it, as Envoy has it with its default aggression.
 */
export function ramp(startedAt: number, now: number, slowStartMs: number): number {
  if (startedAt === 0 || slowStartMs === 0) return 1;
  const share = (now - startedAt) / slowStartMs;
  return share >= 1 ? 1 : Math.max(LEAST_RAMP, share);
}

const LEAST_RAMP = 0.1;
