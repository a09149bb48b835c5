/** What starts a proxy, and what can be done with one that runs. */
import type { Config } from './config/schema.js';
import type { Address } from './core/address.js';
import type { Clock } from './core/clock.js';
import type { Log } from './telemetry/logger.js';
import type { ConnectionRecord } from './telemetry/record.js';
import type { Engine } from './workers/engine.js';

export interface ProxyOptions {
  readonly log: Log;
  /** Another than the system's asks for the engine that runs in this thread, `streams`. */
  readonly clock?: Clock;
  /** What a worker runs, where it is not the one beside this module. */
  readonly workerEntry?: URL;
  /** The admin address was asked for, not merely the default: then a port in use is an error, else a warning. */
  readonly adminExplicit?: boolean;
}

export interface RunningProxy {
  /** As bound: with the real port where 0 was asked for. */
  readonly listeners: readonly { readonly name: string; readonly address: Address }[];
  readonly admin: Address | undefined;
  readonly engine: EngineState;
  /** How many connections are open now. */
  readonly open: number;
  /** Of the configuration in force; counts up from 1. */
  readonly version: number;
  /** Resolves when all is closed, by whichever way it came to that. */
  readonly closed: Promise<void>;
  /** The connections that are open now, oldest first. */
  connections(): Promise<readonly ConnectionRecord[]>;
  /** The metrics in Prometheus' text format. */
  metrics(): Promise<string>;
  /**
   * Puts another configuration in force: all of it, or, where a listener cannot be bound or a name not resolved, none
   * of it, rejecting with why. No live connection is touched. One at a time: a call waits for the one before it.
   */
  reload(config: Config): Promise<void>;
  /** A configuration was refused before it came to `reload`: it counts and is shown like one that was refused there. */
  refuse(error: unknown): void;
  /**
   * Stops accepting, lets connections finish until `timeoutMs` (default: as configured), resets what is left and closes.
   * Resolves with how many were reset. Idempotent: a second call awaits the first.
   */
  drain(timeoutMs?: number): Promise<number>;
  /** Resets all connections and closes at once; also during a drain. */
  close(): Promise<void>;
}

/** What carries the bytes. */
export interface EngineState extends Engine {
  /** Workers that have died since the start; each was replaced. */
  readonly deaths: number;
}
