/** Each endpoint in its turn. */
import type { Endpoint, Pick, PickContext, Picker } from './picker.js';

/** Whose turn it is. Outlives the pickers built on it, so that an update of the endpoints does not start over. */
export interface Rotation {
  /** The place of the next endpoint in turn; past the last it stands for the first. */
  next: number;
}

export function createRotation(): Rotation {
  return { next: 0 };
}

/** The same for several threads: whose turn it is in all of them, kept in the first of `cells`. */
export function sharedRotation(cells: Int32Array<SharedArrayBuffer>): Rotation {
  return {
    get next() {
      return Atomics.load(cells, 0);
    },
    set next(place) {
      Atomics.store(cells, 0, place);
    },
  };
}

/** A picker over `endpoints`: in n picks with nothing tried, each of n endpoints comes once. */
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
        const place = (rotation.next + looked) % picks.length;
        const pick = picks[place];
        if (pick && !tried.has(pick.endpoint)) {
          rotation.next = place + 1;
          return pick;
        }
      }
      return undefined;
    },
  };
}
