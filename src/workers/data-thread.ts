/** One thread's share of the data plane: it is told setups and endpoints, and serves connections by itself. */
import type { PlacedEndpoint } from '../balancer/slots.js';
import type { Clock } from '../core/clock.js';
import { DataPlane, type DataPlaneOptions, type ListenerState, type Route } from '../l4/data-plane.js';
import type { RateCells } from '../l4/rates.js';
import { type PlacedService, type Placement, Service } from '../l4/service.js';
import type { Tally } from '../l4/tally.js';
import type { Identity } from '../pki/identity-files.js';
import type { ListenerSetup, PlaneSetup, PreparedPlane } from './plane.js';

/** What a data thread is told of a configuration: as main was, and with the endpoints in their slots. */
export interface ThreadSetup extends Omit<PlaneSetup, 'services'> {
  readonly services: readonly PlacedService[];
}

export interface DataThreadOptions extends DataPlaneOptions {
  /** Where a listener's connections are counted, if other threads have a part in it. */
  tallyOf?(listener: ListenerSetup): Tally | undefined;
  /** What is counted of it in a time; likewise. */
  ratesOf?(listener: ListenerSetup): RateCells | undefined;
  /** The number of this thread; 0 where it is the only one. */
  readonly thread?: number;
}

export class DataThread {
  readonly #plane: DataPlane;
  readonly #tallyOf: (listener: ListenerSetup) => Tally | undefined;
  readonly #ratesOf: (listener: ListenerSetup) => RateCells | undefined;
  readonly #thread: number;
  readonly #clock: Clock;
  /** By name. A service that stays over a reload stays the same object. */
  #services: ReadonlyMap<string, Service> = new Map();

  constructor({ tallyOf = () => undefined, ratesOf = () => undefined, thread = 0, ...options }: DataThreadOptions) {
    this.#plane = new DataPlane(options);
    this.#tallyOf = tallyOf;
    this.#ratesOf = ratesOf;
    this.#thread = thread;
    this.#clock = options.clock;
  }

  listeners(): readonly ListenerState[] {
    return this.#plane.listeners();
  }

  /** A new listener accepts from here on; all else is as before until `commit`. */
  async prepare(setup: ThreadSetup): Promise<PreparedPlane> {
    const around = { thread: this.#thread, zone: setup.zone, clock: this.#clock };
    const services = new Map<string, Service>();
    for (const service of setup.services) {
      services.set(service.name, this.#services.get(service.name) ?? new Service(service, around));
    }
    const routes = setup.listeners.flatMap((listener) => this.#route(listener, services));
    const listeners = await this.#plane.prepare(routes, setup.limits);
    const commit = (): Promise<void> => {
      for (const service of setup.services) services.get(service.name)?.replace(service, around);
      this.#services = services;
      for (const { name, endpoints } of setup.services) this.#cutRemoved(name, endpoints);
      this.#plane.identify(setup.identity);
      return listeners.commit();
    };
    return { commit, discard: listeners.discard };
  }

  endpointsOf(service: string): readonly PlacedEndpoint[] {
    return this.#services.get(service)?.endpoints ?? [];
  }

  update(service: string, placement: Placement): void {
    this.#services.get(service)?.update(placement);
    this.#cutRemoved(service, placement.endpoints);
  }

  #cutRemoved(name: string, endpoints: readonly PlacedEndpoint[]): void {
    if (this.#services.get(name)?.settings.onEndpointRemoved === 'reset') this.#plane.cutRemoved(name, endpoints);
  }

  identify(identity: Identity): void {
    this.#plane.identify(identity);
  }

  drain(timeoutMs: number): Promise<number> {
    return this.#plane.drain(timeoutMs);
  }

  cutAll(): void {
    this.#plane.cutAll();
  }

  stopAccepting(): Promise<void> {
    return this.#plane.stopAccepting();
  }

  #route(listener: ListenerSetup, services: ReadonlyMap<string, Service>): Route[] {
    const service = services.get(listener.settings.service);
    const tally = this.#tallyOf(listener);
    const rates = this.#ratesOf(listener);
    return service === undefined ? [] : [{ ...listener, service, ...(tally && { tally }), ...(rates && { rates }) }];
  }
}
