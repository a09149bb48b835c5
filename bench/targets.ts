/** What meshproxy is to reach, and whether it did in this run. */
import { compare } from './report/summary.js';
import type { CellResult } from './run.js';

export interface Target {
  /** In words, with its number. */
  readonly title: string;
  readonly workload: string;
  readonly metric: string;
  readonly against: string;
  /** The ratio of meshproxy's figure to that of `against`. */
  readonly bound: { readonly atMost: number } | { readonly atLeast: number };
}

export interface Verdict {
  readonly target: Target;
  /** `undefined` where one of the two was not measured. */
  readonly ratio: number | undefined;
  readonly outcome: 'met' | 'missed' | 'not measured';
}

/** The `streams` engine is to cost no more than a tenth above what Node itself does: all else that meshproxy does for a connection is in that tenth. */
const OF_PIPE = 1.1;

function costOfPipe(workload: string, unit: string): Target {
  return {
    title: `${workload}: CPU per ${unit} at most ${OF_PIPE} × pipe`,
    workload,
    metric: 'cpu',
    against: 'pipe',
    bound: { atMost: OF_PIPE },
  };
}

export const targets: readonly Target[] = [
  costOfPipe('rr1', 'request'),
  costOfPipe('rr32', 'request'),
  costOfPipe('rr256', 'request'),
  costOfPipe('bulk', 'GB'),
];

export function judge(target: Target, ratio: number | undefined): Verdict {
  if (ratio === undefined) return { target, ratio, outcome: 'not measured' };
  const met = 'atMost' in target.bound ? ratio <= target.bound.atMost : ratio >= target.bound.atLeast;
  return { target, ratio, outcome: met ? 'met' : 'missed' };
}

/** Judges the targets of those workloads that were run. */
export function judgeAll(results: readonly CellResult[]): Verdict[] {
  const run = new Set(results.map(({ cell }) => cell.workload.name));
  return targets
    .filter(({ workload }) => run.has(workload))
    .map((target) => judge(target, compare(results, target.workload, target.metric, 'meshproxy', target.against)));
}
