/** The ways of balancing that a service can ask for, by name. */
import type { HashKey } from '../core/hash-key.js';
import { ConsistentHash, type HashOptions } from './consistent-hash.js';
import type { Hashing, TableData } from './hash-tables.js';
import type { Instance } from './instance.js';
import { random } from './random.js';
import { type Rotation, roundRobin } from './round-robin.js';
import { Lottery, type Random, type Strategy } from './strategy.js';
import { ewma, leastConnections, twoChoices } from './two-choices.js';

export type Balance = 'ewma' | 'least-connections' | 'round-robin' | 'random' | Hashing;

export interface BalanceSettings {
  readonly balance: Balance;
  /** ms. */
  readonly ewmaDecay: number;
  /** ms. */
  readonly ewmaInitial: number;
  /** ms; 0 for none. */
  readonly slowStart: number;
  readonly hashKey: HashKey;
  /** Per cent; 0 for no bound. */
  readonly hashBalanceFactor: number;
}

/** What ways of balancing need to know beside their settings. */
export interface StrategyParts {
  readonly rotation: Rotation;
  readonly dice: Random;
  readonly instances: readonly Instance[];
  /** Of exactly these instances' endpoints, where balancing is by hashing. */
  readonly tables: readonly TableData[];
  readonly zone: string | undefined;
  /** Connections that the service has, over all threads. */
  outstanding(): number;
}

export function createStrategy(settings: BalanceSettings, parts: StrategyParts): Strategy {
  const { balance, ewmaDecay: decayMs, ewmaInitial: initialMs, slowStart: slowStartMs } = settings;
  const lottery = new Lottery(parts.dice, slowStartMs);
  switch (balance) {
    case 'ewma':
      return twoChoices('ewma', ewma({ decayMs, initialMs, slowStartMs }), lottery);
    case 'least-connections':
      return twoChoices('least connections', leastConnections(slowStartMs), lottery);
    case 'round-robin':
      return roundRobin(parts.rotation, slowStartMs);
    case 'random':
      return random(lottery);
    case 'ring-hash':
    case 'maglev':
      return new ConsistentHash(parts.instances, hashOptions(balance, settings, parts), lottery);
  }
}

export function isHashing(balance: Balance): balance is Hashing {
  return balance === 'ring-hash' || balance === 'maglev';
}

function hashOptions(hashing: Hashing, settings: BalanceSettings, parts: StrategyParts): HashOptions {
  const { hashKey: key, hashBalanceFactor: percent } = settings;
  const { tables, zone } = parts;
  const loadFactor = percent === 0 ? undefined : percent / 100;
  return { hashing, key, loadFactor, zone, tables, outstanding: () => parts.outstanding() };
}
