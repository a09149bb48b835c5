/** The tables of a service that balances by hashing: one for each priority and zone, since connections go to these by turns. */
import { type HashTable, HashWalk } from './hash-table.js';
import { type HashedIds, hashIds } from './id-hashes.js';
import { weightOf } from './instance.js';
import { buildMaglev, type MaglevData, MaglevTable } from './maglev.js';
import type { Endpoint } from './picker.js';
import { buildRing, type RingData, RingTable } from './ring-hash.js';

export type Hashing = 'ring-hash' | 'maglev';

/** Plain enough to be sent to a thread; the memory is shared. */
export type TableData =
  | ({ readonly kind: 'ring-hash'; readonly partition: string } & RingData)
  | ({ readonly kind: 'maglev'; readonly partition: string } & MaglevData);

/** What endpoints have in common that share a table. @param zone the own one */
export function partitionOf({ priority = 0, zone: its }: Endpoint, zone: string | undefined): string {
  if (zone === undefined) return `${priority}`;
  return `${priority} ${its === zone ? 'own' : 'other'} zone`;
}

/** Whether they share a table; without a name being made for each. */
export function sharePartition(one: Endpoint, other: Endpoint, zone: string | undefined): boolean {
  const { priority = 0 } = one;
  if (priority !== (other.priority ?? 0)) return false;
  return zone === undefined || (one.zone === zone) === (other.zone === zone);
}

/** In the order in which tables name them. Those of weight 0 are left out: they take no connection. */
export function partitionsOf<T>(
  all: readonly T[],
  zone: string | undefined,
  endpointOf: (one: T) => Endpoint,
): ReadonlyMap<string, readonly T[]> {
  const partitions = new Map<string, { readonly first: Endpoint; readonly members: T[] }>();
  let last: { readonly first: Endpoint; readonly members: T[] } | undefined;
  for (const one of all) {
    const endpoint = endpointOf(one);
    if (weightOf(endpoint) === 0) continue;
    // Most are as the one before.
    if (last === undefined || !sharePartition(last.first, endpoint, zone)) {
      const name = partitionOf(endpoint, zone);
      last = partitions.get(name) ?? { first: endpoint, members: [] };
      partitions.set(name, last);
    }
    last.members.push(one);
  }
  return new Map([...partitions].map(([name, { members }]) => [name, members]));
}

export interface BuiltTables {
  readonly tables: readonly TableData[];
  /** By partition: what the next tables need not hash again. */
  readonly hashed: ReadonlyMap<string, HashedIds>;
}

/**
 * Of all endpoints, also those that take no connections for now. 100 000 take some 90 ms (ring) or 70 (Maglev), and 20 ms more where
 * nothing was built of them `before`: not for a thread that carries connections.
 */
export function buildTables(
  kind: Hashing,
  endpoints: readonly Endpoint[],
  zone: string | undefined,
  before?: BuiltTables,
): BuiltTables {
  const hashed = new Map<string, HashedIds>();
  const tables: TableData[] = [];
  for (const [partition, members] of partitionsOf(endpoints, zone, (one) => one)) {
    const ids = hashIds(members, before?.hashed.get(partition));
    hashed.set(partition, ids);
    if (kind === 'maglev') tables.push({ kind, partition, ...buildMaglev(members, undefined, ids) });
    else tables.push({ kind, partition, ...buildRing(members, ids) });
  }
  return { tables, hashed };
}

/** One thread's way along a table. */
export function walkOf(data: TableData): HashWalk {
  const table: HashTable = data.kind === 'maglev' ? new MaglevTable(data) : new RingTable(data);
  return new HashWalk(table);
}
