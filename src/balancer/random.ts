/** Any of them, by weight. */
import type { Lottery, Strategy } from './strategy.js';

export function random(lottery: Lottery): Strategy {
  return {
    choose(group, context) {
      const instance = lottery.draw(group, context);
      return instance && { instance, why: () => `random, 1 of ${group.instances.length}` };
    },
  };
}
