/** All that a running proxy tells of itself: it asks the data threads, and adds up. */
import type { Clock } from '../core/clock.js';
import { AttemptBook } from './attempts.js';
import { Counters } from './counters.js';
import { LatencyTotals, withoutRecent } from './latency.js';
import type { Log } from './logger.js';
import { Metrics } from './metrics.js';
import { readProcessUsage } from './process-usage.js';
import type { Ending } from './record.js';
import type { ConnectionsQuery, ThreadReport } from './recorder.js';
import type { ProxyStatus } from './status.js';
import { Totals } from './totals.js';

export interface TelemetryOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Of the program: `0.1.0`. */
  readonly version: string;
  /** Connections open now. */
  open(): number;
  /** One report of each data thread; of one that does not answer in time, its last. */
  collect(query?: ConnectionsQuery): Promise<readonly ThreadReport[]>;
  status(): ProxyStatus;
}

/** Connections whose thread died were reset with it, and had no time to say so. */
const LOST: Ending = 'internal-error';

export class Telemetry {
  readonly version: string;
  /** ms since 1970. */
  readonly startedAt: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly open: () => number;
  readonly status: () => ProxyStatus;
  readonly #collect: (query?: ConnectionsQuery) => Promise<readonly ThreadReport[]>;
  readonly #metrics = new Metrics();
  /** By worker: the last that was known of threads that have ended. What was counted stays counted. */
  readonly #retired = new Map<number | undefined, ThreadReport>();

  constructor(options: TelemetryOptions) {
    this.version = options.version;
    this.clock = options.clock;
    this.startedAt = options.clock.wall();
    this.log = options.log;
    this.open = () => options.open();
    this.status = () => options.status();
    this.#collect = (query) => options.collect(query);
  }

  /** A thread has ended: its connections are gone, its counts stay. */
  retire(report: ThreadReport): void {
    const before = this.#retired.get(report.worker);
    const last = finished(report);
    this.#retired.set(report.worker, before === undefined ? last : joined(before, last));
  }

  /** What is known at this moment, with the connections that `query` asks for. */
  async totals(query?: ConnectionsQuery): Promise<Totals> {
    const totals = new Totals();
    for (const report of await this.#collect(query)) totals.add(report);
    for (const report of this.#retired.values()) totals.add(report);
    totals.follow(this.status());
    return totals;
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
    });
    return { contentType: this.#metrics.contentType, text };
  }
}

function finished(report: ThreadReport): ThreadReport {
  const listeners = report.counters.listeners.map((listener) => {
    if (listener.active === 0) return listener;
    const lost = { service: '', closed: [[LOST, listener.active]] as const, received: 0, sent: 0 };
    return { ...listener, active: 0, routes: [...listener.routes, lost] };
  });
  const counters = { ...report.counters, listeners };
  return { ...report, counters, latency: withoutRecent(report.latency), active: [], matching: 0, connections: [] };
}

/** Two threads that had one place after each other. */
function joined(one: ThreadReport, other: ThreadReport): ThreadReport {
  const counters = new Counters();
  const attempts = new AttemptBook();
  const latency = new LatencyTotals();
  for (const report of [one, other]) {
    counters.add(report.counters);
    attempts.add(report.attempts);
    latency.add(report.latency);
  }
  return { ...one, counters: counters.snapshot(), attempts: attempts.snapshot(), latency: latency.snapshot() };
}
