/**
 * Power of two choices (Mitzenmacher 1996): two are drawn, and the one that costs less is taken. Nearly as even as
 * looking at all of them, and no herd runs to the one that all believe to be the best.
 */
import { type Instance, ramp } from './instance.js';
import type { PickContext } from './picker.js';
import type { Choice, Lottery, Strategy } from './strategy.js';

export interface Cost {
  /** What one more connection to it costs; only the order counts. */
  of(instance: Instance, now: number): number;
  /** In words. */
  describe(instance: Instance, now: number): string;
}

export function twoChoices(name: string, cost: Cost, lottery: Lottery): Strategy {
  return {
    choose(group, context) {
      const one = lottery.draw(group, context);
      if (one === undefined) return undefined;
      const other = group.instances.length === 1 ? undefined : lottery.draw(group, context, one);
      return other === undefined ? only(name, one) : cheaper(name, cost, one, other, context);
    },
  };
}

function only(name: string, instance: Instance): Choice {
  return { instance, why: () => `${name}, the only one there is` };
}

function cheaper(name: string, cost: Cost, one: Instance, other: Instance, { now }: PickContext): Choice {
  const [winner, loser] = cost.of(one, now) <= cost.of(other, now) ? [one, other] : [other, one];
  // Said as it was when it was picked: by the time somebody asks, both have moved on.
  const [won, lost] = [cost.describe(winner, now), cost.describe(loser, now)];
  return { instance: winner, why: () => `${name}, ${won} against ${lost} of ${loser.endpoint.id}` };
}

/** Connections that are open, beside what it has weight for. */
export function leastConnections(slowStartMs: number): Cost {
  return {
    of: ({ stats, weight }, now) => (stats.outstanding + 1) / (weight * ramp(stats.addedAt, now, slowStartMs)),
    describe: ({ stats, weight }) => `${stats.outstanding} open${weight === 1 ? '' : ` of weight ${weight}`}`,
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
  const latencyOf = ({ stats }: Instance, now: number): number =>
    stats.isMeasured ? Math.max(LEAST_LATENCY_MS, stats.latency(now, decayMs)) : initialMs;
  return {
    of: (instance, now) => {
      const { stats, weight } = instance;
      const trouble = 1 + FAILING_COST * stats.failing(now, decayMs);
      return (
        (latencyOf(instance, now) * (stats.outstanding + 1) * trouble) /
        (weight * ramp(stats.addedAt, now, slowStartMs))
      );
    },
    describe: (instance, now) => `${inMs(latencyOf(instance, now))} x ${instance.stats.outstanding + 1}`,
  };
}

function inMs(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`;
}
