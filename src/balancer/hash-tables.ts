/** The tables of a service that balances by hashing: one for each priority and zone, since connections go to these by turns. */
import { type HashTable, HashWalk } from './hash-table.js';
import { hashIds } from './id-hashes.js';
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

/** In the order in which tables name them. Those of weight 0 are left out: they take no connection. */
export function partitionsOf<T extends Endpoint>(
  endpoints: readonly T[],
  zone: string | undefined,
): ReadonlyMap<string, readonly T[]> {
  const partitions = new Map<string, T[]>();
  for (const endpoint of endpoints) {
    if (weightOf(endpoint) === 0) continue;
    const name = partitionOf(endpoint, zone);
    const members = partitions.get(name);
    if (members === undefined) partitions.set(name, [endpoint]);
    else members.push(endpoint);
  }
  return partitions;
}

/** Of all endpoints, also those that take no connections for now. 100 000 take some 100 to 200 ms: not for a thread that carries connections. */
export function buildTables(kind: Hashing, endpoints: readonly Endpoint[], zone: string | undefined): TableData[] {
  return [...partitionsOf(endpoints, zone)].map(([partition, members]) => {
    const hashed = hashIds(members);
    return kind === 'maglev'
      ? { kind, partition, ...buildMaglev(members, undefined, hashed) }
      : { kind, partition, ...buildRing(members, hashed) };
  });
}

/** One thread's way along a table. */
export function walkOf(data: TableData): HashWalk {
  const table: HashTable = data.kind === 'maglev' ? new MaglevTable(data) : new RingTable(data);
  return new HashWalk(table);
}
