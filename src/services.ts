/** The services of a running proxy on main: where their endpoints come from, and how those are found to be. */
import { readEndpoints } from './config/endpoints-file.js';
import type { Config, ServiceConfig } from './config/schema.js';
import { formatAddress } from './core/address.js';
import type { Clock } from './core/clock.js';
import { createSource } from './discovery/create.js';
import { FollowedService, type PreparedSources } from './discovery/followed-service.js';
import type { DiscoveredEndpoint } from './discovery/source.js';
import { HealthChecks, type LastCheck } from './health/health-checks.js';
import { type OffStanding, Standings } from './health/standings.js';
import { useOf } from './l4/circuit-breaker.js';
import { boundsOf } from './l4/service.js';
import type { Identity } from './pki/identity-files.js';
import { EJECTED_FOR, tellHealth, tellStanding, tellUpstream } from './service-log.js';
import type { Log } from './telemetry/logger.js';
import type { BreakerStatus, EndpointStanding, EndpointStatus, ServiceStatus } from './telemetry/status.js';
import type { Plane, ServiceSetup } from './workers/plane.js';

export interface PreparedServices {
  /** As they are at this moment. */
  readonly setups: readonly ServiceSetup[];
  /** Puts them in force. The plane has to have been given them before. Cannot fail. */
  commit(): void;
  discard(): void;
}

export class Services {
  readonly #clock: Clock;
  readonly #logger: Log['logger'];
  readonly #plane: Plane;
  readonly #checks: HealthChecks;
  readonly #standings: Standings;
  #followed = new Map<string, FollowedService>();
  #settings: Config['services'] = {};

  constructor(plane: Plane, { logger }: Log, clock: Clock) {
    this.#plane = plane;
    this.#logger = logger;
    this.#clock = clock;
    this.#checks = new HealthChecks(clock, {
      onTurn: (...turn) => tellHealth(logger, ...turn),
      onBug: (err) => logger.error({ err }, 'a bug in meshproxy ended a health check; please report it'),
    });
    this.#standings = new Standings(clock, (service, news) => tellStanding(logger, service, news));
  }

  /**
   * Rejects, with nothing left running, where the endpoints of one cannot be told.
   * @param afresh sources are to be asked in another way than before
   */
  async prepare(config: Config, afresh: boolean): Promise<PreparedServices> {
    const followed = new Map<string, FollowedService>();
    const sources = new Map<string, PreparedSources>();
    const discard = (): void => {
      for (const prepared of sources.values()) prepared.discard();
    };
    // All of them are awaited: one that is prepared after another has failed must be discarded too.
    const outcomes = await Promise.allSettled(
      Object.entries(config.services).map(async ([name, settings]) => {
        const service = this.#followed.get(name) ?? this.#follow(name);
        followed.set(name, service);
        sources.set(name, await service.prepare(this.#sourcesOf(settings, config), afresh));
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) {
      discard();
      throw failed.reason;
    }
    return {
      get setups() {
        return Object.entries(config.services).map(([name, settings]) => ({
          name,
          settings,
          endpoints: sources.get(name)?.endpoints ?? [],
        }));
      },
      commit: () => this.#commit(config, followed, sources),
      discard,
    };
  }

  /** For health checks from now on. */
  identify(identity: Identity): void {
    this.#checks.identify(identity);
  }

  get status(): readonly ServiceStatus[] {
    return [...this.#followed].map(([name, { endpoints, upstreams }]) => {
      const checks = this.#checks.counts(name);
      const ejections = this.#standings.ejections(name);
      const breaker = this.#breakerOf(name);
      return {
        name,
        endpoints: endpoints.map((endpoint) => this.#statusOf(name, endpoint)),
        upstreams,
        ...(this.#standings.panics(name) && { panic: true }),
        ...(ejections && { ejections }),
        ...(breaker && { breaker }),
        ...(checks && { checks }),
      };
    });
  }

  #breakerOf(service: string): BreakerStatus | undefined {
    const placed = this.#plane.placed(service);
    const settings = this.#settings[service];
    if (placed === undefined || settings === undefined) return undefined;
    const { retryBudget: percent, retryMinRate: minPerSecond } = settings;
    const use = useOf(placed.breaker, boundsOf(settings));
    if (percent === 'off') return use;
    const budget = { share: percent / 100, minPerSecond };
    return { ...use, retryBudget: placed.stats.retryBudget.use(budget, this.#clock.now()) };
  }

  #statusOf(service: string, endpoint: DiscoveredEndpoint): EndpointStatus {
    const known = this.#standings.of(service, endpoint.id);
    const standing = known?.off && this.#inWords(service, endpoint.id, known.off);
    const lastCheck = this.#checks.last(service, endpoint.id);
    const outstanding = known?.stats.outstanding ?? 0;
    return {
      ...endpoint,
      addresses: endpoint.addresses.map(formatAddress),
      ...(standing && { standing }),
      ...(outstanding > 0 && { outstanding }),
      ...(lastCheck && { lastCheck }),
    };
  }

  #inWords(service: string, endpoint: string, off: OffStanding): EndpointStanding {
    switch (off.kind) {
      case 'unhealthy':
        return { kind: off.kind, why: whyUnhealthy(this.#checks.last(service, endpoint)) };
      case 'half-open':
        return { kind: off.kind, why: `one connection may try it: ${EJECTED_FOR[off.reason]}` };
      case 'ejected':
        return { kind: off.kind, why: EJECTED_FOR[off.reason], leftMs: off.leftMs };
    }
  }

  stop(): void {
    for (const service of this.#followed.values()) service.stop();
    this.#checks.stop();
    this.#standings.stop();
  }

  #commit(
    { services: settings, zone }: Config,
    followed: Map<string, FollowedService>,
    sources: ReadonlyMap<string, PreparedSources>,
  ): void {
    const before = this.#followed;
    this.#followed = followed;
    this.#settings = settings;
    this.#checks.retain(followed);
    this.#standings.retain(followed, zone);
    // What a source has found since it was prepared is told now.
    for (const prepared of sources.values()) prepared.commit();
    for (const [name, service] of before) if (!followed.has(name)) service.stop();
  }

  #follow(name: string): FollowedService {
    return new FollowedService(this.#clock, {
      onEndpoints: (endpoints) => this.#update(name, endpoints),
      onNews: (upstream, news) => tellUpstream(this.#logger, name, upstream, news),
    });
  }

  #update(name: string, found: readonly DiscoveredEndpoint[]): void {
    this.#plane.update(name, found);
    const placed = this.#plane.placed(name);
    const settings = this.#settings[name];
    if (placed === undefined || settings === undefined) return;
    this.#checks.update({ name, settings, ...placed });
    this.#standings.update({ name, settings, ...placed });
  }

  #sourcesOf({ upstreams }: ServiceConfig, { dns }: Config) {
    return upstreams.map((upstream) => createSource(upstream, { dns, clock: this.#clock, readEndpoints }));
  }
}

/** The last check may have passed already, and not yet so many in a row as it takes. */
function whyUnhealthy(last: LastCheck | undefined): string {
  if (last === undefined) return 'a health check failed';
  return last.passed ? `health checks have failed, and not passed often enough since: ${last.words}` : last.words;
}
