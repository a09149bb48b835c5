/** What a service's sources find, all of them together: where its endpoints come from, and how finding them fares. */
import type { MeshproxyError } from '../core/errors.js';
import type { DiscoveredEndpoint, DiscoverySource } from './source.js';

/** One upstream of the service: what its source found last, and how it has fared since. */
interface Upstream {
  readonly source: DiscoverySource;
  readonly stop: AbortController;
  readonly settled: Promise<MeshproxyError | undefined>;
  endpoints: readonly DiscoveredEndpoint[];
  failures: number;
  lastError: string | undefined;
}

export interface UpstreamState {
  readonly upstream: string;
  readonly resolveFailures: number;
  readonly error?: string;
}

export interface FollowedServiceEvents {
  /** With all endpoints of the service, at every change of what is in force. */
  onEndpoints(endpoints: readonly DiscoveredEndpoint[]): void;
  /** A source could not tell; its last answer stays in force. */
  onFailure(upstream: string, error: MeshproxyError): void;
}

export interface PreparedSources {
  /** What the service has once these are in force. */
  readonly endpoints: readonly DiscoveredEndpoint[];
  commit(): void;
  discard(): void;
}

export class FollowedService {
  readonly #events: FollowedServiceEvents;
  #upstreams: ReadonlyMap<string, Upstream> = new Map();

  constructor(events: FollowedServiceEvents) {
    this.#events = events;
  }

  get endpoints(): readonly DiscoveredEndpoint[] {
    return together(this.#upstreams.values());
  }

  get upstreams(): UpstreamState[] {
    return [...this.#upstreams].map(([upstream, { failures, lastError }]) => ({
      upstream,
      resolveFailures: failures,
      ...(lastError === undefined ? {} : { error: lastError }),
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
  }

  #start(source: DiscoverySource): Upstream {
    const stop = new AbortController();
    let settle: (error: MeshproxyError | undefined) => void = () => {};
    const settled = new Promise<MeshproxyError | undefined>((resolve) => {
      settle = resolve;
    });
    const upstream: Upstream = { source, stop, settled, endpoints: [], failures: 0, lastError: undefined };
    void this.#follow(upstream, settle);
    return upstream;
  }

  async #follow(upstream: Upstream, settle: (error: MeshproxyError | undefined) => void): Promise<void> {
    const { source, stop } = upstream;
    for await (const snapshot of source.watch(stop.signal)) {
      const inForce = this.#upstreams.get(source.upstream) === upstream;
      if (snapshot.kind === 'endpoints') {
        upstream.endpoints = snapshot.endpoints;
        upstream.lastError = undefined;
        settle(undefined);
        if (inForce) this.#events.onEndpoints(this.endpoints);
      } else {
        upstream.failures += 1;
        upstream.lastError = snapshot.error.message;
        // Where nothing is in force yet, who waits for the first answer tells why there is none.
        if (upstream.endpoints.length > 0) this.#events.onFailure(source.upstream, snapshot.error);
        settle(snapshot.error);
      }
    }
    settle(undefined);
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
