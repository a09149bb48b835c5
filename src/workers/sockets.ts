/** The listening sockets of all workers: bound here, kept here, so that they and who waits behind them outlive a worker. */
import type { Address } from '../core/address.js';
import { keyOf } from '../l4/data-plane.js';
import { type RateCells, rateCellsFor } from '../l4/rates.js';
import { clearCell, sharedCells } from '../l4/tally.js';
import type { SocketOptions } from '../l4/transport.js';
import type { SharedCells, WorkerListener } from './messages.js';
import type { ListenerSetup } from './plane.js';

/** Sockets that share an address, one for each worker, or one socket that all of them share. */
export interface BoundGroup {
  /** Larger than that of every group before it, in this process. */
  readonly id: number;
  /** With the real port where 0 was asked for. */
  readonly address: Address;
  readonly fds: readonly number[];
  /** Clients that still wait behind them are turned away. Idempotent. */
  close(): void;
}

/** Rejects with a `MeshproxyError` `listen` or `resolve`, with nothing left open. */
export type Bind = (address: Address, options: SocketOptions, count: number) => Promise<BoundGroup>;

export interface Bound {
  readonly listener: ListenerSetup;
  readonly group: BoundGroup;
  readonly connections: SharedCells;
  readonly rates: RateCells;
}

/** By `keyOf`: what is bound for one set of listeners. */
export type Sockets = ReadonlyMap<string, Bound>;

/** Keeps of `before` what `listeners` still name, and binds the others. Rejects, with none of those bound, where one cannot be. */
export async function bindListeners(
  listeners: readonly ListenerSetup[],
  before: Sockets,
  options: SocketOptions,
  threads: number,
  bind: Bind,
): Promise<Sockets> {
  const sockets = new Map<string, Bound>();
  try {
    for (const listener of listeners) {
      const key = keyOf(listener);
      const known = before.get(key);
      const group = known?.group ?? (await bind(listener.settings.address, options, threads));
      const connections = known?.connections ?? sharedCells(threads);
      sockets.set(key, { listener, group, connections, rates: rateCellsFor(listener.settings, known?.rates) });
    }
    return sockets;
  } catch (error) {
    closeOthers(sockets, before);
    throw error;
  }
}

/** Closes what is in `sockets` and not in `kept`. */
export function closeOthers(sockets: Sockets, kept: Sockets): void {
  for (const [key, { group }] of sockets) if (kept.get(key)?.group !== group) group.close();
}

/** What the worker with this index is told of them. */
export function listenersOf(sockets: Sockets, worker: number): WorkerListener[] {
  return [...sockets.values()].map(({ listener, group, connections, rates }) => ({
    ...listener,
    socket: { address: group.address, fd: group.fds[worker] ?? -1, group: group.id },
    connections,
    rates,
  }));
}

/** Takes back the connections that a dead worker had counted. */
export function forgetWorker(sockets: Sockets, worker: number): void {
  for (const { connections } of sockets.values()) clearCell(connections, worker);
}

/** How many descriptors they are. */
export function countDescriptors(sockets: Sockets): number {
  return new Set([...sockets.values()].flatMap(({ group }) => group.fds)).size;
}
