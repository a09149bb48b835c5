/**
 * What one data thread knows of its connections: its `Observer`, which counts, measures and writes the access log. Main
 * asks each thread for a report and adds them up (`totals.ts`); nothing is shared, and nothing waits.
 */
import type { Clock } from '../core/clock.js';
import { type AccessLog, accessLine, isLogged } from './access-log.js';
import { type Active, activeOf } from './active.js';
import { AttemptBook, type AttemptsSnapshot } from './attempts.js';
import { type ConnectionList, type ConnectionsQuery, listConnections } from './connection-list.js';
import { Counters, type CountersSnapshot } from './counters.js';
import { LatencyBook, type LatencySnapshot } from './latency.js';
import type { Logger } from './logger.js';
import { threadCpuSeconds } from './process-usage.js';
import type { Attempt, ConnectionRecord, Observer, Refusal } from './record.js';
import { isServiceRefusal, RefusalLog } from './refusal-log.js';
import { type Names, Wanted } from './wanted.js';

/** Of one worker, or of all that have had its place. */
export interface WorkerReport {
  /** Its number, from 0. */
  readonly worker: number;
  readonly accepted: number;
  readonly active: number;
  /** Connections that it accepted and gave to another worker: they are among what that one accepted. */
  readonly handedOver: number;
  /** CPU time of the thread; absent where the system does not tell. */
  readonly cpuSeconds?: number;
  /** False where this is what it told some time ago: it is stalled, or dead. */
  readonly answered: boolean;
}

/** What one data thread has done so far, or several together. Plain data, which can be sent to another thread. */
export interface ThreadReport {
  readonly counters: CountersSnapshot;
  readonly attempts: AttemptsSnapshot;
  readonly latency: LatencySnapshot;
  readonly active: Active;
  /** Empty for the main thread. */
  readonly workers: readonly WorkerReport[];
}

export interface RecorderOptions {
  readonly logger: Logger;
  readonly accessLog: AccessLog;
  readonly clock: Clock;
  /** The number of the thread, unless it is the main one. */
  readonly worker?: number;
  /** How many connections it has given to other workers. */
  handedOver?(): number;
  /** Every connection that was opened and has not ended, oldest first. */
  live(): Iterable<ConnectionRecord>;
}

export class Recorder implements Observer {
  /** May be set while connections run: it counts for those that end afterwards. */
  accessLog: AccessLog;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #worker: number | undefined;
  readonly #handedOver: () => number;
  readonly #live: () => Iterable<ConnectionRecord>;
  readonly #refusals: RefusalLog;
  readonly #counters = new Counters();
  readonly #attempts = new AttemptBook();
  readonly #latency: LatencyBook;
  #accepted = 0;
  #ended = 0;

  constructor({ logger, accessLog, clock, worker, handedOver = () => 0, live }: RecorderOptions) {
    this.accessLog = accessLog;
    this.#logger = logger;
    this.#clock = clock;
    this.#worker = worker;
    this.#handedOver = handedOver;
    this.#live = live;
    this.#refusals = new RefusalLog(logger, clock);
    this.#latency = new LatencyBook(clock);
  }

  opened(record: ConnectionRecord): void {
    this.#accepted += 1;
    this.#counters.opened(record);
  }

  refused(listener: string, reason: Refusal): void {
    this.#counters.refused(listener, reason);
    this.#refusals.refused(listener, reason);
  }

  attempted(service: string, attempt: Attempt): void {
    this.#attempts.attempted(service, attempt, this.#clock);
    if (attempt.error !== undefined) return;
    this.#counters.connected(service, attempt.durationMs);
    this.#latency.record(service, 'connect', attempt.durationMs);
  }

  ended(record: ConnectionRecord): void {
    this.#ended += 1;
    this.#counters.ended(record);
    const { service, firstByteMs, durationMs, ending } = record;
    if (service !== undefined) {
      if (isServiceRefusal(ending)) this.#refusals.turnedAway(service, ending);
      if (firstByteMs !== undefined) this.#latency.record(service, 'firstByte', firstByteMs);
      if (durationMs !== undefined) this.#latency.record(service, 'duration', durationMs);
    }
    if (!isLogged(this.accessLog, record)) return;
    const { level, message, fields } = accessLine(record);
    this.#logger[level]({ connection: fields }, message);
  }

  /**
   * @param wanted all else is forgotten, unless connections of this thread are alive of it. Main says, and not each
   * thread for itself: what one of them forgot while others had it would be seen as a sum that goes backwards.
   */
  report(wanted?: Names): ThreadReport {
    const active = activeOf(this.#live());
    this.#counters.show(this.#live());
    if (wanted !== undefined) this.#forget(new Wanted([wanted], active));
    return {
      counters: this.#counters.snapshot(),
      attempts: this.#attempts.snapshot(),
      latency: this.#latency.snapshot(),
      active,
      workers: this.#worker === undefined ? [] : [this.#workerReport(this.#worker)],
    };
  }

  /** Of its open connections, those that are asked for. */
  list(query: ConnectionsQuery): ConnectionList {
    return listConnections(this.#live(), query, this.#worker);
  }

  #forget(wanted: Wanted): void {
    this.#counters.prune(wanted);
    this.#latency.prune((service) => wanted.hasService(service));
    this.#attempts.prune((service, endpoint) => wanted.hasEndpoint(service, endpoint));
  }

  #workerReport(worker: number): WorkerReport {
    const cpuSeconds = threadCpuSeconds();
    return {
      worker,
      accepted: this.#accepted,
      active: this.#accepted - this.#ended,
      handedOver: this.#handedOver(),
      answered: true,
      ...(cpuSeconds !== undefined && { cpuSeconds }),
    };
  }
}
