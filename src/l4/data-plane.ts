/**
 * The listeners and what they accept: where a connection is admitted, and handed to `serve`. Listeners come and go by
 * `prepare` and `commit`; no live connection is touched by either.
 */
import type { Endpoint } from '../balancer/picker.js';
import type { ListenerConfig } from '../config/schema.js';
import { type Address, formatAddress } from '../core/address.js';
import type { Clock } from '../core/clock.js';
import { type Identity, NOBODY } from '../pki/identity-files.js';
import type { Observer, Refusal } from '../telemetry/record.js';
import { type Limits, type Load, refusal } from './admission.js';
import { serve } from './connection.js';
import { distrust, type LiveConnection, type LiveConnections } from './live.js';
import { Pausing } from './pausing.js';
import { type RateCells, Rates, rateCellsFor } from './rates.js';
import { cutRemoved } from './removed-endpoints.js';
import { MemoryGauge } from './resources.js';
import type { Service } from './service.js';
import type { Surroundings } from './surroundings.js';
import { Tally } from './tally.js';
import { TlsSetups } from './tls-setups.js';
import type { Accept, Connection, Listener, SocketOptions, Transport } from './transport.js';
import { Turnstile } from './turnstile.js';
import { Unanswered } from './unanswered.js';

/** What a listener does with its connections. Replaced as a whole by a reload. */
export interface Route {
  readonly name: string;
  readonly settings: ListenerConfig;
  readonly service: Service;
  /** Where its connections are counted; a count of its own where other threads have no part in the listener. */
  readonly tally?: Tally;
  /** What is counted of it in a time; likewise. */
  readonly rates?: RateCells;
}

/** The bounds of the whole process. Replaced as a whole by a reload. */
export interface DataPlaneLimits {
  readonly maxConnections: number | undefined;
  readonly maxMemory: number;
  /** How long connections may wait to be accepted in an overload, ms; 0: there is no shedding. */
  readonly shedTarget: number;
  readonly sockets: SocketOptions;
}

export interface DataPlaneOptions {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly limits: DataPlaneLimits;
  readonly live: LiveConnections;
  readonly observer: Observer;
  /** All connections of the process, this thread's among them. */
  readonly tally: Tally;
  /** How many connections the process has descriptors for. */
  allowed(): number;
  /** Who this proxy is at first. */
  readonly identity?: Identity | undefined;
  /** In place of the transport's own `listen`, where listening sockets are bound by somebody else. */
  listen?(route: Route, sockets: SocketOptions, accept: Accept, exhausted: () => void): Promise<Listener>;
  /** Told when accepting stops for want of descriptors, and when it goes on. */
  onPause(paused: boolean): void;
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
  readonly tally: Tally;
  readonly rates: Rates;
  route: Route;
}

/** Accepted when there was no descriptor left for it, as happens where threads compete for the last: served once there is. */
interface Held {
  readonly frontend: Frontend;
  readonly connection: Connection;
}

export interface PreparedListeners {
  commit(): Promise<void>;
  discard(): Promise<void>;
}

/**
 * A TLS handshake may take a thread milliseconds. Of clients that need one only so many are accepted in a turn: the others
 * wait in the kernel's queue, where how long they do is known, and not behind each other in ours. With two, 99 of 100 of those that are
 * admitted in an overload were served within 225 ms (RSA 4096, target 100 ms), with one within 169.
 */
const HANDSHAKES_PER_TURN = 1;

function socketsOf({ settings }: Route, { sockets }: DataPlaneLimits): SocketOptions {
  return settings.tlsAccept === 'off' ? sockets : { ...sockets, acceptsPerTurn: HANDSHAKES_PER_TURN };
}

export class DataPlane {
  readonly #options: DataPlaneOptions;
  readonly #memory: MemoryGauge;
  readonly #turnstile: Turnstile;
  readonly #unanswered: Unanswered;
  readonly #pausing: Pausing<Held>;
  #limits: DataPlaneLimits;
  #tls: TlsSetups;
  #frontends = new Map<string, Frontend>();
  #around: Surroundings;
  #draining = false;
  /** How many connections the end of the drain has reset. */
  #cut = 0;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#tls = new TlsSetups(options.identity ?? NOBODY);
    this.#memory = new MemoryGauge(options.clock);
    this.#turnstile = new Turnstile(options.clock);
    this.#turnstile.configure(options.limits.shedTarget);
    this.#unanswered = new Unanswered(options.clock);
    this.#pausing = new Pausing<Held>({
      clock: options.clock,
      hasRoom: () => this.#hasRoom(),
      onPause: (paused) => this.#setPaused(paused),
      onRoom: ({ frontend, connection }) => this.#accept(frontend, connection),
    });
    this.#around = this.#surroundings();
  }

  /** For handshakes from now on. What is open stays as it is, but to whom it is trusted no more. */
  identify(identity: Identity): void {
    if (identity.version === this.#tls.identity.version) return;
    this.#tls = new TlsSetups(identity);
    this.#around = this.#surroundings();
    this.#options.live.distrust(this.#tls.trust);
  }

  /** These are the endpoints of a service that has its connections to any others reset. */
  cutRemoved(service: string, endpoints: readonly Endpoint[]): void {
    cutRemoved(this.#options.live, service, endpoints);
  }

  listeners(): ListenerState[] {
    return [...this.#frontends.values()].map(({ listener, route }) => ({
      name: route.name,
      address: listener.address,
      service: route.service.name,
      paused: this.#pausing.paused,
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
        const frontend = known ?? (await this.#bind(key, route, socketsOf(route, limits)));
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
        if (frontend === undefined) continue;
        frontend.route = route;
        frontend.rates.replace(route.settings, route.rates);
      }
      this.#frontends = next;
      this.#limits = limits;
      this.#turnstile.configure(limits.shedTarget);
      for (const { listener, route } of next.values()) listener.configure(socketsOf(route, limits));
      this.#around = this.#surroundings();
      await Promise.all(gone.map(({ listener }) => listener.close()));
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
    for (const { frontend, connection } of this.#pausing.end()) this.#refuse(frontend, connection, 'draining');
    await Promise.all([...this.#frontends.values()].map(({ listener }) => listener.close()));
  }

  async #bind(key: string, route: Route, sockets: SocketOptions): Promise<Frontend> {
    const { transport, listen, clock } = this.#options;
    const accept = (connection: Connection): void => this.#accept(frontend, connection);
    const exhausted = (): void => this.#pausing.rest();
    const listener = await (listen?.(route, sockets, accept, exhausted) ??
      transport.listen(route.settings.address, sockets, accept, exhausted));
    const { settings, tally = new Tally(), rates: cells = rateCellsFor(settings) } = route;
    const frontend: Frontend = { key, listener, route, tally, rates: new Rates(cells, settings, clock) };
    return frontend;
  }

  #accept(frontend: Frontend, connection: Connection): void {
    const { route, tally } = frontend;
    const { live: connections } = this.#options;
    const waitedMs = this.#turnstile.waitOf(connection);
    const refused = this.#refusal(frontend, connection, waitedMs);
    if (refused === 'descriptors' && this.#hold(frontend, connection)) return;
    if (refused) return void this.#refuse(frontend, connection, refused);
    const live = connections.open(route.name, connection, tally);
    live.waitedMs = waitedMs;
    live.rates = frontend.rates;
    if (!this.#hasRoom()) this.#pausing.pause();
    void serve(live, route.settings, route.service, this.#around);
  }

  #ended(live: LiveConnection): void {
    live.place?.leave();
    live.tally.leave();
    this.#options.tally.leave();
    this.#options.live.ended(live);
    this.#pausing.resume();
  }

  /** Counts the connection in, or says why it is not. */
  #refusal(frontend: Frontend, connection: Connection, waitedMs: number): Refusal | undefined {
    const { route, rates } = frontend;
    return (
      refusal(this.#load(frontend), this.#limitsOf(route)) ??
      this.#turnstile.refusal(connection, waitedMs, rates, route.settings) ??
      this.#admit(frontend)
    );
  }

  /** Counts the connection in, or says why it cannot be. */
  #admit(frontend: Frontend): Refusal | undefined {
    const { tally } = this.#options;
    for (;;) {
      const limits = this.#limitsOf(frontend.route);
      const refused = refusal(this.#load(frontend), limits);
      if (refused) return refused;
      // There was room, and another thread may just be taking it: then the reason is to be found again.
      if (!frontend.tally.enter(limits.maxOfListener ?? Number.POSITIVE_INFINITY)) continue;
      const most = Math.min(this.#options.allowed(), limits.maxConnections ?? Number.POSITIVE_INFINITY);
      if (tally.enter(most)) return undefined;
      frontend.tally.leave();
    }
  }

  #refuse({ route }: Frontend, connection: Connection, reason: Refusal): void {
    this.#options.observer.refused(route.name, reason);
    connection.reset();
  }

  #hold(frontend: Frontend, connection: Connection): boolean {
    if (this.#draining || !frontend.listener.pause()) return false;
    this.#pausing.hold({ frontend, connection });
    return true;
  }

  #load(frontend: Frontend): Load {
    return {
      draining: this.#draining,
      total: this.#options.tally.total,
      ofListener: frontend.tally.total,
      allowedByDescriptors: this.#options.allowed(),
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
      tls: this.#tls,
      turnstile: this.#turnstile,
      observer,
      unanswered: this.#unanswered,
      isTrusted: (live) => !distrust(live, this.#tls.trust),
      ended: (live) => this.#ended(live),
      exhausted: () => this.#pausing.rest(),
      bug: onBug,
    };
  }

  #hasRoom(): boolean {
    return this.#options.tally.total < this.#options.allowed();
  }

  #setPaused(paused: boolean): void {
    if (!paused) this.#turnstile.opened();
    for (const { listener } of this.#frontends.values()) {
      if (!paused) listener.resume();
      // One that cannot pause goes on accepting, and refuses what it accepts.
      else listener.pause();
    }
    this.#options.onPause(paused);
  }
}

/** What makes two routes the same listener: the address; and the name as well where any free port was asked for. */
export function keyOf({ name, settings }: Pick<Route, 'name' | 'settings'>): string {
  const address = formatAddress(settings.address);
  return settings.address.kind !== 'unix' && settings.address.port === 0 ? `${name} ${address}` : address;
}
