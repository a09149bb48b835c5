/** What all ways of choosing one endpoint of a group have in common. */
import type { Group } from './groups.js';
import { type Instance, ramp } from './instance.js';
import type { PickContext } from './picker.js';

export interface Choice {
  readonly instance: Instance;
  /** Why this one, in words; made only if somebody asks. */
  why(): string;
}

export interface Strategy {
  /** One of `group` that the connection has not tried, or `undefined` where it has tried all of them. */
  choose(group: Group, context: PickContext): Choice | undefined;
  /** Between 0 and 1, of which group it is to be, where that is not left to chance. */
  point?(context: PickContext): number | undefined;
  /** Whether this connection may find out that `instance` is back; any may where absent. */
  isFor?(instance: Instance, context: PickContext): boolean;
}

/** Between 0 and 1, as `Math.random` has it. */
export type Random = () => number;

/** Draws that hit something tried already are repeated so often; after that all are looked through. */
const MOST_DRAWS = 8;

/** Draws at random by weight, from what has not been tried. */
export class Lottery {
  readonly #random: Random;
  readonly #slowStartMs: number;

  constructor(random: Random, slowStartMs: number) {
    this.#random = random;
    this.#slowStartMs = slowStartMs;
  }

  /** @param besides one more that it must not be */
  draw(group: Group, { tried, now }: PickContext, besides?: Instance): Instance | undefined {
    const { instances } = group;
    for (let draws = 0; draws < MOST_DRAWS; draws += 1) {
      const instance = instances[this.#place(group)];
      if (instance === undefined || instance === besides || isTried(instance, tried)) continue;
      if (this.#takesPart(instance, now)) return instance;
    }
    const from = Math.floor(this.#random() * instances.length);
    for (let step = 0; step < instances.length; step += 1) {
      const instance = instances[(from + step) % instances.length];
      if (instance && instance !== besides && !isTried(instance, tried)) return instance;
    }
    return undefined;
  }

  /** A new endpoint takes part in some draws only, in more and more of them. */
  #takesPart({ stats }: Instance, now: number): boolean {
    if (this.#slowStartMs === 0) return true;
    const share = ramp(stats.startedAt, now, this.#slowStartMs);
    return share === 1 || this.#random() < share;
  }

  #place({ instances, cumulative }: Group): number {
    const { length } = instances;
    if (cumulative === undefined) return Math.floor(this.#random() * length);
    const point = this.#random() * (cumulative[length - 1] ?? 0);
    let [low, high] = [0, length - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((cumulative[middle] ?? 0) > point) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Nearly all have tried nothing yet: asking a set is a look at the endpoint, which of many is in no cache. */
function isTried({ endpoint }: Instance, tried: PickContext['tried']): boolean {
  return tried.size > 0 && tried.has(endpoint);
}
