/**
 * Each endpoint in its turn, and those of more weight in more turns, evenly spread. Whose turn it is follows from one
 * counter alone, which all threads share (grpc's static stride scheduler, gRFC A58).
 */
import type { Group } from './groups.js';
import { type Instance, ramp } from './instance.js';
import type { PickContext } from './picker.js';
import type { Choice, Strategy } from './strategy.js';

/** Outlives the pickers built on it, so that an update of the endpoints does not start over. */
export interface Rotation {
  /** The number of this turn; the next call has the next. */
  turn(): number;
}

/** More turns than that are not looked at in search of one: weights of 1000 beside 1 come to a few hundred. */
const MOST_TURNS = 4096;

export function roundRobin(rotation: Rotation, slowStartMs: number): Strategy {
  return {
    choose(group, { tried, now }: PickContext): Choice | undefined {
      const { instances } = group;
      for (let turns = 0; turns < MOST_TURNS; turns += 1) {
        const turn = rotation.turn();
        const place = turn % instances.length;
        const instance = instances[place];
        const round = Math.floor(turn / instances.length);
        if (instance === undefined || !hasTurn(group, instance, place, round)) continue;
        if (turns < instances.length && !takesTurn(instance, place, round, now, slowStartMs)) continue;
        if (!tried.has(instance.endpoint)) return found(instance, place, instances.length);
        if (turns >= 2 * instances.length) break;
      }
      const place = instances.findIndex(({ endpoint }) => !tried.has(endpoint));
      const instance = instances[place];
      return instance && found(instance, place, instances.length);
    },
  };
}

function found(instance: Instance, place: number, of: number): Choice {
  return { instance, why: () => `round robin, ${place + 1} of ${of}` };
}

/** Of `maxWeight` rounds it has a turn in `weight`; where in them those lie is another place for each endpoint. */
function hasTurn({ maxWeight, cumulative }: Group, { weight }: Instance, place: number, round: number): boolean {
  if (cumulative === undefined) return true;
  const offset = Math.floor((place * maxWeight) / 2);
  return (weight * round + offset) % maxWeight >= maxWeight - weight;
}

/** Steps of a sequence that covers 0 to 1 evenly however few of it are looked at (Roberts 2018, "R2"). */
const BY_ROUND = 0.7548776662466927;
const BY_PLACE = 0.5698402909980532;

/** A new endpoint takes part in some rounds only, in more and more of them, and in others than those that are as new. */
function takesTurn({ stats }: Instance, place: number, round: number, now: number, slowStartMs: number): boolean {
  const share = ramp(stats.startedAt, now, slowStartMs);
  return share === 1 || (round * BY_ROUND + place * BY_PLACE) % 1 < share;
}
