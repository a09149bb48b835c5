/** One thread's share of the data plane: it is told setups and endpoints, and serves connections by itself. */
import type { Endpoint } from '../balancer/picker.js';
import type { Rotation } from '../balancer/round-robin.js';
import { DataPlane, type DataPlaneOptions, type ListenerState, type Route } from '../l4/data-plane.js';
import { Service } from '../l4/service.js';
import type { Tally } from '../l4/tally.js';
import type { Identity } from '../pki/identity-files.js';
import type { ListenerSetup, PlaneSetup, PreparedPlane } from './plane.js';

export interface DataThreadOptions extends DataPlaneOptions {
  /** Where a listener's connections are counted, if other threads have a part in it. */
  tallyOf?(listener: ListenerSetup): Tally | undefined;
  /** Whose turn it is among a service's endpoints, if other threads have a part in it. */
  rotationOf?(service: string): Rotation | undefined;
}

export class DataThread {
  readonly #plane: DataPlane;
  readonly #tallyOf: (listener: ListenerSetup) => Tally | undefined;
  readonly #rotationOf: (service: string) => Rotation | undefined;
  /** By name. A service that stays over a reload stays the same object, and with it whose turn it is. */
  #services: ReadonlyMap<string, Service> = new Map();

  constructor({ tallyOf = () => undefined, rotationOf = () => undefined, ...options }: DataThreadOptions) {
    this.#plane = new DataPlane(options);
    this.#tallyOf = tallyOf;
    this.#rotationOf = rotationOf;
  }

  listeners(): readonly ListenerState[] {
    return this.#plane.listeners();
  }

  /** A new listener accepts from here on; all else is as before until `commit`. */
  async prepare(setup: PlaneSetup): Promise<PreparedPlane> {
    const services = new Map<string, Service>();
    for (const { name, settings, endpoints } of setup.services) {
      services.set(name, this.#services.get(name) ?? new Service(name, settings, endpoints, this.#rotationOf(name)));
    }
    const routes = setup.listeners.flatMap((listener) => this.#route(listener, services));
    const listeners = await this.#plane.prepare(routes, setup.limits);
    const commit = (): Promise<void> => {
      for (const { name, settings, endpoints } of setup.services) services.get(name)?.replace(settings, endpoints);
      this.#services = services;
      this.#plane.identify(setup.identity);
      return listeners.commit();
    };
    return { commit, discard: listeners.discard };
  }

  update(service: string, endpoints: readonly Endpoint[]): void {
    this.#services.get(service)?.update(endpoints);
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
    return service === undefined ? [] : [{ ...listener, service, ...(tally && { tally }) }];
  }
}
