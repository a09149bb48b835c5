/** The endpoints of all services in their slots: main's, whichever threads the data plane runs in. */
import type { Endpoint } from '../balancer/picker.js';
import { EndpointSlots } from '../balancer/slots.js';
import type { Clock } from '../core/clock.js';
import type { PlacedService } from '../l4/service.js';
import type { ServiceSetup } from './plane.js';

type Services = ReadonlyMap<string, { readonly setup: ServiceSetup; readonly slots: EndpointSlots }>;

export class PlacedServices {
  readonly #threads: number;
  readonly #clock: Clock;
  #services: Services = new Map();

  constructor(threads: number, clock: Clock) {
    this.#threads = threads;
    this.#clock = clock;
  }

  /** As they are to be published. */
  get all(): readonly PlacedService[] {
    return placedOf(this.#services);
  }

  /** These and no others, from `commit` on. One that stays keeps what has been learnt. */
  prepare(setups: readonly ServiceSetup[]): { readonly all: readonly PlacedService[]; commit(): void } {
    const services: Services = new Map(
      setups.map((setup) => {
        const slots = this.#services.get(setup.name)?.slots ?? new EndpointSlots(this.#threads);
        slots.place(setup.endpoints, this.#clock.now());
        return [setup.name, { setup, slots }];
      }),
    );
    return {
      all: placedOf(services),
      commit: () => {
        this.#services = services;
      },
    };
  }

  /** Other endpoints for one of them. */
  update(name: string, endpoints: readonly Endpoint[]): PlacedService | undefined {
    const service = this.#services.get(name);
    if (service === undefined) return undefined;
    service.slots.place(endpoints, this.#clock.now());
    return placed(name, service.setup, service.slots);
  }

  /** A thread has died, and its connections with it. */
  forgetThread(thread: number): void {
    for (const { slots } of this.#services.values()) slots.forgetThread(thread);
  }
}

function placedOf(services: Services): PlacedService[] {
  return [...services].map(([name, { setup, slots }]) => placed(name, setup, slots));
}

function placed(name: string, { settings }: ServiceSetup, slots: EndpointSlots): PlacedService {
  return { name, settings, endpoints: slots.placed, cells: slots.cells };
}
