/** Which endpoints are far slower to connect to than their peers. Pure. */

/** What is known of one endpoint. */
export interface ConnectTimes {
  /** Those of another are no peers: another zone or priority is farther away, and for that not sick. */
  readonly group: string;
  /** A running median, ms. */
  readonly typicalMs: number;
  /** How many connections it is known from. */
  readonly samples: number;
}

/** So many connections must have been made to an endpoint before it is judged, or judges others: the median has moved to where it belongs by then. */
export const LEAST_SAMPLES = 20;
/** Of fewer that can be compared nobody can tell which is the strange one (Envoy asks for five hosts; three are enough for a median). */
export const LEAST_PEERS = 3;
/** Who connects within this is not sick, however fast the others are: what a connection across an ocean takes. */
export const FLOOR_MS = 100;

export interface LatencyOutlier {
  /** Place in what was given. */
  readonly index: number;
  readonly typicalMs: number;
  /** Of its peers and itself. */
  readonly medianMs: number;
}

/**
 * The slowest first. By a multiple of the median and not, as Envoy judges success rates, by standard deviations: one that is a
 * thousand times slower than the others makes that deviation so large that it hides in it.
 */
export function latencyOutliers(endpoints: readonly ConnectTimes[], factor: number): readonly LatencyOutlier[] {
  const groups = new Map<string, number[]>();
  for (const { group, typicalMs, samples } of endpoints) {
    if (samples < LEAST_SAMPLES) continue;
    const times = groups.get(group) ?? [];
    groups.set(group, times);
    times.push(typicalMs);
  }
  const medians = new Map([...groups].map(([group, times]) => [group, medianOf(times)]));
  return endpoints
    .flatMap(({ group, typicalMs, samples }, index): LatencyOutlier[] => {
      const medianMs = medians.get(group);
      const isJudged = samples >= LEAST_SAMPLES && (groups.get(group)?.length ?? 0) >= LEAST_PEERS;
      if (!isJudged || medianMs === undefined || typicalMs <= Math.max(FLOOR_MS, factor * medianMs)) return [];
      return [{ index, typicalMs, medianMs }];
    })
    .sort((one, other) => other.typicalMs - one.typicalMs);
}

/** Of two in the middle the lesser: where half of them are slow, the other half shows what is possible. */
function medianOf(times: number[]): number {
  times.sort((one, other) => one - other);
  return times[Math.floor((times.length - 1) / 2)] ?? 0;
}
