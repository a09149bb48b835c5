/** All that is told of connections: the one `Observer` of a running proxy. It writes the access log, counts and measures. */
import type { Clock } from '../core/clock.js';
import { type AccessLog, accessLine, isLogged } from './access-log.js';
import { AttemptBook, type EndpointAttempts, OTHER } from './attempts.js';
import { Counters, type Traffic } from './counters.js';
import { type CurvePoint, LatencyBook, type ServiceLatency, type Step } from './latency.js';
import type { Log } from './logger.js';
import { Metrics } from './metrics.js';
import { readProcessUsage } from './process-usage.js';
import type { Attempt, ConnectionRecord, Observer, Refusal } from './record.js';
import { RefusalLog } from './refusal-log.js';
import type { ProxyStatus } from './status.js';

export interface TelemetryOptions {
  readonly log: Log;
  readonly accessLog: AccessLog;
  readonly clock: Clock;
  /** Of the program: `0.1.0`. */
  readonly version: string;
  /** Every connection that was opened and has not ended, oldest first. */
  live(): Iterable<ConnectionRecord>;
  status(): ProxyStatus;
}

export class Telemetry implements Observer {
  readonly version: string;
  /** ms since 1970. */
  readonly startedAt: number;
  readonly live: () => Iterable<ConnectionRecord>;
  readonly status: () => ProxyStatus;
  /** May be set while connections run: it counts for those that end afterwards. */
  accessLog: AccessLog;
  readonly clock: Clock;
  readonly log: Log;
  readonly #refusals: RefusalLog;
  readonly #counters = new Counters();
  readonly #attempts: AttemptBook;
  readonly #latency: LatencyBook;
  readonly #metrics = new Metrics();

  constructor(options: TelemetryOptions) {
    this.version = options.version;
    this.clock = options.clock;
    this.startedAt = options.clock.wall();
    this.live = () => options.live();
    this.status = () => options.status();
    this.accessLog = options.accessLog;
    this.log = options.log;
    this.#refusals = new RefusalLog(options.log.logger, options.clock);
    this.#attempts = new AttemptBook(options.clock);
    this.#latency = new LatencyBook(options.clock);
  }

  opened(record: ConnectionRecord): void {
    this.#counters.opened(record);
  }

  refused(listener: string, reason: Refusal): void {
    this.#counters.refused(listener, reason);
    this.#refusals.refused(listener, reason);
  }

  attempted(service: string, attempt: Attempt): void {
    this.#attempts.attempted(service, attempt);
    if (attempt.error !== undefined) return;
    this.#counters.connected(service, attempt.durationMs);
    this.#latency.record(service, 'connect', attempt.durationMs);
  }

  ended(record: ConnectionRecord): void {
    this.#counters.ended(record);
    const { service, firstByteMs, durationMs } = record;
    if (service !== undefined) {
      if (firstByteMs !== undefined) this.#latency.record(service, 'firstByte', firstByteMs);
      if (durationMs !== undefined) this.#latency.record(service, 'duration', durationMs);
    }
    this.#writeAccessLine(record);
  }

  /** For Prometheus, in its text format. */
  async metrics(): Promise<{ readonly contentType: string; readonly text: string }> {
    const usage = await readProcessUsage();
    const status = this.#forgetWhatIsGone();
    this.#counters.show(this.live());
    const text = await this.#metrics.text({
      counters: this.#counters,
      attempts: this.#attempts,
      status,
      usage,
      logLinesDropped: this.log.dropped(),
      version: this.version,
      startedAt: this.startedAt,
    });
    return { contentType: this.#metrics.contentType, text };
  }

  latency(): readonly ServiceLatency[] {
    this.#forgetWhatIsGone();
    return this.#latency.summaries();
  }

  latencyCurve(service: string, step: Step): readonly CurvePoint[] {
    return this.#latency.curve(service, step);
  }

  /** What became of attempts to reach an endpoint; `undefined` where there were none. */
  attempts(service: string, endpoint: string): EndpointAttempts | undefined {
    return this.#attempts.of(service, endpoint);
  }

  /** What listeners carried since the start, by name. */
  traffic(): ReadonlyMap<string, Traffic> {
    this.#forgetWhatIsGone();
    this.#counters.show(this.live());
    return new Map([...this.#counters.listeners].map(([name, listener]) => [name, listener.traffic()]));
  }

  #writeAccessLine(record: ConnectionRecord): void {
    if (!isLogged(this.accessLog, record)) return;
    const { level, message, fields } = accessLine(record);
    this.log.logger[level]({ connection: fields }, message);
  }

  /** A reload took it away, and no connection that lives is left of it. Done when somebody looks: nothing else needs it. */
  #forgetWhatIsGone(): ProxyStatus {
    const status = this.status();
    const wanted = new Map<string, Set<string>>();
    for (const { name, endpoints } of status.services) wanted.set(name, new Set(endpoints.map(({ id }) => id)));
    for (const { service, endpoint } of this.live()) {
      if (service === undefined) continue;
      const endpoints = wanted.get(service) ?? new Set();
      if (endpoint !== undefined) endpoints.add(endpoint);
      wanted.set(service, endpoints);
    }
    const isWanted = (service: string): boolean => wanted.has(service);
    this.#counters.follow(status, isWanted);
    this.#latency.prune(isWanted);
    this.#attempts.prune((service, endpoint) => {
      const endpoints = wanted.get(service);
      return endpoints !== undefined && (endpoint === OTHER || endpoints.has(endpoint));
    });
    return status;
  }
}
