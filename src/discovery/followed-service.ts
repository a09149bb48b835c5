/** What a service's sources find, all of them together: where its endpoints come from, and how finding them fares. */
import type { Clock } from '../core/clock.js';
import type { MeshproxyError } from '../core/errors.js';
import type { DiscoveredEndpoint, DiscoverySnapshot, DiscoverySource } from './source.js';
import { type UpstreamNews, UpstreamReport } from './upstream-report.js';

/** One upstream of the service: what its source found last, and how it has fared since. */
interface Upstream {
  readonly source: DiscoverySource;
  readonly stop: AbortController;
  readonly settled: Promise<MeshproxyError | undefined>;
  readonly report: UpstreamReport;
  endpoints: readonly DiscoveredEndpoint[];
  failures: number;
  /** On the clock; `undefined` until it has answered. */
  answeredAt: number | undefined;
  /** It has said all that it will ever say. */
  isFixed: boolean;
}

export interface UpstreamState {
  readonly upstream: string;
  readonly endpoints: number;
  readonly resolveFailures: number;
  /** ms since its source last answered; absent where it needs no asking. */
  readonly answerAgeMs?: number;
  /** Why it cannot be told what it has now, in words; absent where it can. */
  readonly error?: string;
  /** Why it has no endpoints, in words; absent where it has some. */
  readonly empty?: string;
}

export interface FollowedServiceEvents {
  /** With all endpoints of the service, at every change of what is in force. */
  onEndpoints(endpoints: readonly DiscoveredEndpoint[]): void;
  /** An upstream that is in force fares otherwise than before: not with every attempt. */
  onNews(upstream: string, news: UpstreamNews): void;
}

export interface PreparedSources {
  /** What the service has once these are in force. */
  readonly endpoints: readonly DiscoveredEndpoint[];
  commit(): void;
  discard(): void;
}

export class FollowedService {
  readonly #clock: Clock;
  readonly #events: FollowedServiceEvents;
  #upstreams: ReadonlyMap<string, Upstream> = new Map();

  constructor(clock: Clock, events: FollowedServiceEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  get endpoints(): readonly DiscoveredEndpoint[] {
    return together(this.#upstreams.values());
  }

  get upstreams(): UpstreamState[] {
    const now = this.#clock.now();
    return [...this.#upstreams].map(([upstream, { endpoints, failures, answeredAt, isFixed, report }]) => ({
      upstream,
      endpoints: endpoints.length,
      resolveFailures: failures,
      ...(answeredAt !== undefined && !isFixed && { answerAgeMs: now - answeredAt }),
      ...(report.error && { error: report.error.message }),
      ...(report.empty !== undefined && { empty: report.empty }),
    }));
  }

  /**
   * Starts the sources that are new and resolves once each has given its first answer; nothing is in force before
   * `commit`. Rejects with the first failure, having stopped what it started.
   * @param afresh starts all of them, also for upstreams that are followed already: they are to be asked in another way
   */
  async prepare(sources: readonly DiscoverySource[], afresh = false): Promise<PreparedSources> {
    const prepared = new Map<string, Upstream>();
    const started: Upstream[] = [];
    for (const source of sources) {
      const followed = afresh ? undefined : this.#upstreams.get(source.upstream);
      const known = followed ?? prepared.get(source.upstream);
      const upstream = known ?? this.#start(source);
      if (!known) started.push(upstream);
      prepared.set(source.upstream, upstream);
    }
    const discard = (): void => {
      for (const { stop } of started) stop.abort();
    };
    const failure = (await Promise.all(started.map(({ settled }) => settled))).find((error) => error !== undefined);
    if (failure) {
      discard();
      throw failure;
    }
    return {
      get endpoints() {
        return together(prepared.values());
      },
      commit: () => this.#commit(prepared),
      discard,
    };
  }

  stop(): void {
    for (const { stop } of this.#upstreams.values()) stop.abort();
  }

  #commit(upstreams: ReadonlyMap<string, Upstream>): void {
    for (const [name, before] of this.#upstreams) if (upstreams.get(name) !== before) before.stop.abort();
    this.#upstreams = upstreams;
    this.#events.onEndpoints(this.endpoints);
    for (const upstream of upstreams.values()) this.#tell(upstream);
  }

  #start(source: DiscoverySource): Upstream {
    const stop = new AbortController();
    let settle: (error: MeshproxyError | undefined) => void = () => {};
    const settled = new Promise<MeshproxyError | undefined>((resolve) => {
      settle = resolve;
    });
    const upstream: Upstream = {
      source,
      stop,
      settled,
      report: new UpstreamReport(),
      endpoints: [],
      failures: 0,
      answeredAt: undefined,
      isFixed: false,
    };
    void this.#follow(upstream, settle);
    return upstream;
  }

  async #follow(upstream: Upstream, settle: (error: MeshproxyError | undefined) => void): Promise<void> {
    const { source, stop } = upstream;
    for await (const snapshot of source.watch(stop.signal)) {
      this.#take(upstream, snapshot);
      settle(snapshot.kind === 'failed' ? snapshot.error : undefined);
    }
    upstream.isFixed = true;
    settle(undefined);
  }

  #take(upstream: Upstream, snapshot: DiscoverySnapshot): void {
    upstream.report.take(snapshot);
    if (snapshot.kind === 'failed') upstream.failures += 1;
    else upstream.answeredAt = this.#clock.now();
    if (snapshot.kind === 'endpoints') upstream.endpoints = snapshot.endpoints;
    // Where it is not in force yet, who waits for the first answer tells why there is none.
    if (this.#upstreams.get(upstream.source.upstream) !== upstream) return;
    if (snapshot.kind === 'endpoints') this.#events.onEndpoints(this.endpoints);
    this.#tell(upstream);
  }

  #tell({ source, report }: Upstream): void {
    for (const news of report.news()) this.#events.onNews(source.upstream, news);
  }
}

/** Each once: two names may stand for the same instance. */
function together(upstreams: Iterable<Upstream>): readonly DiscoveredEndpoint[] {
  const byId = new Map<string, DiscoveredEndpoint>();
  for (const { endpoints } of upstreams) {
    for (const endpoint of endpoints) if (!byId.has(endpoint.id)) byId.set(endpoint.id, endpoint);
  }
  return [...byId.values()];
}
