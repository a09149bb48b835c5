/** The best that could be done by somebody who knows all: what each endpoint has to do, how fast it is, and how long this will take it. */
import type { Balancing, Clock, Pick } from './program.js';
import type { Server } from './server.js';

/** To the one that will have answered first, of those that work. @param workMs of what is to be sent now */
export function ideal(servers: ReadonlyMap<string, Server>, workMs: () => number, clock: Clock): Balancing {
  let known: readonly Server[] = [];
  return {
    enter: () => {},
    leave: () => {},
    waiting: { add: () => {}, delete: () => {} },
    place: (endpoints) => {
      known = endpoints.flatMap(({ id }) => servers.get(id) ?? []);
    },
    pick: () => {
      const now = clock.now();
      let best: { readonly id: string; readonly at: number } | undefined;
      for (const server of known) {
        const at = server.wouldAnswerAt(workMs(), now);
        if (at !== undefined && (best === undefined || at < best.at)) best = { id: server.id, at };
      }
      return best && toldNothing(best.id);
    },
  };
}

function toldNothing(id: string): Pick {
  const nothing = (): void => {};
  return {
    endpoint: { id },
    connected: nothing,
    failed: nothing,
    answered: nothing,
    unanswered: nothing,
    ended: nothing,
  };
}
