/** Which names are told of: those that are configured, and those that something is still alive of. */
import type { Active } from './active.js';
import { OTHER } from './attempts.js';

/** Plain data. */
export interface Names {
  readonly listeners: readonly string[];
  readonly services: readonly { readonly name: string; readonly endpoints: readonly string[] }[];
}

export class Wanted {
  readonly #listeners = new Set<string>();
  readonly #endpoints = new Map<string, Set<string>>();

  constructor(names: readonly Names[], active: Active) {
    for (const { listeners, services } of names) {
      for (const name of listeners) this.#listeners.add(name);
      for (const { name, endpoints } of services) this.#add(name, endpoints);
    }
    for (const [service, endpoints] of active) this.#add(service, endpoints.keys());
  }

  hasListener(name: string): boolean {
    return this.#listeners.has(name);
  }

  hasService(name: string): boolean {
    return this.#endpoints.has(name);
  }

  hasEndpoint(service: string, endpoint: string): boolean {
    const endpoints = this.#endpoints.get(service);
    return endpoints !== undefined && (endpoint === OTHER || endpoints.has(endpoint));
  }

  #add(service: string, endpoints: Iterable<string>): void {
    const known = this.#endpoints.get(service) ?? new Set();
    this.#endpoints.set(service, known);
    for (const endpoint of endpoints) known.add(endpoint);
  }
}
