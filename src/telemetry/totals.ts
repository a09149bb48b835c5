/** What all data threads know together, at one moment: the sum of their reports. What is shown to anybody is read from this. */
import { type Active, sumOfActive } from './active.js';
import { AttemptBook, type EndpointAttempts } from './attempts.js';
import { Counters, type Traffic } from './counters.js';
import { type CurvePoint, LatencyTotals, type ServiceLatency, type Step, withoutRecent } from './latency.js';
import type { Ending } from './record.js';
import type { ThreadReport, WorkerReport } from './recorder.js';
import type { ProxyStatus } from './status.js';
import { type Names, Wanted } from './wanted.js';

/** Connections whose thread died were reset with it, and had no time to say so. */
const LOST: Ending = 'internal-error';

export class Totals {
  readonly counters = new Counters();
  readonly attempts = new AttemptBook();
  /** By number; empty where the data plane is in the main thread. */
  readonly workers: ReadonlyMap<number, WorkerReport>;
  readonly #latency = new LatencyTotals();
  readonly #active: Active;

  /** In whichever order: the sum is the same. */
  constructor(reports: readonly ThreadReport[]) {
    const workers = new Map<number, WorkerReport>();
    for (const report of reports) {
      this.counters.add(report.counters);
      this.attempts.add(report.attempts);
      this.#latency.add(report.latency);
      for (const one of report.workers) workers.set(one.worker, sumOfWorkers(one, workers.get(one.worker)));
    }
    this.workers = workers;
    this.#active = sumOfActive(reports.map(({ active }) => active));
  }

  /** Open connections to an endpoint. */
  active(service: string, endpoint: string): number {
    return this.#active.get(service)?.get(endpoint) ?? 0;
  }

  latency(): readonly ServiceLatency[] {
    return this.#latency.summaries();
  }

  latencyCurve(service: string, step: Step): readonly CurvePoint[] {
    return this.#latency.curve(service, step);
  }

  /** What became of attempts to reach an endpoint; `undefined` where there were none. */
  attemptsAt(service: string, endpoint: string): EndpointAttempts | undefined {
    return this.attempts.of(service, endpoint);
  }

  /** What listeners carried since the start, by name. */
  traffic(): ReadonlyMap<string, Traffic> {
    return new Map([...this.counters.listeners].map(([name, listener]) => [name, listener.traffic()]));
  }

  /** Has what is configured begin at zero, and leaves out what is neither configured nor alive in any thread. */
  follow(status: ProxyStatus): void {
    this.counters.startAtZero(status);
    this.prune(new Wanted([configuredNames(status)], this.#active));
  }

  prune(wanted: Wanted): void {
    this.counters.prune(wanted);
    this.#latency.prune((service) => wanted.hasService(service));
    this.attempts.prune((service, endpoint) => wanted.hasEndpoint(service, endpoint));
  }

  /** All that there is something told of. */
  names(): Names {
    const endpoints = new Map([...this.#active].map(([service, active]) => [service, new Set(active.keys())]));
    for (const { service, endpoint } of this.attempts) {
      endpoints.set(service, (endpoints.get(service) ?? new Set()).add(endpoint));
    }
    for (const service of this.counters.times.keys()) if (!endpoints.has(service)) endpoints.set(service, new Set());
    return {
      listeners: [...this.counters.listeners.keys()],
      services: [...endpoints].map(([name, ids]) => ({ name, endpoints: [...ids] })),
    };
  }

  /** Plain data again, as if one thread had done it all. */
  report(): ThreadReport {
    return {
      counters: this.counters.snapshot(),
      attempts: this.attempts.snapshot(),
      latency: this.#latency.snapshot(),
      active: this.#active,
      workers: [...this.workers.values()],
    };
  }
}

/** What several threads have done together. Pure; neither the order nor how they are grouped matters. */
export function mergeReports(...reports: readonly ThreadReport[]): ThreadReport {
  return new Totals(reports).report();
}

/** What stays of a thread that has ended: all that it has counted. Its connections are lost, and nothing is recent. */
export function lastReport(report: ThreadReport): ThreadReport {
  const listeners = report.counters.listeners.map((listener) => {
    if (listener.active === 0) return listener;
    const lost = { service: '', closed: [[LOST, listener.active]] as const, received: 0, sent: 0 };
    return { ...listener, active: 0, routes: [...listener.routes, lost] };
  });
  return {
    counters: { ...report.counters, listeners },
    attempts: report.attempts,
    latency: withoutRecent(report.latency),
    active: new Map(),
    workers: report.workers.map((worker) => ({ ...worker, active: 0, answered: false })),
  };
}

/** As a thread told it some time ago, and does not tell it now. */
export function staleReport(report: ThreadReport): ThreadReport {
  return { ...report, workers: report.workers.map((worker) => ({ ...worker, answered: false })) };
}

export function configuredNames({ listeners, services }: ProxyStatus): Names {
  return {
    listeners: listeners.map(({ name }) => name),
    services: services.map(({ name, endpoints }) => ({ name, endpoints: endpoints.map(({ id }) => id) })),
  };
}

/** Of threads that have had one place after each other: what they did together, and whether the one that is there now answered. */
function sumOfWorkers(one: WorkerReport, other: WorkerReport | undefined): WorkerReport {
  if (other === undefined) return one;
  const cpuSeconds = (one.cpuSeconds ?? 0) + (other.cpuSeconds ?? 0);
  return {
    worker: one.worker,
    accepted: one.accepted + other.accepted,
    active: one.active + other.active,
    handedOver: one.handedOver + other.handedOver,
    answered: one.answered || other.answered,
    ...((one.cpuSeconds ?? other.cpuSeconds) !== undefined && { cpuSeconds }),
  };
}
