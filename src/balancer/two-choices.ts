/**
 * Power of two choices (Mitzenmacher 1996): two are drawn, and the one that costs less is taken. Nearly as even as
 * looking at all of them, and no herd runs to the one that all believe to be the best.
 */
import type { Group } from './groups.js';
import { type Instance, ramp } from './instance.js';
import type { Choice, Lottery, Strategy } from './strategy.js';

export interface Cost {
  readonly slowStartMs: number;
  /** What each connection costs there, in any unit: latency, or the same for all. */
  measure(instance: Instance, now: number): number;
  /** In words. @param measured what `measure` said @param open connections there were */
  describe(instance: Instance, measured: number, open: number): string;
}

export function twoChoices(name: string, cost: Cost, lottery: Lottery): Strategy {
  return {
    choose(group, context) {
      const one = lottery.draw(group, context);
      if (one === undefined) return undefined;
      const other = group.instances.length === 1 ? undefined : lottery.draw(group, context, one);
      return other === undefined ? only(name, one) : new Cheaper(name, cost, group, [one, other], context.now);
    },
  };
}

function only(name: string, instance: Instance): Choice {
  return { instance, why: () => `${name}, the only one there is` };
}

/** Keeps the figures by which it was chosen, since both have moved on by the time that somebody asks; words are made of them only then. */
class Cheaper implements Choice {
  readonly instance: Instance;
  readonly #name: string;
  readonly #cost: Cost;
  readonly #loser: Instance;
  readonly #measured: number;
  readonly #open: number;
  readonly #losersMeasured: number;
  readonly #losersOpen: number;

  constructor(
    name: string,
    cost: Cost,
    { meanWeight }: Group,
    [one, other]: readonly [Instance, Instance],
    now: number,
  ) {
    // Before any reckoning: so the processor fetches what is known of both at the same time.
    const [onesOpen, othersOpen] = [one.stats.outstanding, other.stats.outstanding];
    const [ones, others] = [cost.measure(one, now), cost.measure(other, now)];
    const { slowStartMs } = cost;
    const onesShare = (one.weight / meanWeight) * ramp(one.stats.startedAt, now, slowStartMs);
    const othersShare = (other.weight / meanWeight) * ramp(other.stats.startedAt, now, slowStartMs);
    const isOne = costOf(ones, onesOpen, onesShare) <= costOf(others, othersOpen, othersShare);
    this.#name = name;
    this.#cost = cost;
    this.instance = isOne ? one : other;
    this.#loser = isOne ? other : one;
    this.#measured = isOne ? ones : others;
    this.#open = isOne ? onesOpen : othersOpen;
    this.#losersMeasured = isOne ? others : ones;
    this.#losersOpen = isOne ? othersOpen : onesOpen;
  }

  why(): string {
    const won = this.#cost.describe(this.instance, this.#measured, this.#open);
    const lost = this.#cost.describe(this.#loser, this.#losersMeasured, this.#losersOpen);
    return `${this.#name}, ${won} against ${lost} of ${this.#loser.endpoint.id}`;
  }
}

/**
 * What one more connection costs there: those that are open weigh less the more it is meant to have. While none is open weights
 * do not matter here, for the draw went by them already: a light endpoint would lose to each heavier one otherwise.
 */
function costOf(measured: number, open: number, share: number): number {
  return measured * (1 + open / share);
}

/** Connections that are open. */
export function leastConnections(slowStartMs: number): Cost {
  return {
    slowStartMs,
    measure: () => 1,
    describe: (instance, _, open) => `${open} open${ofWeight(instance)}`,
  };
}

export interface EwmaSettings {
  /** How fast what was learnt fades: to 1/e in so many ms. */
  readonly decayMs: number;
  /** What is expected of an endpoint that nothing is known of, ms. */
  readonly initialMs: number;
  readonly slowStartMs: number;
}

/** So fast an answer cannot be told from any faster one, ms: below it the open connections alone decide. */
const LEAST_LATENCY_MS = 0.05;

/**
 * Who fails now and then, too seldom in a row to be ejected, is avoided, though it is done with its failures quickly: where
 * one connection of ten fails, as if it were four times slower. Simulated, that saves four of five clients from it.
 */
const FAILING_COST = 30;

/** Peak EWMA of latency times open connections, as tower and linkerd2 have it. */
export function ewma({ decayMs, initialMs, slowStartMs }: EwmaSettings): Cost {
  return {
    slowStartMs,
    measure: ({ stats }, now) => {
      const latency = stats.isMeasured ? Math.max(LEAST_LATENCY_MS, stats.latency(now, decayMs)) : initialMs;
      return latency * (1 + FAILING_COST * stats.failing(now, decayMs));
    },
    describe: (instance, measured, open) => `${inMs(measured)} x ${open + 1}${ofWeight(instance)}`,
  };
}

function ofWeight({ weight }: Instance): string {
  return weight === 1 ? '' : ` of weight ${weight}`;
}

function inMs(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`;
}
