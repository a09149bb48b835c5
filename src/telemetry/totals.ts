/** What all data threads know together, at one moment: the sum of their reports. What is shown to anybody is read from this. */
import { AttemptBook, type EndpointAttempts } from './attempts.js';
import { Counters, type Traffic } from './counters.js';
import { type CurvePoint, LatencyTotals, type ServiceLatency, type Step } from './latency.js';
import type { ConnectionRecord } from './record.js';
import type { ThreadReport } from './recorder.js';
import type { Configured } from './status.js';

export interface WorkerTraffic {
  readonly opened: number;
  readonly active: number;
}

export class Totals {
  readonly counters = new Counters();
  readonly attempts = new AttemptBook();
  /** By number; empty where the data plane is in the main thread. */
  readonly workers = new Map<number, WorkerTraffic>();
  /** How many open connections matched what was asked. */
  matching = 0;
  readonly #latency = new LatencyTotals();
  readonly #active = new Map<string, Map<string, number>>();
  #connections: ConnectionRecord[] = [];

  add(report: ThreadReport): void {
    const { worker, counters, attempts, latency, active, matching, connections } = report;
    this.counters.add(counters);
    this.attempts.add(attempts);
    this.#latency.add(latency);
    for (const { service, endpoint, count } of active) {
      const endpoints = this.#active.get(service) ?? new Map<string, number>();
      this.#active.set(service, endpoints);
      endpoints.set(endpoint, (endpoints.get(endpoint) ?? 0) + count);
    }
    this.matching += matching;
    this.#connections.push(...connections.map((record) => (worker === undefined ? record : { ...record, worker })));
    if (worker !== undefined) this.#addWorker(worker, report);
  }

  /** Of those listed, newest first. */
  connections(): readonly ConnectionRecord[] {
    return this.#connections.toSorted((one, other) => other.startedAt - one.startedAt);
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

  /** Starts what is configured at zero, and forgets what is neither configured nor alive: threads that have ended told of it. */
  follow(configured: Configured): void {
    const names = new Set(configured.services.map(({ name }) => name));
    const isWanted = (service: string): boolean => names.has(service) || this.#active.has(service);
    this.counters.follow(configured, isWanted);
    this.#latency.prune(isWanted);
    this.attempts.prune((service) => isWanted(service));
  }

  #addWorker(worker: number, { counters }: ThreadReport): void {
    const before = this.workers.get(worker) ?? { opened: 0, active: 0 };
    let { opened, active } = before;
    for (const listener of counters.listeners) {
      opened += listener.opened;
      active += listener.active;
    }
    this.workers.set(worker, { opened, active });
  }
}
