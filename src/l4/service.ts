/** A logical service as connections see it: its settings, and its endpoints as a picker that is replaced as a whole. */
import type { Endpoint, Picker } from '../balancer/picker.js';
import { createRotation, type Rotation, roundRobin } from '../balancer/round-robin.js';
import type { ServiceConfig } from '../config/schema.js';

export class Service {
  readonly name: string;
  readonly #rotation: Rotation;
  #settings: ServiceConfig;
  #picker: Picker;

  constructor(
    name: string,
    settings: ServiceConfig,
    endpoints: readonly Endpoint[],
    rotation: Rotation = createRotation(),
  ) {
    this.name = name;
    this.#rotation = rotation;
    this.#settings = settings;
    this.#picker = roundRobin(endpoints, this.#rotation);
  }

  /** Frozen. */
  get settings(): ServiceConfig {
    return this.#settings;
  }

  /** Of the endpoints as they are known now. Immutable: who holds it keeps it. */
  get picker(): Picker {
    return this.#picker;
  }

  /** For connections from now on. */
  replace(settings: ServiceConfig, endpoints: readonly Endpoint[]): void {
    this.#settings = settings;
    this.update(endpoints);
  }

  /** For connections from now on. Whose turn it is stays. */
  update(endpoints: readonly Endpoint[]): void {
    this.#picker = roundRobin(keepKnown(this.#picker.endpoints, endpoints), this.#rotation);
  }
}

/** An instance that was there before stays the same object: what has been learnt about it is kept by identity. */
function keepKnown(before: readonly Endpoint[], now: readonly Endpoint[]): readonly Endpoint[] {
  const known = new Map(before.map((endpoint) => [endpoint.id, endpoint]));
  return now.map((endpoint) => {
    const old = known.get(endpoint.id);
    return old && JSON.stringify(old.addresses) === JSON.stringify(endpoint.addresses) ? old : endpoint;
  });
}
