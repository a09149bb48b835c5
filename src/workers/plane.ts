/**
 * What `app.ts` asks of the data plane, wherever that runs: in this thread (`local.ts`) or in several others (`pool.ts`).
 * All that goes in is an immutable snapshot, plain enough to be sent to another thread.
 */
import type { Endpoint } from '../balancer/picker.js';
import type { ServiceStats } from '../balancer/service-stats.js';
import type { PlacedEndpoint } from '../balancer/slots.js';
import type { ListenerConfig, ServiceConfig } from '../config/schema.js';
import type { BreakerCells } from '../l4/circuit-breaker.js';
import type { DataPlaneLimits, ListenerState } from '../l4/data-plane.js';
import type { Identity } from '../pki/identity-files.js';
import type { AccessLog } from '../telemetry/access-log.js';
import type { ConnectionList, ConnectionsQuery } from '../telemetry/connection-list.js';
import type { LogOptions } from '../telemetry/logger.js';
import type { ThreadReport } from '../telemetry/recorder.js';
import type { Names } from '../telemetry/wanted.js';

export interface ListenerSetup {
  readonly name: string;
  readonly settings: ListenerConfig;
}

export interface ServiceSetup {
  readonly name: string;
  readonly settings: ServiceConfig;
  readonly endpoints: readonly Endpoint[];
}

/** The endpoints of a service with what all data threads know of them, as main sees it. */
export interface PlacedOnMain {
  readonly endpoints: readonly PlacedEndpoint[];
  readonly stats: ServiceStats;
  readonly breaker: BreakerCells;
}

/** All that a data plane is told of a configuration. Each listener's service is among `services`. */
export interface PlaneSetup {
  readonly listeners: readonly ListenerSetup[];
  readonly services: readonly ServiceSetup[];
  readonly limits: DataPlaneLimits;
  readonly identity: Identity;
  /** The zone that this proxy is in. */
  readonly zone: string | undefined;
  readonly accessLog: AccessLog;
  readonly logLevel: LogOptions['level'];
}

export interface PreparedPlane {
  /** Puts the setup in force for connections from now on, at once; resolves when what is gone has been closed. Cannot fail. */
  commit(): Promise<void>;
  discard(): Promise<void>;
}

export interface Plane {
  /** Data threads that have died since the start. */
  readonly deaths: number;
  /** Connections open now. */
  readonly open: number;
  listeners(): readonly ListenerState[];
  /** Binds what is new; what is bound already stays as it is. Rejects, with nothing changed, where one cannot be bound. */
  prepare(setup: PlaneSetup): Promise<PreparedPlane>;
  /** Other endpoints for a service of the setup in force. */
  update(service: string, endpoints: readonly Endpoint[]): void;
  /** Of the setup in force. */
  placed(service: string): PlacedOnMain | undefined;
  /** Another identity than that of the setup in force, for handshakes from now on. */
  identify(identity: Identity): void;
  /** What each data thread has done, which forgets all that is not wanted; where one does not answer in time, as it said last. */
  report(wanted: Names): Promise<readonly ThreadReport[]>;
  /** The connections that `query` asks for, of each data thread that answers in time. */
  list(query: ConnectionsQuery): Promise<readonly ConnectionList[]>;
  /** Stops accepting, waits for what is open until `timeoutMs`, resets what is left. Resolves with how many that were. */
  drain(timeoutMs: number): Promise<number>;
  /** Resets what is open. */
  cutAll(): void;
  /** Closes what is left: listeners and threads. Idempotent. */
  close(): Promise<void>;
}
