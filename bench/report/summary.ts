/** What the cells of all rounds come to: pure, from results to the figures that are shown. */
import type { LatencyCounts } from '../measure/latency.js';
import { type ByRound, median, medianRatio, spread } from '../measure/statistics.js';
import type { CellResult, Contest } from '../run.js';
import type { Metric, Workload } from '../workloads/workload.js';

/** The peers that every figure is compared with, where they took part. */
export const REFERENCES = ['floor', 'haproxy', 'haproxy-full', 'pipe', '1 worker'] as const;

export interface Figure {
  readonly median: number;
  /** Half the range as a share of the median; `undefined` of a single round. */
  readonly spread: number | undefined;
  /** By reference: the median of what it was to that peer round by round. */
  readonly ratios: Readonly<Record<string, number>>;
}

export interface Row {
  readonly peer: string;
  /** By metric key. */
  readonly figures: Readonly<Record<string, Figure>>;
  /** Units that went wrong, in all rounds. */
  readonly errors: number;
  /** Why, for each round that could not be measured. */
  readonly failures: readonly string[];
  /** Of all rounds together. */
  readonly latencies: LatencyCounts;
}

export interface Section {
  readonly workload: string;
  readonly title: string;
  readonly metrics: readonly Metric[];
  readonly rows: readonly Row[];
}

function of(results: readonly CellResult[], workload: string, peer: string): readonly CellResult[] {
  return results.filter(({ cell }) => cell.workload.name === workload && cell.peer.name === peer);
}

/** The values of a metric, by round. */
function valuesOf(results: readonly CellResult[], workload: string, peer: string, metric: string): ByRound {
  const values = new Map<number, number>();
  for (const { cell, outcome } of of(results, workload, peer)) {
    const value = outcome.kind === 'measured' ? outcome.sample.values[metric] : undefined;
    if (value !== undefined) values.set(cell.round, value);
  }
  return values;
}

/** The median of the rounds. */
export function medianOf(
  results: readonly CellResult[],
  workload: string,
  metric: string,
  peer: string,
): number | undefined {
  return median([...valuesOf(results, workload, peer, metric).values()]);
}

/** How `peer` compares with `reference`: the median of the ratios of the rounds. */
export function compare(
  results: readonly CellResult[],
  workload: string,
  metric: string,
  peer: string,
  reference: string,
): number | undefined {
  return medianRatio(valuesOf(results, workload, peer, metric), valuesOf(results, workload, reference, metric));
}

function figureOf(results: readonly CellResult[], workload: string, peer: string, metric: Metric): Figure | undefined {
  const values = [...valuesOf(results, workload, peer, metric.key).values()];
  const middle = median(values);
  if (middle === undefined) return undefined;
  const ratios: Record<string, number> = {};
  for (const reference of metric.compared ? REFERENCES : []) {
    const ratio = compare(results, workload, metric.key, peer, reference);
    if (ratio !== undefined) ratios[reference] = ratio;
  }
  return { median: middle, spread: spread(values), ratios };
}

function rowOf(results: readonly CellResult[], workload: Workload, peer: string): Row {
  const figures: Record<string, Figure> = {};
  for (const metric of workload.metrics) {
    const figure = figureOf(results, workload.name, peer, metric);
    if (figure !== undefined) figures[metric.key] = figure;
  }
  const outcomes = of(results, workload.name, peer).map(({ outcome }) => outcome);
  const samples = outcomes.flatMap((outcome) => (outcome.kind === 'measured' ? [outcome.sample] : []));
  return {
    peer,
    figures,
    errors: samples.reduce((sum, sample) => sum + sample.errors, 0),
    failures: outcomes.flatMap((outcome) => (outcome.kind === 'failed' ? [outcome.reason] : [])),
    latencies: samples.flatMap((sample) => sample.latencies),
  };
}

/** One section for each workload, one row for each peer that it was measured through, both in the order given. */
export function summarize(results: readonly CellResult[], contests: readonly Contest[]): Section[] {
  return contests.map(({ workload, peers }) => ({
    workload: workload.name,
    title: workload.title,
    metrics: workload.metrics,
    rows: peers
      .filter(({ name }) => of(results, workload.name, name).length > 0)
      .map(({ name }) => rowOf(results, workload, name)),
  }));
}
