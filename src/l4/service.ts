/** A logical service: its settings, and the endpoints that its sources find, as a picker that is replaced as a whole. */
import type { Endpoint, Picker } from '../balancer/picker.js';
import { createRotation, roundRobin } from '../balancer/round-robin.js';
import type { ServiceConfig } from '../config/schema.js';
import type { MeshproxyError } from '../core/errors.js';
import type { DiscoverySource } from '../discovery/source.js';

/** One upstream of the service: what its source found last, and how it has fared since. */
interface Upstream {
  readonly source: DiscoverySource;
  readonly stop: AbortController;
  readonly settled: Promise<MeshproxyError | undefined>;
  endpoints: readonly Endpoint[];
  failures: number;
  lastError: string | undefined;
}

export interface UpstreamState {
  readonly upstream: string;
  readonly resolveFailures: number;
  readonly error?: string;
}

export class Service {
  readonly name: string;
  /** Frozen; a reload puts another in its place, for connections from then on. */
  settings: ServiceConfig;
  readonly #rotation = createRotation();
  readonly #onFailure: (upstream: string, error: MeshproxyError) => void;
  #upstreams = new Map<string, Upstream>();
  #picker: Picker = roundRobin([], this.#rotation);

  constructor(name: string, settings: ServiceConfig, onFailure: (upstream: string, error: MeshproxyError) => void) {
    this.name = name;
    this.settings = settings;
    this.#onFailure = onFailure;
  }

  /** Of the endpoints as they are known now. Immutable: who holds it keeps it. */
  get picker(): Picker {
    return this.#picker;
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
    return { commit: (settings) => this.#commit(prepared, settings), discard };
  }

  stop(): void {
    for (const { stop } of this.#upstreams.values()) stop.abort();
  }

  #commit(upstreams: Map<string, Upstream>, settings: ServiceConfig): void {
    for (const [name, before] of this.#upstreams) if (upstreams.get(name) !== before) before.stop.abort();
    this.#upstreams = upstreams;
    this.settings = settings;
    this.#rebuild();
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
      if (snapshot.kind === 'endpoints') {
        upstream.endpoints = keepKnown(upstream.endpoints, snapshot.endpoints);
        upstream.lastError = undefined;
        settle(undefined);
      } else {
        upstream.failures += 1;
        upstream.lastError = snapshot.error.message;
        // Where nothing is in force yet, who waits for the first answer tells why there is none.
        if (upstream.endpoints.length > 0) this.#onFailure(source.upstream, snapshot.error);
        settle(snapshot.error);
      }
      if (this.#upstreams.get(source.upstream) === upstream) this.#rebuild();
    }
    settle(undefined);
  }

  #rebuild(): void {
    const byId = new Map<string, Endpoint>();
    for (const { endpoints } of this.#upstreams.values()) {
      for (const endpoint of endpoints) if (!byId.has(endpoint.id)) byId.set(endpoint.id, endpoint);
    }
    this.#picker = roundRobin([...byId.values()], this.#rotation);
  }
}

export interface PreparedSources {
  commit(settings: ServiceConfig): void;
  discard(): void;
}

/** An instance that was there before stays the same object: what has been learnt about it is kept by identity. */
function keepKnown(before: readonly Endpoint[], now: readonly Endpoint[]): readonly Endpoint[] {
  const known = new Map(before.map((endpoint) => [endpoint.id, endpoint]));
  return now.map((endpoint) => {
    const old = known.get(endpoint.id);
    return old && JSON.stringify(old.addresses) === JSON.stringify(endpoint.addresses) ? old : endpoint;
  });
}
