/** All that a running proxy tells of itself: it asks the data threads, and adds up. */
import type { Clock } from '../core/clock.js';
import { type ConnectionList, type ConnectionsQuery, mergeLists } from './connection-list.js';
import type { Log } from './logger.js';
import { Metrics } from './metrics.js';
import { readProcessUsage } from './process-usage.js';
import type { ThreadReport } from './recorder.js';
import type { ProxyStatus } from './status.js';
import { configuredNames, lastReport, Totals } from './totals.js';
import { type Names, Wanted } from './wanted.js';

export interface TelemetryOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Of the program: `0.1.0`. */
  readonly version: string;
  /** Connections open now. */
  open(): number;
  /** One report of each data thread, which is to forget all that is not wanted; of one that does not answer in time, its last. */
  report(wanted: Names): Promise<readonly ThreadReport[]>;
  /** Connections of each data thread that answers in time. */
  list(query: ConnectionsQuery): Promise<readonly ConnectionList[]>;
  status(): ProxyStatus;
}

export class Telemetry {
  readonly version: string;
  /** ms since 1970. */
  readonly startedAt: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly open: () => number;
  readonly status: () => ProxyStatus;
  readonly #options: TelemetryOptions;
  readonly #metrics = new Metrics();
  /** What threads that have ended had counted stays counted. */
  #retired: ThreadReport = new Totals([]).report();
  /** What was told of the last time: no thread forgets any of it before the next, or a sum would be seen to go backwards. */
  #told: Names = { listeners: [], services: [] };
  /** For each question that is under way: the workers that have ended meanwhile. */
  readonly #endedMeanwhile = new Set<Set<number>>();

  constructor(options: TelemetryOptions) {
    this.version = options.version;
    this.clock = options.clock;
    this.startedAt = options.clock.wall();
    this.log = options.log;
    this.open = () => options.open();
    this.status = () => options.status();
    this.#options = options;
  }

  /** A thread has ended, having last told this: its connections are gone, its counts stay. */
  retire(report: ThreadReport): void {
    const totals = new Totals([this.#retired, lastReport(report)]);
    totals.prune(new Wanted([this.#wanted()], report.active));
    this.#retired = totals.report();
    for (const ended of this.#endedMeanwhile) for (const { worker } of report.workers) ended.add(worker);
  }

  /** What is known at this moment. */
  async totals(): Promise<Totals> {
    const reports = await this.#ask();
    const totals = new Totals([...reports, this.#retired]);
    totals.follow(this.status());
    this.#told = totals.names();
    return totals;
  }

  /** The newest open connections that match, newest first. */
  async connections(query: ConnectionsQuery): Promise<ConnectionList> {
    return mergeLists(await this.#options.list(query), query.limit);
  }

  /** For Prometheus, in its text format. */
  async metrics(): Promise<{ readonly contentType: string; readonly text: string }> {
    const [usage, totals] = await Promise.all([readProcessUsage(), this.totals()]);
    const text = await this.#metrics.text({
      totals,
      status: this.status(),
      usage,
      logLinesDropped: this.log.dropped(),
      version: this.version,
      startedAt: this.startedAt,
      at: this.clock.wall(),
    });
    return { contentType: this.#metrics.contentType, text };
  }

  /** Without those who have ended since they answered: what they told is among what is retired. */
  async #ask(): Promise<readonly ThreadReport[]> {
    const ended = new Set<number>();
    this.#endedMeanwhile.add(ended);
    try {
      const reports = await this.#options.report(this.#wanted());
      return reports.filter(({ workers }) => !workers.some(({ worker }) => ended.has(worker)));
    } finally {
      this.#endedMeanwhile.delete(ended);
    }
  }

  #wanted(): Names {
    const configured = configuredNames(this.status());
    return {
      listeners: [...configured.listeners, ...this.#told.listeners],
      services: [...configured.services, ...this.#told.services],
    };
  }
}
