/** SRV records (RFC 2782): from a name server's answer to the endpoints that they stand for. Pure. */
import type { Answer, DecodedPacket } from 'dns-packet';
import { plainName } from './dns-query.js';
import type { AddressRecord, Lookups } from './resolver.js';
import type { DiscoveredEndpoint } from './source.js';

export interface SrvRecord {
  readonly target: string;
  readonly port: number;
  /** The lowest is preferred. */
  readonly priority: number;
  /** 0 to 65535: the share among records of one priority. */
  readonly weight: number;
}

export interface SrvAnswer {
  /** Each target and port once, the preferred first. Without the one that says that there is no such service. */
  readonly records: readonly SrvRecord[];
  /** Seconds; `undefined` where there are no records. */
  readonly ttl: number | undefined;
  /** What the name server knew of the targets' addresses, by name. */
  readonly additional: ReadonlyMap<string, { readonly a: AddressRecord[]; readonly aaaa: AddressRecord[] }>;
}

export interface SrvLookups extends Lookups {
  /** DNS: the records of a name. Rejects as the other questions do; that there are none is an answer. */
  srv(name: string, signal: AbortSignal): Promise<SrvAnswer>;
}

/** More is a mistake, or somebody who means harm: each is looked up by itself. */
const MAX_TARGETS = 1000;

/** RFC 1034 section 3.6.2 forbids loops of aliases, and somebody makes one all the same. */
const MAX_ALIASES = 16;

/** What an answer says of `name`, through whichever aliases. */
export function readSrv({ answers = [], additionals = [] }: DecodedPacket, name: string): SrvAnswer {
  const owner = canonicalName(answers, name);
  const found = answers.flatMap((one) => (one.type === 'SRV' && plainName(one.name) === owner ? [one] : []));
  const byTarget = new Map<string, SrvRecord>();
  const records = found.map(({ data: { target, port, priority = 0, weight = 0 } }) => ({
    target: plainName(target),
    port,
    priority,
    weight,
  }));
  for (const record of records.sort(preferredFirst)) {
    const key = `${record.target}:${record.port}`;
    if (isTarget(record) && byTarget.size < MAX_TARGETS && !byTarget.has(key)) byTarget.set(key, record);
  }
  return {
    records: [...byTarget.values()],
    ttl: found.length === 0 ? undefined : Math.min(...found.map(({ ttl = 0 }) => ttl)),
    additional: addressesIn(additionals),
  };
}

function canonicalName(answers: readonly Answer[], name: string): string {
  let owner = plainName(name);
  for (let aliases = 0; aliases < MAX_ALIASES; aliases++) {
    const alias = answers.find((one) => one.type === 'CNAME' && plainName(one.name) === owner);
    if (alias?.type !== 'CNAME') break;
    owner = plainName(alias.data);
  }
  return owner;
}

function preferredFirst(one: SrvRecord, other: SrvRecord): number {
  return one.priority - other.priority || other.weight - one.weight;
}

/** A target of "." says that the service is decidedly not available; port 0 leads nowhere. */
function isTarget({ target, port }: SrvRecord): boolean {
  return target !== '' && port !== 0;
}

function addressesIn(additionals: readonly Answer[]): SrvAnswer['additional'] {
  const byName = new Map<string, { a: AddressRecord[]; aaaa: AddressRecord[] }>();
  for (const one of additionals) {
    if (one.type !== 'A' && one.type !== 'AAAA') continue;
    const key = plainName(one.name);
    const known = byName.get(key) ?? { a: [], aaaa: [] };
    byName.set(key, known);
    (one.type === 'A' ? known.a : known.aaaa).push({ address: one.data, ttl: one.ttl ?? 0 });
  }
  return byName;
}

/** A record, and what its target was found to be. */
export interface ResolvedRecord extends SrvRecord {
  readonly endpoints: readonly DiscoveredEndpoint[];
}

/** The most that an endpoint's weight can be. */
const MAX_WEIGHT = 1000;

/**
 * All endpoints of the records. Priorities become ranks, 0 the preferred. A target's weight is shared by its addresses;
 * one of weight 0 among others that have some gets the least share there is, as RFC 2782 has it, and where all
 * have 0, all are alike.
 */
export function endpointsOf(records: readonly ResolvedRecord[]): readonly DiscoveredEndpoint[] {
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((one, other) => one - other);
  const byId = new Map<string, DiscoveredEndpoint>();
  for (const [rank, priority] of priorities.entries()) {
    const group = records.filter((record) => record.priority === priority && record.endpoints.length > 0);
    const weightOf = weights(group);
    for (const record of group) {
      const weight = weightOf(record);
      const extra = { ...(weight !== 1 && { weight }), ...(rank !== 0 && { priority: rank }) };
      for (const endpoint of record.endpoints) {
        if (!byId.has(endpoint.id)) byId.set(endpoint.id, { ...endpoint, ...extra });
      }
    }
  }
  return [...byId.values()];
}

/** The weight of each endpoint of a record, between 1 and 1000: shares as they are where they are that already, else in proportion. */
function weights(group: readonly ResolvedRecord[]): (record: ResolvedRecord) => number {
  const allZero = group.every(({ weight }) => weight === 0);
  const share = ({ weight, endpoints }: ResolvedRecord): number => (allZero ? 1 : weight) / endpoints.length;
  const shares = group.map(share);
  const most = Math.max(...shares);
  if (shares.every((one) => one === most)) return () => 1;
  if (shares.every((one) => Number.isInteger(one) && one >= 1 && one <= MAX_WEIGHT)) return share;
  return (record) => Math.max(1, Math.round((share(record) * MAX_WEIGHT) / most));
}
