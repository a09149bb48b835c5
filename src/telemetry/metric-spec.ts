/** What a metric is: its name and meaning, and where its value is read. */
import type { ServiceTimes } from './counters.js';
import type { ProcessUsage } from './process-usage.js';
import type { ProxyStatus } from './status.js';
import type { Totals } from './totals.js';

/** Everything that a scrape shows, at one moment. */
export interface MetricsView {
  readonly totals: Totals;
  readonly status: ProxyStatus;
  readonly usage: ProcessUsage;
  readonly logLinesDropped: number;
  /** Of the program. */
  readonly version: string;
  /** ms since 1970: of the start, and of this view. */
  readonly startedAt: number;
  readonly at: number;
}

export type Row = readonly [labels: Readonly<Record<string, string>>, value: number];

export interface MetricSpec {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly string[];
  readonly help: string;
  read(view: MetricsView): Iterable<Row>;
}

export interface HistogramSpec {
  readonly name: string;
  readonly type: 'histogram';
  readonly labels: readonly ['service'];
  readonly help: string;
  read(times: ServiceTimes): ServiceTimes[keyof ServiceTimes];
}
