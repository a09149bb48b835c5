/**
 * The listeners and what they accept: where a connection is admitted, and handed to `serve`. Listeners come and go by
 * `prepare` and `commit`; no live connection is touched by either.
 */
import type { ListenerConfig } from '../config/schema.js';
import { type Address, formatAddress } from '../core/address.js';
import type { Clock, Timer } from '../core/clock.js';
import { descriptorLimit } from '../core/descriptors.js';
import type { Observer } from '../telemetry/record.js';
import { type Limits, refusal } from './admission.js';
import { type Surroundings, serve } from './connection.js';
import type { LiveConnections } from './live.js';
import { connectionsAllowed, descriptorsInUse, MemoryGauge } from './resources.js';
import type { Service } from './service.js';
import type { Connection, Listener, SocketOptions, Transport } from './transport.js';

/** How long accepting rests after a dial found no descriptor though by our count there was one. */
const EXHAUSTED_REST_MS = 500;

/** What a listener does with its connections. Replaced as a whole by a reload. */
export interface Route {
  readonly name: string;
  readonly settings: ListenerConfig;
  readonly service: Service;
}

/** The bounds of the whole process. Replaced as a whole by a reload. */
export interface DataPlaneLimits {
  readonly maxConnections: number | undefined;
  readonly maxMemory: number;
  readonly sockets: SocketOptions;
}

export interface DataPlaneOptions {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly limits: DataPlaneLimits;
  readonly live: LiveConnections;
  readonly observer: Observer;
  /** Told when accepting stops for want of descriptors, and when it goes on. */
  onPause(paused: boolean, connections: number): void;
  onBug(error: unknown): void;
}

export interface ListenerState {
  readonly name: string;
  readonly address: Address;
  readonly service: string;
  readonly paused: boolean;
}

interface Frontend {
  readonly key: string;
  readonly listener: Listener;
  route: Route;
  connections: number;
}

export interface PreparedListeners {
  commit(): Promise<void>;
  discard(): Promise<void>;
}

export class DataPlane {
  readonly #options: DataPlaneOptions;
  readonly #memory: MemoryGauge;
  #limits: DataPlaneLimits;
  #frontends = new Map<string, Frontend>();
  #around: Surroundings;
  #allowed = Number.POSITIVE_INFINITY;
  #paused = false;
  #resting: Timer | undefined;
  #draining = false;
  /** How many connections the end of the drain has reset. */
  #cut = 0;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#memory = new MemoryGauge(options.clock);
    this.#around = this.#surroundings();
  }

  listeners(): ListenerState[] {
    return [...this.#frontends.values()].map(({ listener, route }) => ({
      name: route.name,
      address: listener.address,
      service: route.service.name,
      paused: this.#paused,
    }));
  }

  /** Binds what is new of `routes`; what is bound already stays as it is. Rejects, with nothing bound, where one cannot be. */
  async prepare(routes: readonly Route[], limits: DataPlaneLimits): Promise<PreparedListeners> {
    const next = new Map<string, Frontend>();
    const bound: Frontend[] = [];
    const discard = async (): Promise<void> => {
      await Promise.all(bound.map(({ listener }) => listener.close()));
    };
    try {
      for (const route of routes) {
        const key = keyOf(route);
        const known = this.#frontends.get(key);
        const frontend = known ?? (await this.#bind(key, route, limits.sockets));
        if (!known) bound.push(frontend);
        next.set(key, frontend);
      }
    } catch (error) {
      await discard();
      throw error;
    }
    const commit = async (): Promise<void> => {
      const gone = [...this.#frontends.values()].filter(({ key }) => !next.has(key));
      for (const route of routes) {
        const frontend = next.get(keyOf(route));
        if (frontend) frontend.route = route;
      }
      this.#frontends = next;
      this.#limits = limits;
      for (const { listener } of next.values()) listener.configure(limits.sockets);
      this.#around = this.#surroundings();
      await Promise.all(gone.map(({ listener }) => listener.close()));
      this.#countDescriptors();
    };
    return { commit, discard };
  }

  /** Stops accepting, waits for what is open until `timeoutMs`, resets what is left. Resolves with how many that were. */
  async drain(timeoutMs: number): Promise<number> {
    await this.stopAccepting();
    const { clock, live } = this.#options;
    const deadline = clock.after(timeoutMs, () => this.cutAll());
    await live.empty();
    deadline.cancel();
    return this.#cut;
  }

  /** Resets what is open. */
  cutAll(): void {
    this.#cut += this.#options.live.size;
    this.#options.live.cutAll('drain-deadline');
  }

  async stopAccepting(): Promise<void> {
    this.#draining = true;
    this.#resting?.cancel();
    await Promise.all([...this.#frontends.values()].map(({ listener }) => listener.close()));
  }

  async #bind(key: string, route: Route, sockets: SocketOptions): Promise<Frontend> {
    const { transport } = this.#options;
    const accept = (connection: Connection): void => void this.#accept(frontend, connection);
    const listener = await transport.listen(route.settings.address, sockets, accept);
    const frontend: Frontend = { key, listener, route, connections: 0 };
    return frontend;
  }

  async #accept(frontend: Frontend, connection: Connection): Promise<void> {
    const { route } = frontend;
    const { live: connections, observer } = this.#options;
    const refused = refusal(this.#load(frontend), this.#limitsOf(route));
    if (refused) {
      observer.refused(route.name, refused);
      connection.reset();
      return;
    }
    const live = connections.open(route.name, connection);
    frontend.connections += 1;
    if (connections.size >= this.#allowed) this.#pause();
    await serve(live, route.settings, route.service, this.#around);
    frontend.connections -= 1;
    connections.ended(live);
    if (this.#paused && connections.size < this.#allowed) this.#resume();
  }

  #load(frontend: Frontend) {
    return {
      draining: this.#draining,
      total: this.#options.live.size,
      ofListener: frontend.connections,
      allowedByDescriptors: this.#allowed,
      residentBytes: () => this.#memory.resident(this.#limits.maxMemory),
    };
  }

  #limitsOf(route: Route): Limits {
    const { maxConnections, maxMemory } = this.#limits;
    return { maxConnections, maxMemory, maxOfListener: route.settings.maxConnections };
  }

  #surroundings(): Surroundings {
    const { clock, transport, observer, onBug } = this.#options;
    return {
      clock,
      transport,
      sockets: this.#limits.sockets,
      observer,
      exhausted: () => this.#rest(),
      bug: onBug,
    };
  }

  /** Counted when the listeners change, not per connection: a count of many is slow. */
  #countDescriptors(): void {
    const beside = descriptorsInUse() - 2 * this.#options.live.size;
    this.#allowed = connectionsAllowed(descriptorLimit(), Math.max(0, beside));
  }

  #pause(): void {
    if (this.#paused || this.#draining) return;
    // One that cannot pause goes on accepting, and refuses what it accepts.
    for (const { listener } of this.#frontends.values()) listener.pause();
    this.#paused = true;
    this.#options.onPause(true, this.#options.live.size);
  }

  #resume(): void {
    if (!this.#paused || this.#draining || this.#resting) return;
    this.#paused = false;
    for (const { listener } of this.#frontends.values()) listener.resume();
    this.#options.onPause(false, this.#options.live.size);
  }

  #rest(): void {
    this.#pause();
    this.#resting ??= this.#options.clock.after(EXHAUSTED_REST_MS, () => {
      this.#resting = undefined;
      if (this.#options.live.size < this.#allowed) this.#resume();
    });
  }
}

/** What makes two routes the same listener: the address; and the name as well where any free port was asked for. */
function keyOf({ name, settings }: Route): string {
  const address = formatAddress(settings.address);
  return settings.address.kind !== 'unix' && settings.address.port === 0 ? `${name} ${address}` : address;
}
