/** What the steps of a connection's life share. */
import type { Clock } from '../core/clock.js';
import type { Ending, Observer } from '../telemetry/record.js';
import type { LiveConnection } from './live.js';
import type { TlsSetups } from './tls-setups.js';
import type { SocketOptions, Transport } from './transport.js';
import type { Turnstile } from './turnstile.js';
import type { Unanswered } from './unanswered.js';

/** What a connection needs of its surroundings. */
export interface Surroundings {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly observer: Observer;
  readonly sockets: SocketOptions;
  /** Of the identity in force. */
  readonly tls: TlsSetups;
  readonly turnstile: Pick<Turnstile, 'identified'>;
  /** Those of this thread. */
  readonly unanswered: Unanswered;
  /** Whether both sides are trusted still, by what holds now; a connection of which they are not is cut. */
  isTrusted(live: LiveConnection): boolean;
  /** It is over, and both its sockets are closed. */
  ended(live: LiveConnection): void;
  /** This process had no descriptor left for a dial: accept no more until a connection has ended. */
  exhausted(): void;
  /** Something was thrown that is not a `MeshproxyError`: a bug, to be logged with its stack. */
  bug(error: unknown): void;
}

/** Ends a connection's life early; `ending` says how, `detail` what exactly happened. */
export class Stop extends Error {
  readonly ending: Ending;
  readonly detail: string | undefined;

  constructor(ending: Ending, detail?: string) {
    super(ending);
    this.ending = ending;
    this.detail = detail;
  }
}
