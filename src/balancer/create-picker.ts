/** Pickers over the endpoints of a service, by the way of balancing that it asks for. */
import { type Arrangement, arrange, type Group } from './groups.js';
import type { Instance } from './instance.js';
import { InstancePick, type PickWatch } from './instance-pick.js';
import type { Endpoint, Pick, PickContext, Picker } from './picker.js';
import type { Choice, Random, Strategy } from './strategy.js';

export interface PickerOptions {
  readonly strategy: Strategy;
  readonly random: Random;
  readonly zone: string | undefined;
  /** 0 to 1. */
  readonly panicThreshold: number;
  /** Changes whenever the standing of an endpoint does. */
  version(): number;
  readonly watch: PickWatch;
}

export function createPicker(instances: readonly Instance[], options: PickerOptions): Picker {
  return new BalancedPicker(instances, options);
}

/** Looking at all endpoints again takes so long for each, ms: of many, it is done in no more than a hundredth of the time. */
const REARRANGE_MS_EACH = 0.0001;
const REARRANGE_SHARE = 0.01;
/** So few are looked at again whenever one of them has changed. */
const FEW = 1000;

class BalancedPicker implements Picker {
  readonly endpoints: readonly Endpoint[];
  readonly #instances: readonly Instance[];
  readonly #options: PickerOptions;
  /** The order that follows from how the endpoints stand: derived from what others write, and replaced as a whole. */
  #arrangement: Arrangement | undefined;
  #seenVersion = -1;
  #notBefore = 0;

  constructor(instances: readonly Instance[], options: PickerOptions) {
    this.#instances = instances;
    this.#options = options;
    this.endpoints = instances.map(({ endpoint }) => endpoint);
  }

  pick(context: PickContext): Pick | undefined {
    const arrangement = this.#arranged(context.now);
    const probe = this.#probe(arrangement, context);
    if (probe !== undefined) return probe;
    const first = this.#loaded(arrangement, context);
    const chosen =
      (first && this.#from(first, context)) ??
      this.#fromAny(
        arrangement.loaded.map(({ group }) => group),
        context,
      ) ??
      this.#fromAny(arrangement.reserves, context);
    return chosen;
  }

  #arranged(now: number): Arrangement {
    const known = this.#arrangement;
    const version = this.#options.version();
    const isStale = version !== this.#seenVersion || (known !== undefined && now >= known.validUntil);
    if (known !== undefined && (!isStale || now < this.#notBefore)) return known;
    const { zone, panicThreshold } = this.#options;
    this.#seenVersion = version;
    const { length } = this.#instances;
    this.#notBefore = length <= FEW ? now : now + (length * REARRANGE_MS_EACH) / REARRANGE_SHARE;
    this.#arrangement = arrange(this.#instances, { zone, panicThreshold }, now);
    return this.#arrangement;
  }

  /** A connection that has other endpoints left to go to may find out whether one is back. */
  #probe({ halfOpen }: Arrangement, context: PickContext): Pick | undefined {
    const { strategy, watch } = this.#options;
    for (const instance of halfOpen) {
      if (context.tried.has(instance.endpoint) || strategy.isFor?.(instance, context) === false) continue;
      if (!watch.claimProbe(instance, context.now)) continue;
      const why = (): string => 'probe: it was ejected, and may be back';
      return new InstancePick({ instance, why }, undefined, watch, true);
    }
    return undefined;
  }

  #loaded({ loaded }: Arrangement, context: PickContext): Group | undefined {
    if (loaded.length <= 1) return loaded[0]?.group;
    let point = this.#options.strategy.point?.(context) ?? this.#options.random();
    for (const { group, share } of loaded) {
      point -= share;
      if (point < 0) return group;
    }
    return loaded.at(-1)?.group;
  }

  #fromAny(groups: readonly Group[], context: PickContext): Pick | undefined {
    for (const group of groups) {
      const pick = this.#from(group, context);
      if (pick !== undefined) return pick;
    }
    return undefined;
  }

  #from(group: Group, context: PickContext): Pick | undefined {
    const choice: Choice | undefined = this.#options.strategy.choose(group, context);
    return choice && new InstancePick(choice, group.name, this.#options.watch, false);
  }
}
