/** From a service to a connection to one of its endpoints: pick, dial, and where that fails, the next. */
import type { KeySource } from '../balancer/hash-key.js';
import type { Endpoint, Pick, Picker } from '../balancer/picker.js';
import { formatAddress } from '../core/address.js';
import { backoffMs } from '../core/backoff.js';
import type { Canceller } from '../core/cancel.js';
import { sleep } from '../core/clock.js';
import { describeError } from '../core/errors.js';
import { attempt } from './attempt.js';
import { enterAtOnce, waitForPlace } from './enter.js';
import type { LiveConnection } from './live.js';
import { open } from './opening.js';
import { RelayWatch } from './relay-watch.js';
import type { Service } from './service.js';
import type { ProxyHeader } from './sniff/proxy-format.js';
import { Stop, type Surroundings } from './surroundings.js';
import type { Connection } from './transport.js';

/** A connection to an endpoint, the pick that is to hear how it fares, and what watches it. */
export interface Connected {
  readonly upstream: Connection;
  readonly pick: Pick;
  readonly watch: RelayWatch;
}

/** Finds a place in the service. */
export async function enter(
  live: LiveConnection,
  service: Service,
  header: ProxyHeader | undefined,
  around: Surroundings,
): Promise<Tries> {
  if (!enterAtOnce(live, service)) await waitForPlace(live, service, around.clock);
  return new Tries(live, service, header, around);
}

/** Another endpoint is tried at once; where that fails too, the service itself may be in trouble. The times are Envoy's. */
const BACKOFF = { baseMs: 25, maxMs: 250 } as const;

/** The endpoints of a service, one after the other, within its bounds, until what is exchanged with one of them can be exchanged with no other. */
export class Tries {
  readonly #live: LiveConnection;
  readonly #service: Service;
  readonly #header: ProxyHeader | undefined;
  readonly #around: Surroundings;
  readonly #tried = new Set<Endpoint>();
  /** Moved on by the time that an endpoint was connected to, and then broke off: only connecting has a deadline. */
  #startedAt: number;
  /** It counts among the connections of the service that are being tried again. */
  #isRetry = false;
  #keySource: KeySource | undefined;

  constructor(live: LiveConnection, service: Service, header: ProxyHeader | undefined, around: Surroundings) {
    this.#live = live;
    this.#service = service;
    this.#header = header;
    this.#around = around;
    this.#startedAt = around.clock.now();
    service.retryBudget.connection(this.#startedAt);
  }

  /** Whether there is another endpoint to go to, and the bounds let it. */
  mayTry(): boolean {
    const { connectAttempts } = this.#service.settings;
    return this.#live.attempts.length < connectAttempts && this.#leftMs() > 0 && this.#hasUntried();
  }

  /** Picks an endpoint and dials it; where that fails, the next. Nothing has been relayed yet. */
  async next(): Promise<Connected> {
    try {
      return await this.#tryEach();
    } finally {
      if (this.#isRetry) this.#service.breaker.retried();
      this.#isRetry = false;
    }
  }

  /** What `next` resolved with broke before anything had been exchanged: it is as if that had never been connected to. */
  brokeOff({ upstream, watch }: Connected, cause: Error): void {
    const live = this.#live;
    watch.stop({ kind: 'spared', cause });
    upstream.reset();
    const connectMs = live.connectMs ?? 0;
    live.brokeOff(`${live.upstream}: broke off before it had answered: ${describeError(cause)}`);
    this.#startedAt = this.#around.clock.now() - connectMs;
  }

  async #tryEach(): Promise<Connected> {
    const live = this.#live;
    const service = this.#service;
    const tried = this.#tried;
    const { settings } = service;
    const { clock } = this.#around;
    const source = (): KeySource => {
      this.#keySource ??= keySourceOf(live, this.#header);
      return this.#keySource;
    };
    live.phase = 'connecting';
    while (this.mayTry()) {
      if (tried.size > 1) await this.#backOff(tried.size - 1);
      const now = clock.now();
      const leftMs = this.#leftMs();
      if (leftMs <= 0) break;
      if (tried.size > 0) this.#requireRetry(now);
      // The picker of this moment: what has been removed since the last attempt is not tried.
      const { picker } = service;
      const pick = picker.pick({ tried, now, source });
      if (!pick) break;
      tried.add(pick.endpoint);
      const timeoutMs = Math.min(settings.connectTimeout, leftMs);
      const upstream = await attempt(live, service, pick, this.#header, timeoutMs, this.#around);
      if (!upstream) continue;
      live.connectMs = clock.now() - this.#startedAt;
      const connected = this.#begin(picker, upstream, pick);
      if (settings.replay === 0 || !this.mayTry() || !(await this.#brokeWhenOpened(connected))) return connected;
    }
    if (service.picker.endpoints.length === 0) throw new Stop('no-endpoint', `service ${service.name} has no endpoint`);
    // The attempts themselves say why.
    throw new Stop('connect-failed');
  }

  #begin(picker: Picker, upstream: Connection, pick: Pick): Connected {
    const live = this.#live;
    const service = this.#service;
    const { onEndpointRemoved } = service.settings;
    if (onEndpointRemoved === 'reset' && picker !== service.picker && !isOf(service.picker, live.upstream)) {
      // Whoever resets what is open to a removed endpoint has missed the one that was only being connected to.
      upstream.reset();
      pick.abandoned();
      throw new Stop('endpoint-removed', live.upstream);
    }
    live.relaying(upstream);
    return { upstream, pick, watch: new RelayWatch(live, upstream, pick, service.settings, this, this.#around) };
  }

  /** What the client asks is sent, and kept at the same time: whether the endpoint broke while it could still be sent to another. */
  async #brokeWhenOpened(connected: Connected): Promise<boolean> {
    const live = this.#live;
    const { upstream, watch } = connected;
    const opened = await open({
      client: live.downstream,
      upstream,
      replayBytes: this.#service.settings.replay,
      step: (): Canceller => live.cancellable(),
      onFirstByte: () => watch.onFirstByte(),
    });
    live.relaying(upstream);
    if (opened.kind === 'relay') return false;
    const { error } = opened;
    this.brokeOff(connected, error.cause instanceof Error ? error.cause : error);
    return true;
  }

  #requireRetry(now: number): void {
    const { settings, bounds, breaker, retryBudget } = this.#service;
    const { retryBudget: percent, retryMinRate: minPerSecond } = settings;
    if (percent !== 'off' && !retryBudget.retry({ share: percent / 100, minPerSecond }, now)) {
      const budget = `${percent}% of connections, at least ${minPerSecond} a second`;
      throw new Stop('connect-failed', `no other endpoint was tried: the retry budget (${budget}) is used up`);
    }
    this.#isRetry ||= breaker.tryRetry(bounds.maxRetries);
    if (this.#isRetry) return;
    const others = `${bounds.maxRetries} other connections are being tried again, and no more may be`;
    throw new Stop('connect-failed', `no other endpoint was tried: ${others}`);
  }

  /** @param failures in a row, of which the first is not waited for */
  async #backOff(failures: number): Promise<void> {
    const live = this.#live;
    const waitMs = backoffMs(failures, BACKOFF, Math.random());
    await sleep(this.#around.clock, Math.min(waitMs, this.#leftMs()), live.cancellable());
    if (live.cutBy !== undefined) throw new Stop(live.cutBy);
  }

  #leftMs(): number {
    const spentMs = this.#live.connectMs ?? this.#around.clock.now() - this.#startedAt;
    return this.#service.settings.connectDeadline - spentMs;
  }

  #hasUntried(): boolean {
    return this.#service.picker.endpoints.some((endpoint) => !this.#tried.has(endpoint));
  }
}

/** What an endpoint may be chosen by. */
function keySourceOf({ downstream, serverName, clientIdentity }: LiveConnection, header?: ProxyHeader): KeySource {
  const told = header?.command === 'proxy' ? header : undefined;
  return {
    client: told?.source ?? downstream.remote,
    destination: told?.destination ?? downstream.local,
    serverName,
    identity: clientIdentity,
    tlvs: told?.tlvs,
  };
}

function isOf({ endpoints }: Picker, upstream: string | undefined): boolean {
  return endpoints.some(({ addresses }) => addresses.some((one) => formatAddress(one) === upstream));
}
