/** The endpoints of all services in their slots: main's, whichever threads the data plane runs in. */
import { isHashing } from '../balancer/create-strategy.js';
import { type BuiltTables, buildTables } from '../balancer/hash-tables.js';
import type { Endpoint } from '../balancer/picker.js';
import { EndpointSlots } from '../balancer/slots.js';
import type { Clock } from '../core/clock.js';
import { type BreakerCells, forgetInBreaker, newBreakerCells } from '../l4/circuit-breaker.js';
import type { PlacedService } from '../l4/service.js';
import type { PlacedOnMain, ServiceSetup } from './plane.js';

interface Kept {
  readonly setup: ServiceSetup;
  readonly slots: EndpointSlots;
  readonly breaker: BreakerCells;
  readonly zone: string | undefined;
  /** Of the endpoints in `slots`. */
  built: BuiltTables;
}

type Services = ReadonlyMap<string, Kept>;

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
  prepare(
    setups: readonly ServiceSetup[],
    zone: string | undefined,
  ): { readonly all: readonly PlacedService[]; commit(): void } {
    const services: Services = new Map(
      setups.map((setup) => {
        const known = this.#services.get(setup.name);
        const slots = known?.slots ?? new EndpointSlots(this.#threads);
        slots.place(setup.endpoints, this.#clock.now());
        const breaker = known?.breaker ?? newBreakerCells(this.#threads);
        return [setup.name, { setup, slots, breaker, zone, built: built(setup, slots, zone, known?.built) }];
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
    const { setup, slots, zone } = service;
    slots.place(endpoints, this.#clock.now());
    service.built = built(setup, slots, zone, service.built);
    return placed(name, service);
  }

  of(name: string): PlacedOnMain | undefined {
    const service = this.#services.get(name);
    return service && { endpoints: service.slots.placed, stats: service.slots.stats, breaker: service.breaker };
  }

  /** A thread has died, and its connections with it. */
  forgetThread(thread: number): void {
    for (const { slots, breaker } of this.#services.values()) {
      slots.forgetThread(thread);
      forgetInBreaker(breaker, thread);
    }
  }
}

function placedOf(services: Services): PlacedService[] {
  return [...services].map(([name, service]) => placed(name, service));
}

/** Built here, where no connection waits for it, and once for all threads. */
function built(
  { settings }: ServiceSetup,
  { placed }: EndpointSlots,
  zone: string | undefined,
  before: BuiltTables | undefined,
): BuiltTables {
  return isHashing(settings.balance) ? buildTables(settings.balance, placed, zone, before) : NO_TABLES;
}

const NO_TABLES: BuiltTables = { tables: [], hashed: new Map() };

function placed(name: string, { setup, slots, breaker, built: { tables } }: Kept): PlacedService {
  return { name, settings: setup.settings, endpoints: slots.placed, cells: slots.cells, breaker, tables };
}
