/** Whether a connection is let in. Pure: what is counted is given. */
import type { Refusal } from '../telemetry/record.js';

export interface Load {
  readonly draining: boolean;
  /** Connections open now, in all and of the listener in question. */
  readonly total: number;
  readonly ofListener: number;
  /** How many connections this process has descriptors for. */
  readonly allowedByDescriptors: number;
  /** Resident bytes of this process. */
  residentBytes(): number;
}

export interface Limits {
  readonly maxConnections: number | undefined;
  readonly maxOfListener: number | undefined;
  readonly maxMemory: number;
}

/** Why a new connection is refused, or `undefined` where it is welcome. A limit of N lets N in. */
export function refusal(load: Load, limits: Limits): Refusal | undefined {
  if (load.draining) return 'draining';
  if (load.total >= load.allowedByDescriptors) return 'descriptors';
  if (limits.maxConnections !== undefined && load.total >= limits.maxConnections) return 'max-connections';
  if (limits.maxOfListener !== undefined && load.ofListener >= limits.maxOfListener) return 'listener-max-connections';
  if (load.residentBytes() >= limits.maxMemory) return 'max-memory';
  return undefined;
}
