/** The data plane that the engine asks for, and what the log says of its threads. */
import type { Config } from '../config/schema.js';
import type { Clock } from '../core/clock.js';
import { formatDuration } from '../core/units.js';
import type { DataPlaneLimits } from '../l4/data-plane.js';
import { LiveConnections } from '../l4/live.js';
import { abortOwned, bindShared } from '../l4/native/bind.js';
import { defaultMaxMemory } from '../l4/resources.js';
import { NOBODY } from '../pki/identity-files.js';
import type { Log } from '../telemetry/logger.js';
import { PauseLog } from '../telemetry/pause-log.js';
import { Recorder, type ThreadReport } from '../telemetry/recorder.js';
import type { Engine } from './engine.js';
import { LocalPlane } from './local.js';
import type { Plane } from './plane.js';
import { type WorkerDeath, WorkerPool } from './pool.js';

export interface PlaneOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** What a worker runs, where it is not the one beside this folder. */
  readonly workerEntry?: URL;
  /** The last that is known of what a worker has done, which has ended. */
  onLast(report: ThreadReport): void;
}

export function createPlane(engine: Engine, config: Config, options: PlaneOptions): Plane {
  const { log, clock, workerEntry, onLast } = options;
  const pauses = new PauseLog(log.logger, clock);
  const onPause = (paused: boolean, connections: number): void => pauses.changed(paused, connections);
  if (engine.name === 'streams') {
    const onBug = (err: unknown): void =>
      log.logger.error({ err }, 'a bug in meshproxy ended a connection; please report it');
    const live = new LiveConnections(clock);
    const { accessLog } = config;
    return new LocalPlane({
      clock,
      live,
      recorder: new Recorder({ logger: log.logger, accessLog, clock, live: () => live }),
      limits: limitsOf(config),
      onPause,
      onBug,
    });
  }
  return new WorkerPool({
    clock,
    workers: engine.workers,
    initial: {
      limits: limitsOf(config),
      identity: NOBODY,
      zone: config.zone,
      accessLog: config.accessLog,
      logLevel: config.log.level,
    },
    entry: workerEntry,
    bind: bindShared,
    abandon: (owned) => abortOwned(owned, 1),
    onPause,
    onLines: (lines, dropped) => log.forward(lines, dropped),
    onLast,
    onDeath: (death) => tellDeath(log.logger, death),
  });
}

export function limitsOf({ limits }: Config): DataPlaneLimits {
  return {
    maxConnections: limits.maxConnections,
    maxMemory: limits.maxMemory ?? defaultMaxMemory(),
    shedTarget: limits.shedTarget,
    sockets: { keepaliveMs: limits.keepalive, bufferSize: limits.bufferSize },
  };
}

function tellDeath(logger: Log['logger'], { worker, reason, connections, restartMs }: WorkerDeath): void {
  const when = restartMs === 0 ? 'at once' : restartMs !== undefined && `in ${formatDuration(restartMs)}`;
  logger.error(
    { worker, connections },
    `worker ${worker} died: ${reason}; ${connections} of its connections were reset${when ? `, and it is replaced ${when}` : ''}`,
  );
}
