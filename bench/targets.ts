/** What meshproxy is to reach, and whether it did in this run. */
import { compare, medianOf } from './report/summary.js';
import type { CellResult } from './run.js';

export type Bound = { readonly atMost: number } | { readonly atLeast: number } | { readonly under: number };

export interface Target {
  /** In words, with its number. */
  readonly title: string;
  readonly workload: string;
  readonly metric: string;
  /** The peer whose figure it is about. */
  readonly peer: string;
  /** The peer to whose figure it is compared; absent where the bound is on the figure itself. */
  readonly against?: string;
  readonly bound: Bound;
  /** Fewer cores than this cannot show it, whatever the program does. */
  readonly cores?: number;
}

export interface Verdict {
  readonly target: Target;
  /** The ratio, or the figure, that is bounded; `undefined` where it was not measured. */
  readonly value: number | undefined;
  readonly outcome: 'met' | 'missed' | 'not measured' | 'cores do not allow';
}

function wordsOf(bound: Bound): string {
  if ('under' in bound) return `under ${bound.under}`;
  return 'atMost' in bound ? `at most ${bound.atMost}` : `at least ${bound.atLeast}`;
}

type Kind = Omit<Target, 'title'> & { readonly what: string };

/** A target whose title is made of its parts; `what` names the metric. */
function target({ what, ...rest }: Kind): Target {
  const { workload, peer, bound, against } = rest;
  const title = `${workload}: ${what} of ${peer} ${wordsOf(bound)}${against === undefined ? '' : ` × ${against}`}`;
  return { title, ...rest };
}

/** The `streams` engine is to cost no more than a tenth above what Node itself does: all else that meshproxy does for a connection is in that tenth. */
const OF_PIPE = 1.1;

function costOfPipe(workload: string, unit: string): Target {
  const bound = { atMost: OF_PIPE };
  return target({ workload, metric: 'cpu', what: `CPU per ${unit}`, peer: 'streams', against: 'pipe', bound });
}

export const streamsTargets: readonly Target[] = [
  costOfPipe('rr1', 'request'),
  costOfPipe('rr32', 'request'),
  costOfPipe('rr256', 'request'),
  costOfPipe('bulk', 'GB'),
];

function ofNative(workload: string, metric: string, what: string, bound: Bound, against?: string): Target {
  const compared = against === undefined ? {} : { against };
  return target({ workload, metric, what, peer: 'meshproxy', bound, ...compared });
}

/** Two workers are to do this many times the work of one, in the same time. */
const SCALING = 1.7;
/** So this is what a request may cost them, when there are cores for both: twice the CPU time, 1.7 times the requests. */
const COST_OF_SCALING = Number((2 / SCALING).toFixed(2));
/** Two workers to be kept busy, a client and a server that keep them so. */
const CORES_TO_SCALE = 4;
/** Of all connections, for the worker of two that gets the most. */
const MOST_OF_TWO = 0.6;

function ofWorkers(metric: string, what: string, bound: Bound, more: Partial<Target> = {}): Target {
  return target({ workload: 'workers2', metric, what, peer: '2 workers', bound, ...more });
}

/** The `native` engine, one worker unless the workload says otherwise. */
export const nativeTargets: readonly Target[] = [
  ofNative('rr32', 'cpu', 'CPU per request', { atMost: 0.85 }, 'haproxy'),
  ofNative('rr32', 'cpu', 'CPU per request', { atMost: 1.2 }, 'floor'),
  ofNative('rr32', 'p99', 'p99 latency', { atMost: 1 }, 'haproxy'),
  ofNative('bulk', 'rate', 'throughput', { atLeast: 1.1 }, 'haproxy'),
  ofNative('bulk', 'cpu', 'CPU per GB', { atMost: 1.2 }, 'haproxy'),
  ofNative('connect', 'cpu', 'CPU per connection', { atMost: 1 }, 'haproxy'),
  ofNative('idle', 'bytes', 'resident bytes per connection', { atMost: 1 }, 'haproxy'),
  ofNative('idle', 'bytes', 'resident bytes per connection', { under: 4096 }),
  ofWorkers('rate', 'requests per second', { atLeast: SCALING }, { against: '1 worker', cores: CORES_TO_SCALE }),
  ofWorkers('cpu', 'CPU per request', { atMost: COST_OF_SCALING }, { against: '1 worker' }),
  ofWorkers('share32', 'largest share of 32 connections', { atMost: MOST_OF_TWO }),
  ofWorkers('share256', 'largest share of 256 connections', { atMost: MOST_OF_TWO }),
  ofWorkers('shareIdle', 'largest share of as many connections as idle has', { atMost: MOST_OF_TWO }),
];

/** Both ends of a hop with mutual TLS against two HAProxies that do the same; `haproxy` resumes sessions, `haproxy-full` does not. */
export const hopTargets: readonly Target[] = [
  ofNative('mtls-bulk', 'rate', 'throughput', { atLeast: 1 }, 'haproxy'),
  ofNative('mtls-rr32', 'cpu', 'CPU per request', { atMost: 1.5 }, 'haproxy'),
  ofNative('mtls-connect', 'rate', 'handshakes per second', { atLeast: 0.75 }, 'haproxy'),
  ofNative('mtls-connect', 'rate', 'handshakes per second', { atLeast: 0.75 }, 'haproxy-full'),
];

export const targets: readonly Target[] = [...nativeTargets, ...streamsTargets, ...hopTargets];

/** The workloads and the peers that it takes to judge them. */
export function fieldOf(wanted: readonly Target[]): { readonly workloads: string[]; readonly peers: string[] } {
  const peers = wanted.flatMap(({ peer, against }) => [peer, ...(against === undefined ? [] : [against])]);
  return { workloads: [...new Set(wanted.map(({ workload }) => workload))], peers: [...new Set(peers)] };
}

function isWithin(bound: Bound, value: number): boolean {
  if ('under' in bound) return value < bound.under;
  return 'atMost' in bound ? value <= bound.atMost : value >= bound.atLeast;
}

/** `value` is the ratio or the figure that is bounded, measured on so many `cores`. */
export function judge(target: Target, value: number | undefined, cores: number): Verdict {
  if (value === undefined) return { target, value, outcome: 'not measured' };
  if (isWithin(target.bound, value)) return { target, value, outcome: 'met' };
  return { target, value, outcome: cores < (target.cores ?? 1) ? 'cores do not allow' : 'missed' };
}

/** Judges the targets of those workloads that were run, and of those peers. */
export function judgeAll(results: readonly CellResult[], cores: number): Verdict[] {
  const wasRun = ({ workload, peer }: Target) =>
    results.some(({ cell }) => cell.workload.name === workload && cell.peer.name === peer);
  return targets.filter(wasRun).map((target) => {
    const { workload, metric, peer, against } = target;
    const value =
      against === undefined
        ? medianOf(results, workload, metric, peer)
        : compare(results, workload, metric, peer, against);
    return judge(target, value, cores);
  });
}
