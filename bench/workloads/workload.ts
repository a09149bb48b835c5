/** What is measured: the small interface that every workload file implements, and the arithmetic they share. */
import type { LoadEngine, LoadOptions, LoadProgram } from '../load/engine.js';
import type { LoadResult } from '../load/result.js';
import { histogramOf, type LatencyCounts } from '../measure/latency.js';
import type { Usage } from '../measure/proc.js';
import type { Peer } from '../peers/peer.js';
import type { Child, Command } from '../system/children.js';

/** One column of a workload's table. */
export interface Metric {
  readonly key: string;
  /** With its unit: `CPU µs/request`. */
  readonly heading: string;
  /** Whether the table also has what it is to that of each reference (report/summary.ts). */
  readonly compared: boolean;
}

/** What one cell of the plan, a workload through a peer in one round, came to. */
export interface Sample {
  /** By metric key; one that could not be measured is left out. */
  readonly values: Readonly<Record<string, number>>;
  /** Empty where the workload measures none. */
  readonly latencies: LatencyCounts;
  /** Units that went wrong. */
  readonly errors: number;
}

/** How long and how much. */
export interface Intensity {
  readonly seconds: number;
  readonly warmupSeconds: number;
  /** Messages per second of the constant rate. */
  readonly rate: number;
  readonly idleConnections: number;
}

/** Where an upstream listens and what it may use. */
export interface UpstreamTask {
  readonly load: LoadEngine;
  readonly port: number;
  readonly directory: string;
}

/** One workload through one peer, both running: what `run` is given. */
export interface Cell {
  readonly intensity: Intensity;
  /** Port of 127.0.0.1 that the client is to use: the proxy's, or the server's own where there is none. */
  readonly port: number;
  /** Port of 127.0.0.1 of the proxy's admin, where the peer has one. */
  readonly adminPort: number;
  /** Runs a load program to its end. */
  load(program: LoadProgram, options: Omit<LoadOptions, 'port'>): Promise<LoadResult>;
  /** Runs any other client to its end, on the cores of the load; gives its standard output. */
  client(command: Command, seconds: number): Promise<string>;
  /** Starts a load program that goes on until it is stopped. */
  hold(program: LoadProgram, options: Omit<LoadOptions, 'port'>): Promise<Child>;
  /** What the proxy has used until now; `undefined` without a proxy or without /proc. */
  usage(): Usage | undefined;
  /** Does the work that is measured; where the run is for a profile, the proxy is watched for just as long. */
  watched<Result>(work: () => Promise<Result>): Promise<Result>;
}

export interface Workload {
  /** What `--only` takes. */
  readonly name: string;
  /** The heading of its table. */
  readonly title: string;
  readonly metrics: readonly Metric[];
  /** Left out of a quick run unless named: it tells less than the others, or again what they told. */
  readonly fullRunOnly?: true;
  /** Measures what a proxy keeps: there is nothing to measure without one. */
  readonly proxiesOnly?: true;
  /** The peers it compares, in place of those of the run. `extra` are further arguments for all that are meshproxy. */
  peers?(extra: readonly string[]): readonly Peer[];
  /** Threads that a proxy has work for, and cores to itself where there are enough; 1 unless given. */
  readonly threads?: number;
  /** Why it cannot run here and what would help; `undefined` where it can. */
  missing?(): Promise<string | undefined>;
  upstream(task: UpstreamTask): Promise<Command>;
  run(cell: Cell): Promise<Sample>;
}

export interface Measured<Result extends LoadResult = LoadResult> {
  readonly result: Result;
  readonly cpuSeconds: number | undefined;
}

/** Warms up, then drives the measured load, with the proxy's CPU time read on both sides of it. */
export async function measure<Result extends LoadResult>(
  cell: Cell,
  drive: (seconds: number) => Promise<Result>,
): Promise<Measured<Result>> {
  await drive(cell.intensity.warmupSeconds);
  const before = cell.usage();
  const result = await cell.watched(() => drive(cell.intensity.seconds));
  const after = cell.usage();
  return { result, cpuSeconds: before && after ? after.cpuSeconds - before.cpuSeconds : undefined };
}

/** The columns of a workload that counts requests (or whatever `unit` is). */
export function requestMetrics(unit: string): readonly Metric[] {
  return [
    { key: 'rate', heading: `${unit}s/s`, compared: true },
    { key: 'p50', heading: 'p50 µs', compared: false },
    { key: 'p99', heading: 'p99 µs', compared: true },
    { key: 'cpu', heading: `CPU µs/${unit}`, compared: true },
    { key: 'busy', heading: 'busy %', compared: false },
  ];
}

/** Microseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

function percentilesOf(result: LoadResult): Percentiles {
  const histogram = histogramOf(result.latencies);
  return { p50: histogram.getValueAtPercentile(50) / 1_000, p99: histogram.getValueAtPercentile(99) / 1_000 };
}

/** `percentiles` is for a client that reports those and not every latency. */
export function requestSample({ result, cpuSeconds }: Measured, percentiles = percentilesOf(result)): Sample {
  if (result.units === 0) throw new Error(`nothing was answered (${result.errors} errors)`);
  return {
    values: {
      rate: result.units / result.seconds,
      ...percentiles,
      ...(cpuSeconds === undefined
        ? {}
        : { cpu: (cpuSeconds / result.units) * 1e6, busy: (cpuSeconds / result.seconds) * 100 }),
    },
    latencies: result.latencies,
    errors: result.errors,
  };
}

/** The columns of a workload that counts bytes. */
export const bulkMetrics: readonly Metric[] = [
  { key: 'rate', heading: 'Gbit/s', compared: true },
  { key: 'cpu', heading: 'CPU s/GB', compared: true },
  { key: 'busy', heading: 'busy %', compared: false },
];

export function bulkSample({ result, cpuSeconds }: Measured): Sample {
  return {
    values: {
      rate: (result.units * 8) / result.seconds / 1e9,
      ...(cpuSeconds === undefined
        ? {}
        : { cpu: cpuSeconds / (result.units / 1e9), busy: (cpuSeconds / result.seconds) * 100 }),
    },
    latencies: [],
    errors: result.errors,
  };
}
