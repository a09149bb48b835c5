/**
 * How the endpoints of all services stand, as main sees it in what the data threads share: it notices what those have
 * done, each change once, and ejects whose connections take far longer than those to their peers.
 */
import { Ejector, ejectionMs, REASONS, type Reason } from '../balancer/ejection.js';
import type { EndpointStats } from '../balancer/endpoint-stats.js';
import { arrange } from '../balancer/groups.js';
import { type Instance, standingOf, weightOf } from '../balancer/instance.js';
import type { ServiceStats } from '../balancer/service-stats.js';
import type { ServiceConfig } from '../config/schema.js';
import type { Clock, Timer } from '../core/clock.js';
import type { CheckedService } from './health-checks.js';
import { latencyOutliers } from './outliers.js';

export type StandingNews =
  /** `again`: it was tried, and failed. */
  | {
      readonly kind: 'ejected';
      readonly endpoint: string;
      readonly reason: Reason;
      readonly forMs: number;
      readonly again: boolean;
    }
  | { readonly kind: 'back'; readonly endpoint: string }
  /** Too few of the endpoints can take connections, so that all of them get some; or enough can again. */
  | { readonly kind: 'panic' | 'calm'; readonly able: number; readonly size: number };

/** How one endpoint stands; absent where it takes connections. */
export type OffStanding =
  | { readonly kind: 'ejected'; readonly reason: Reason; readonly leftMs: number }
  /** Its ejection is over, and one connection may try it. */
  | { readonly kind: 'half-open'; readonly reason: Reason }
  | { readonly kind: 'unhealthy' };

interface Service {
  settings: ServiceConfig;
  instances: ReadonlyMap<string, Instance>;
  readonly stats: ServiceStats;
  seenVersion: number;
  /** It is not looked at again before, ms of the clock. */
  notBefore: number;
  /** How often those that are out have been ejected, by id. */
  out: ReadonlyMap<string, number>;
  panics: boolean;
}

/** An operator who looks at the log is told within this, ms. */
const LOOK_MS = 1000;
/** Of many, looking at all of them takes a while: no more than a hundredth of the time, at a microsecond for each, ms. */
const LOOK_MS_EACH = 0.1;
/** As often as Envoy sweeps, ms. */
const SWEEP_MS = 10_000;

const REASON_BY_NUMBER = new Map<number, Reason>(
  Object.entries(REASONS).map(([reason, number]) => [number, reason as Reason]),
);

export class Standings {
  readonly #clock: Clock;
  readonly #onNews: (service: string, news: StandingNews) => void;
  readonly #services = new Map<string, Service>();
  #zone: string | undefined;
  #next: Timer | undefined;
  #sweptAt: number;

  constructor(clock: Clock, onNews: (service: string, news: StandingNews) => void) {
    this.#clock = clock;
    this.#onNews = onNews;
    this.#sweptAt = clock.now();
    this.#again();
  }

  /** These services and no others, in a proxy of that zone. */
  retain(names: { has(name: string): boolean }, zone: string | undefined): void {
    for (const name of this.#services.keys()) if (!names.has(name)) this.#services.delete(name);
    this.#zone = zone;
  }

  /** A service that is new, or has other endpoints or settings. */
  update({ name, settings, endpoints, stats }: CheckedService): void {
    const instances = new Map(
      endpoints.map((endpoint) => [
        endpoint.id,
        { endpoint, stats: stats.slot(endpoint.slot), weight: weightOf(endpoint) },
      ]),
    );
    const known = this.#services.get(name);
    const out = new Map([...(known?.out ?? [])].filter(([id]) => instances.has(id)));
    const panics = known?.panics ?? false;
    // As if nothing had been seen: the share of those who can take connections is another.
    this.#services.set(name, {
      settings,
      instances,
      stats,
      seenVersion: -1,
      notBefore: known?.notBefore ?? 0,
      out,
      panics,
    });
  }

  of(
    service: string,
    endpoint: string,
  ): { readonly off: OffStanding | undefined; readonly stats: EndpointStats } | undefined {
    const instance = this.#services.get(service)?.instances.get(endpoint);
    return instance && { off: offStanding(instance, this.#clock.now()), stats: instance.stats };
  }

  panics(service: string): boolean {
    return this.#services.get(service)?.panics ?? false;
  }

  /** Since the start, over all threads. */
  ejections(service: string): Readonly<Record<Reason, number>> | undefined {
    const stats = this.#services.get(service)?.stats;
    if (stats === undefined) return undefined;
    const { connect, timeout, handshake, reset, latency } = REASONS;
    return {
      connect: stats.ejections(connect),
      timeout: stats.ejections(timeout),
      handshake: stats.ejections(handshake),
      reset: stats.ejections(reset),
      latency: stats.ejections(latency),
    };
  }

  stop(): void {
    this.#next?.cancel();
    this.#services.clear();
  }

  #again(): void {
    this.#next = this.#clock.after(LOOK_MS, () => {
      const now = this.#clock.now();
      const isTime = now - this.#sweptAt >= SWEEP_MS;
      if (isTime) this.#sweptAt = now;
      for (const [name, service] of this.#services) {
        if (isTime) ejectSlow(service, now);
        this.#look(name, service, now);
      }
      this.#again();
    });
  }

  #look(name: string, service: Service, now: number): void {
    // Before the look: what changes during it is seen the next time.
    const { version } = service.stats;
    if (version === service.seenVersion || now < service.notBefore) return;
    service.seenVersion = version;
    service.notBefore = now + service.instances.size * LOOK_MS_EACH;
    const out = new Map<string, number>();
    for (const [id, { stats }] of service.instances) {
      const reason = REASON_BY_NUMBER.get(stats.ejectedFor);
      const before = service.out.get(id);
      if (reason === undefined) {
        if (before !== undefined) this.#onNews(name, { kind: 'back', endpoint: id });
        continue;
      }
      const times = stats.timesEjected;
      out.set(id, times);
      if (before !== undefined && times <= before) continue;
      const forMs = ejectionMs(times, timesOf(service.settings));
      this.#onNews(name, { kind: 'ejected', endpoint: id, reason, forMs, again: before !== undefined });
    }
    service.out = out;
    this.#lookForPanic(name, service, now);
  }

  #lookForPanic(name: string, service: Service, now: number): void {
    const instances = [...service.instances.values()].filter(({ weight }) => weight > 0);
    const panicThreshold = service.settings.panicThreshold / 100;
    const { panics } = arrange(instances, { zone: this.#zone, panicThreshold }, now);
    if (panics === service.panics) return;
    service.panics = panics;
    const able = instances.filter((instance) => standingOf(instance, now) === 'in').length;
    this.#onNews(name, { kind: panics ? 'panic' : 'calm', able, size: instances.length });
  }
}

/** Within the share that may be ejected; the slowest first. */
function ejectSlow({ settings, instances, stats }: Service, now: number): void {
  const { ejectLatency: factor } = settings;
  if (factor === 0) return;
  const able = [...instances.values()].filter((one) => one.weight > 0 && standingOf(one, now) === 'in');
  const times = able.map(({ endpoint: { zone = '', priority = 0 }, stats: { typicalConnectMs, connects } }) => ({
    group: `${priority} ${zone}`,
    typicalMs: typicalConnectMs,
    samples: connects,
  }));
  const ejector = new Ejector(stats, timesOf(settings), settings.ewmaDecay);
  for (const { index } of latencyOutliers(times, factor)) {
    const slow = able[index];
    if (slow !== undefined) ejector.eject(slow, 'latency', now);
  }
}

function timesOf({ ejectAfter, ejectTime, ejectMaxTime, ejectMaxShare }: ServiceConfig) {
  return { after: ejectAfter, baseMs: ejectTime, maxMs: ejectMaxTime, maxShare: ejectMaxShare / 100 };
}

function offStanding(instance: Instance, now: number): OffStanding | undefined {
  const { stats } = instance;
  const standing = standingOf(instance, now);
  const reason = REASON_BY_NUMBER.get(stats.ejectedFor) ?? 'connect';
  switch (standing) {
    case 'in':
      return undefined;
    case 'unhealthy':
      return { kind: 'unhealthy' };
    case 'half-open':
      return { kind: 'half-open', reason };
    case 'ejected':
      return { kind: 'ejected', reason, leftMs: stats.ejectedUntil - now };
  }
}
