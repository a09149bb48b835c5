/** A logical service as connections see it: its settings, and its endpoints as a picker that is replaced as a whole. */
import { createPicker } from '../balancer/create-picker.js';
import { createStrategy, isHashing } from '../balancer/create-strategy.js';
import { Ejector } from '../balancer/ejection.js';
import type { TableData } from '../balancer/hash-tables.js';
import { type Instance, PlacedInstance, weightOf } from '../balancer/instance.js';
import type { Picker } from '../balancer/picker.js';
import type { RetryBudget } from '../balancer/retry-budget.js';
import { isSame } from '../balancer/same-endpoint.js';
import { type ServiceCells, ServiceStats } from '../balancer/service-stats.js';
import type { PlacedEndpoint } from '../balancer/slots.js';
import type { Random } from '../balancer/strategy.js';
import type { ServiceConfig } from '../config/schema.js';
import type { Clock } from '../core/clock.js';
import { type BreakerBounds, type BreakerCells, CircuitBreaker } from './circuit-breaker.js';

/** The endpoints of a service as a data thread is told of them. Plain enough to be sent to one. */
export interface Placement {
  readonly endpoints: readonly PlacedEndpoint[];
  readonly cells: ServiceCells;
  /** Of these endpoints, where the service balances by hashing; else none. */
  readonly tables: readonly TableData[];
}

/** All that a data thread is told of a service. */
export interface PlacedService extends Placement {
  readonly name: string;
  readonly settings: ServiceConfig;
  readonly breaker: BreakerCells;
}

export interface ServiceSurroundings {
  /** The number of this thread, from 0. */
  readonly thread: number;
  /** The zone that this proxy is in. */
  readonly zone: string | undefined;
  readonly clock: Clock;
  /** For what is drawn; `Math.random` where absent. A simulation has its own. */
  readonly random?: Random;
}

export class Service {
  readonly name: string;
  readonly breaker: CircuitBreaker;
  #around: ServiceSurroundings;
  readonly #stats: ServiceStats;
  #settings: ServiceConfig;
  #bounds: BreakerBounds;
  #endpoints: readonly PlacedEndpoint[];
  /** By slot. */
  #instances: readonly Instance[] = [];
  #picker: Picker;

  constructor({ name, settings, breaker, ...placement }: PlacedService, around: ServiceSurroundings) {
    this.name = name;
    this.breaker = new CircuitBreaker(breaker, around.thread, around.clock);
    this.#around = around;
    this.#stats = new ServiceStats(placement.cells, around.thread);
    this.#settings = settings;
    this.#bounds = boundsOf(settings);
    this.#endpoints = placement.endpoints;
    this.#picker = this.#build(placement);
  }

  /** Also those that take no connections. */
  get endpoints(): readonly PlacedEndpoint[] {
    return this.#endpoints;
  }

  /** Frozen. */
  get settings(): ServiceConfig {
    return this.#settings;
  }

  get bounds(): BreakerBounds {
    return this.#bounds;
  }

  get retryBudget(): RetryBudget {
    return this.#stats.retryBudget;
  }

  /** Whether the name that a client asks for by TLS decides on the endpoint. */
  get goesByServerName(): boolean {
    return isHashing(this.#settings.balance) && this.#settings.hashKey.kind === 'sni';
  }

  /** Of the endpoints as they are known now. Immutable: who holds it keeps it. */
  get picker(): Picker {
    return this.#picker;
  }

  /** For connections from now on. */
  replace({ settings, ...placement }: PlacedService, around: ServiceSurroundings): void {
    this.#settings = settings;
    this.#bounds = boundsOf(settings);
    this.#around = around;
    this.update(placement);
  }

  /** For connections from now on. */
  update(placement: Placement): void {
    this.#stats.grow(placement.cells);
    this.#endpoints = placement.endpoints;
    this.#picker = this.#build(placement);
  }

  #build({ endpoints, tables }: Placement): Picker {
    const settings = this.#settings;
    const { zone, random = Math.random } = this.#around;
    const all: Instance[] = [];
    const bySlot: Instance[] = [];
    for (const endpoint of endpoints) {
      if (weightOf(endpoint) === 0) continue;
      const instance = this.#instance(endpoint);
      all.push(instance);
      bySlot[endpoint.slot] = instance;
    }
    this.#instances = bySlot;
    return createPicker(all, {
      strategy: createStrategy(settings, {
        rotation: this.#stats,
        dice: random,
        instances: all,
        tables,
        zone,
        outstanding: () => this.breaker.connections,
      }),
      random,
      zone,
      panicThreshold: settings.panicThreshold / 100,
      version: () => this.#stats.version,
      watch: new Ejector(
        this.#stats,
        {
          after: settings.ejectAfter,
          baseMs: settings.ejectTime,
          maxMs: settings.ejectMaxTime,
          maxShare: settings.ejectMaxShare / 100,
        },
        settings.ewmaDecay,
      ),
    });
  }

  /** The one there was, where nothing about the endpoint has changed: connections know what they have tried by its object. */
  #instance(endpoint: PlacedEndpoint): Instance {
    const known = this.#instances[endpoint.slot];
    if (known !== undefined && isSame(known.endpoint, endpoint)) return known;
    return new PlacedInstance(endpoint, this.#stats.placeOf(endpoint.slot));
  }
}

export function boundsOf({
  maxConnections,
  maxPending,
  maxRetries,
  queueTimeout,
  queueTarget,
}: ServiceConfig): BreakerBounds {
  return { maxConnections, maxPending, maxRetries, queue: { timeoutMs: queueTimeout, targetMs: queueTarget } };
}
