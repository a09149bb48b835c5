/** The ways of balancing that a service can ask for, by name. */
import { random } from './random.js';
import { type Rotation, roundRobin } from './round-robin.js';
import { Lottery, type Random, type Strategy } from './strategy.js';
import { ewma, leastConnections, twoChoices } from './two-choices.js';

export type Balance = 'ewma' | 'least-connections' | 'round-robin' | 'random';

export interface BalanceSettings {
  readonly balance: Balance;
  /** ms. */
  readonly ewmaDecay: number;
  /** ms. */
  readonly ewmaInitial: number;
  /** ms; 0 for none. */
  readonly slowStart: number;
}

export function createStrategy(settings: BalanceSettings, rotation: Rotation, dice: Random): Strategy {
  const { balance, ewmaDecay: decayMs, ewmaInitial: initialMs, slowStart: slowStartMs } = settings;
  const lottery = new Lottery(dice, slowStartMs);
  switch (balance) {
    case 'ewma':
      return twoChoices('ewma', ewma({ decayMs, initialMs, slowStartMs }), lottery);
    case 'least-connections':
      return twoChoices('least connections', leastConnections(slowStartMs), lottery);
    case 'round-robin':
      return roundRobin(rotation, slowStartMs);
    case 'random':
      return random(lottery);
  }
}
