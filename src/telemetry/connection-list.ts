/** The open connections that somebody asked for: plain copies, of one data thread or of several. */
import type { ConnectionRecord } from './record.js';

/** The newest that match. */
export interface ConnectionsQuery {
  readonly limit: number;
  readonly service?: string;
  readonly listener?: string;
}

export interface ConnectionList {
  /** How many match; at most as many as the query's limit are listed. */
  readonly total: number;
  /** Newest first. */
  readonly connections: readonly ConnectionRecord[];
}

/** Every open connection is looked at; only those listed are held. They come oldest first. */
export function listConnections(
  live: Iterable<ConnectionRecord>,
  { limit, service, listener }: ConnectionsQuery,
  worker?: number,
): ConnectionList {
  const last: ConnectionRecord[] = [];
  let total = 0;
  for (const record of live) {
    if (service !== undefined && record.service !== service) continue;
    if (listener !== undefined && record.listener !== listener) continue;
    last[total % limit] = record;
    total += 1;
  }
  const split = total % limit;
  const oldestFirst = total > limit ? [...last.slice(split), ...last.slice(0, split)] : last;
  return { total, connections: oldestFirst.reverse().map((record) => copyOf(record, worker)) };
}

/** Of several threads: the newest of them all, newest first. */
export function mergeLists(lists: readonly ConnectionList[], limit: number): ConnectionList {
  const connections = lists.flatMap((list) => list.connections);
  return {
    total: lists.reduce((sum, { total }) => sum + total, 0),
    connections: connections.sort((one, other) => other.startedAt - one.startedAt).slice(0, limit),
  };
}

type Copy = { -readonly [K in keyof ConnectionRecord]: ConnectionRecord[K] };

/** Also of what a live connection reads off its sockets, as it is now. */
function copyOf(record: ConnectionRecord, worker: number | undefined): ConnectionRecord {
  const { id, listener, openedAt, startedAt, peer, phase, client, bytesReceived, bytesSent } = record;
  const attempts = [...record.attempts];
  const copy: Copy = { id, listener, openedAt, startedAt, peer, phase, client, bytesReceived, bytesSent, attempts };
  // One by one: there may be ten thousand of them, and objects spread into each other take fifty times as long.
  if (worker !== undefined) copy.worker = worker;
  if (record.clientIdentity !== undefined) copy.clientIdentity = record.clientIdentity;
  if (record.serverIdentity !== undefined) copy.serverIdentity = record.serverIdentity;
  if (record.destination !== undefined) copy.destination = record.destination;
  if (record.service !== undefined) copy.service = record.service;
  if (record.endpoint !== undefined) copy.endpoint = record.endpoint;
  if (record.upstream !== undefined) copy.upstream = record.upstream;
  if (record.identifyMs !== undefined) copy.identifyMs = record.identifyMs;
  if (record.queuedMs !== undefined) copy.queuedMs = record.queuedMs;
  if (record.connectMs !== undefined) copy.connectMs = record.connectMs;
  if (record.firstByteMs !== undefined) copy.firstByteMs = record.firstByteMs;
  if (record.heldBackMs !== undefined) copy.heldBackMs = record.heldBackMs;
  return copy;
}
