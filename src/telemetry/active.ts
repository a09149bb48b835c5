/** Open connections by where they go to. */
import type { ConnectionRecord } from './record.js';

/** Plain data: by service and endpoint; those that have no endpoint yet are under ''. */
export type Active = ReadonlyMap<string, ReadonlyMap<string, number>>;

export function activeOf(live: Iterable<ConnectionRecord>): Active {
  const active = new Map<string, Map<string, number>>();
  for (const { service, endpoint = '' } of live) if (service !== undefined) addTo(active, service, endpoint, 1);
  return active;
}

export function sumOfActive(all: readonly Active[]): Active {
  const sum = new Map<string, Map<string, number>>();
  for (const active of all) {
    for (const [service, endpoints] of active) {
      for (const [endpoint, count] of endpoints) addTo(sum, service, endpoint, count);
    }
  }
  return sum;
}

function addTo(active: Map<string, Map<string, number>>, service: string, endpoint: string, count: number): void {
  const endpoints = active.get(service) ?? new Map<string, number>();
  active.set(service, endpoints.set(endpoint, (endpoints.get(endpoint) ?? 0) + count));
}
