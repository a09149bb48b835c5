/** A renewer as configuration and commands ask for it. */
import type { Address } from '../core/address.js';
import type { Clock } from '../core/clock.js';
import { CaClient } from './ca-client.js';
import { Renewer } from './renewer.js';

export { identityFilesIn } from './kept-identity.js';

export interface RenewerSettings {
  /** Of processes that serve the same authority. At least one. */
  readonly addresses: readonly Address[];
  readonly tokenFile?: string | undefined;
  readonly directory: string;
  readonly clock: Clock;
  say(level: 'info' | 'warn' | 'error', message: string): void;
}

export function openRenewer({ addresses, tokenFile, directory, clock, say }: RenewerSettings): Renewer {
  return new Renewer({ client: new CaClient(addresses), directory, tokenFile, clock, random: Math.random, say });
}
