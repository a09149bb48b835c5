/**
 * What one data thread knows of its connections: its `Observer`, which counts, measures and writes the access log. Main
 * asks each thread for a report and adds them up (`totals.ts`); nothing is shared, and nothing waits.
 */
import type { Clock } from '../core/clock.js';
import { type AccessLog, accessLine, isLogged } from './access-log.js';
import { AttemptBook, type AttemptsSnapshot, OTHER } from './attempts.js';
import { Counters, type CountersSnapshot } from './counters.js';
import { LatencyBook, type LatencySnapshot } from './latency.js';
import type { Logger } from './logger.js';
import type { Attempt, ConnectionRecord, Observer, Refusal } from './record.js';
import { RefusalLog } from './refusal-log.js';
import type { Configured } from './status.js';

/** Which connections are asked for: the newest that match. */
export interface ConnectionsQuery {
  readonly limit: number;
  readonly service?: string;
  readonly listener?: string;
}

/** What one data thread has done so far. Plain data, which can be sent to another thread. */
export interface ThreadReport {
  /** Its number, where there are several. */
  readonly worker?: number;
  readonly counters: CountersSnapshot;
  readonly attempts: AttemptsSnapshot;
  readonly latency: LatencySnapshot;
  /** Open connections to each endpoint. */
  readonly active: readonly { readonly service: string; readonly endpoint: string; readonly count: number }[];
  /** How many open connections matched, and the newest of them, newest first. */
  readonly matching: number;
  readonly connections: readonly ConnectionRecord[];
}

export interface RecorderOptions {
  readonly logger: Logger;
  readonly accessLog: AccessLog;
  readonly clock: Clock;
  /** Every connection that was opened and has not ended, oldest first. */
  live(): Iterable<ConnectionRecord>;
}

export class Recorder implements Observer {
  /** May be set while connections run: it counts for those that end afterwards. */
  accessLog: AccessLog;
  readonly #logger: Logger;
  readonly #live: () => Iterable<ConnectionRecord>;
  readonly #refusals: RefusalLog;
  readonly #counters = new Counters();
  readonly #attempts: AttemptBook;
  readonly #latency: LatencyBook;

  constructor({ logger, accessLog, clock, live }: RecorderOptions) {
    this.accessLog = accessLog;
    this.#logger = logger;
    this.#live = live;
    this.#refusals = new RefusalLog(logger, clock);
    this.#attempts = new AttemptBook(clock);
    this.#latency = new LatencyBook(clock);
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
    if (!isLogged(this.accessLog, record)) return;
    const { level, message, fields } = accessLine(record);
    this.#logger[level]({ connection: fields }, message);
  }

  /** Forgets what is neither configured nor alive, and tells the rest. Without a query no connection is listed. */
  report(configured: Configured, query?: ConnectionsQuery): ThreadReport {
    const active = activeOf(this.#live());
    this.#forgetWhatIsGone(configured, active);
    this.#counters.show(this.#live());
    return {
      counters: this.#counters.snapshot(),
      attempts: this.#attempts.snapshot(),
      latency: this.#latency.snapshot(),
      active: [...active].flatMap(([service, endpoints]) =>
        [...endpoints].map(([endpoint, count]) => ({ service, endpoint, count })),
      ),
      ...newest(this.#live(), query),
    };
  }

  #forgetWhatIsGone({ listeners, services }: Configured, active: Active): void {
    const wanted = new Map(services.map(({ name, endpoints }) => [name, new Set(endpoints.map(({ id }) => id))]));
    const isWanted = (service: string): boolean => wanted.has(service) || active.has(service);
    this.#counters.follow({ listeners, services }, isWanted);
    this.#latency.prune(isWanted);
    this.#attempts.prune(
      (service, endpoint) =>
        isWanted(service) &&
        (endpoint === OTHER || wanted.get(service)?.has(endpoint) || active.get(service)?.has(endpoint) || false),
    );
  }
}

/** Open connections by service and endpoint. One that has no endpoint yet counts for none of its service's. */
type Active = ReadonlyMap<string, ReadonlyMap<string, number>>;

function activeOf(live: Iterable<ConnectionRecord>): Active {
  const active = new Map<string, Map<string, number>>();
  for (const { service, endpoint } of live) {
    if (service === undefined) continue;
    const endpoints = active.get(service) ?? new Map<string, number>();
    active.set(service, endpoints);
    if (endpoint !== undefined) endpoints.set(endpoint, (endpoints.get(endpoint) ?? 0) + 1);
  }
  return active;
}

/** Every open connection is looked at; only those listed are held. They come oldest first. */
function newest(live: Iterable<ConnectionRecord>, query: ConnectionsQuery | undefined) {
  if (query === undefined) return { matching: 0, connections: [] };
  const last: ConnectionRecord[] = [];
  let matching = 0;
  for (const record of live) {
    if (query.service !== undefined && record.service !== query.service) continue;
    if (query.listener !== undefined && record.listener !== query.listener) continue;
    last[matching % query.limit] = record;
    matching += 1;
  }
  const split = matching % query.limit;
  const oldestFirst = matching > query.limit ? [...last.slice(split), ...last.slice(0, split)] : last;
  return { matching, connections: oldestFirst.reverse().map(copyOf) };
}

/** Plain data: what a live connection reads off its sockets, as it is now. */
function copyOf(record: ConnectionRecord): ConnectionRecord {
  const { id, listener, openedAt, startedAt, peer, phase, client, bytesReceived, bytesSent } = record;
  const { destination, service, endpoint, upstream, identifyMs, connectMs, firstByteMs } = record;
  return {
    ...{ id, listener, openedAt, startedAt, peer, phase, client, bytesReceived, bytesSent },
    attempts: [...record.attempts],
    ...(destination !== undefined && { destination }),
    ...(service !== undefined && { service }),
    ...(endpoint !== undefined && { endpoint }),
    ...(upstream !== undefined && { upstream }),
    ...(identifyMs !== undefined && { identifyMs }),
    ...(connectMs !== undefined && { connectMs }),
    ...(firstByteMs !== undefined && { firstByteMs }),
  };
}
