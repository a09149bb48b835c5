/** Each endpoint in its turn. */
import type { Endpoint, Pick, PickContext, Picker } from './picker.js';

/** Whose turn it is. Outlives the pickers built on it, so that an update of the endpoints does not start over. */
export interface Rotation {
  next: number;
}

export function createRotation(): Rotation {
  return { next: 0 };
}

/** A picker over `endpoints`: over n picks with nothing tried, each of n endpoints comes once. */
export function roundRobin(endpoints: readonly Endpoint[], rotation: Rotation): Picker {
  // Made once, so that a pick allocates nothing. The outcome of a pick changes no turn.
  const picks: readonly Pick[] = endpoints.map((endpoint, index) => ({
    endpoint,
    why: `round robin, ${index + 1} of ${endpoints.length}`,
    settle() {},
  }));
  return {
    endpoints,
    pick({ tried }: PickContext) {
      for (let looked = 0; looked < picks.length; looked += 1) {
        const pick = picks[rotation.next % picks.length];
        rotation.next = (rotation.next + 1) % Number.MAX_SAFE_INTEGER;
        if (pick && !tried.has(pick.endpoint)) return pick;
      }
      return undefined;
    },
  };
}
