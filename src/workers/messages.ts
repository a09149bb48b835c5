/**
 * What main and a worker say to each other. Main publishes setups and endpoints; a worker never waits for an answer.
 * Nothing is said per connection: what threads must agree on at once, they count in shared cells (`l4/tally.ts`).
 */
import type { TableData } from '../balancer/hash-tables.js';
import type { ServiceCells } from '../balancer/service-stats.js';
import type { SharedExchange } from '../l4/native/handover.js';
import type { RateCells } from '../l4/rates.js';
import type { BoundSocket } from '../l4/transport.js';
import type { Identity } from '../pki/identity-files.js';
import type { ConnectionList, ConnectionsQuery } from '../telemetry/connection-list.js';
import type { ThreadReport } from '../telemetry/recorder.js';
import type { Names } from '../telemetry/wanted.js';
import type { ThreadSetup } from './data-thread.js';
import type { EndpointsDelta } from './endpoints-delta.js';
import type { ListenerSetup } from './plane.js';

/** A number in memory that all threads see. */
export type SharedCells = Int32Array<SharedArrayBuffer>;

export interface WorkerListener extends ListenerSetup {
  /** This worker's own, of those that share the address. It is main's to close. */
  readonly socket: BoundSocket;
  /** Its connections, over all workers. */
  readonly connections: SharedCells;
  /** What is counted of it in a time, over all workers. */
  readonly rates: RateCells;
}

export interface WorkerSetup extends ThreadSetup {
  readonly listeners: readonly WorkerListener[];
}

/** What a worker is started with. */
export interface WorkerData {
  /** From 0. */
  readonly index: number;
  /** How many workers there are. */
  readonly threads: number;
  /** Connections of the process. */
  readonly connections: SharedCells;
  /** One number: how many connections the process has descriptors for. */
  readonly allowed: SharedCells;
  /** By descriptor number: not 0 while the worker has it open. */
  readonly owned: Uint8Array<SharedArrayBuffer>;
  /** By which workers hand connections to each other; absent where there is only one. */
  readonly exchange?: SharedExchange | undefined;
  readonly setup: WorkerSetup;
}

export type ToWorker =
  /** In force for connections from now on; answered by `applied` when listeners that are gone are touched no more. */
  | { readonly kind: 'setup'; readonly version: number; readonly setup: WorkerSetup }
  | {
      readonly kind: 'endpoints';
      readonly service: string;
      readonly delta: EndpointsDelta;
      readonly cells: ServiceCells;
      readonly tables: readonly TableData[];
    }
  | { readonly kind: 'identity'; readonly identity: Identity }
  /** Answered by a `report` with the same id; what is not wanted is forgotten. */
  | { readonly kind: 'ask'; readonly id: number; readonly wanted: Names }
  /** Answered by `listed` with the same id. */
  | { readonly kind: 'list'; readonly id: number; readonly query: ConnectionsQuery }
  /** So many of its lines have been taken. */
  | { readonly kind: 'taken'; readonly lines: number }
  /** Answered by `stopped`, and by `drained` when no connection is left. */
  | { readonly kind: 'drain'; readonly timeoutMs: number }
  /** Reset what is open. */
  | { readonly kind: 'cut' }
  /** Say what is left to say, and end. */
  | { readonly kind: 'close' };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'applied'; readonly version: number }
  /** Unasked without an id. */
  | { readonly kind: 'report'; readonly id?: number; readonly report: ThreadReport }
  | { readonly kind: 'listed'; readonly id: number; readonly list: ConnectionList }
  | { readonly kind: 'paused'; readonly paused: boolean }
  /** Log lines, JSON, each with its end of line; `dropped` were lost since the last time. */
  | { readonly kind: 'lines'; readonly lines: readonly string[]; readonly dropped: number }
  /** It accepts nothing any more, and touches no listening socket. */
  | { readonly kind: 'stopped' }
  | { readonly kind: 'drained'; readonly cut: number };
