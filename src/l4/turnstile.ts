/** Who of those that come is let in by what is going on now, beside the fixed limits of `admission.ts`: one for each data thread. */
import type { ListenerConfig } from '../config/schema.js';
import type { Clock } from '../core/clock.js';
import type { Refusal } from '../telemetry/record.js';
import type { LiveConnection } from './live.js';
import type { Rates } from './rates.js';
import { type ClientKind, Shedder } from './shedder.js';
import { sourceOf } from './sources.js';
import { Stop } from './surroundings.js';
import type { Connection } from './transport.js';

export class Turnstile {
  readonly #clock: Clock;
  #targetMs = 0;
  #shedder: Shedder | undefined;
  #openSince: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#openSince = clock.now();
  }

  /** @param targetMs how long connections may wait in an overload; 0: there is no shedding */
  configure(targetMs: number): void {
    if (targetMs === this.#targetMs) return;
    this.#targetMs = targetMs;
    this.#shedder = targetMs === 0 ? undefined : new Shedder(targetMs);
  }

  /** Accepting goes on, or begins: who came before that has not waited because there is too much to do. */
  opened(): void {
    this.#openSince = this.#clock.now();
  }

  /** How long a connection that was just accepted has waited for this thread, ms; 0 where that is not worth asking. */
  waitOf(connection: Connection): number {
    const now = this.#clock.now();
    if (this.#shedder?.asks(now) !== true) return 0;
    const { backlogMs } = connection;
    if (now - backlogMs < this.#openSince) return 0;
    this.#shedder.waited(backlogMs, now);
    return backlogMs;
  }

  /** Why a connection that was just accepted, and has waited so long, is turned away. */
  refusal(connection: Connection, waitedMs: number, rates: Rates, settings: ListenerConfig): Refusal | undefined {
    const now = this.#clock.now();
    // Behind another proxy, where it comes from is only that one.
    const source = settings.acceptProxyProtocol ? undefined : sourceOf(connection.remote);
    if (source !== undefined) this.#shedder?.came('source', source, now);
    if (
      source === undefined
        ? this.#shedder?.refusesAnyone(waitedMs, now)
        : this.#shedder?.refuses('source', source, waitedMs, now)
    )
      return 'overload';
    // First, so that one source does not use up what is for all.
    if (source !== undefined && !rates.admitsFrom(source)) return 'source-rate-limit';
    if (!rates.admits()) return 'rate-limit';
    this.#shedder?.admitted();
    return undefined;
  }

  /** More is known of who the client is than where its socket comes from. Throws a `Stop` where that one is to be turned away. */
  identified(live: LiveConnection, kind: ClientKind, client: string): void {
    const now = this.#clock.now();
    this.#shedder?.came(kind, client, now);
    if (this.#shedder?.refuses(kind, client, live.waitedMs, now)) throw new Stop('shed');
    if (kind === 'source') {
      live.source = client;
      if (live.rates?.admitsFrom(client) === false) throw new Stop('rate-limited');
    }
  }
}
