/** What each JSON path answers, made from what the proxy tells of itself. */
import type { ConnectionRecord } from '../telemetry/record.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import { toMicroseconds } from '../telemetry/words.js';
import type { AdminSource } from './source.js';
import type { ConnectionsView, ConnectionView, LatencyView, ServicesView, StatusView } from './views.js';

export interface ConnectionsQuery {
  readonly limit: number;
  readonly service?: string;
  readonly listener?: string;
}

/** The newest that match, newest first. Every open connection is looked at; only those shown are held. */
export function connectionsAnswer(telemetry: Telemetry, query: ConnectionsQuery): ConnectionsView {
  const newest: ConnectionRecord[] = [];
  let total = 0;
  for (const record of telemetry.live()) {
    if (query.service !== undefined && record.service !== query.service) continue;
    if (query.listener !== undefined && record.listener !== query.listener) continue;
    // They come oldest first: a ring of the last `limit`.
    newest[total % query.limit] = record;
    total += 1;
  }
  const split = total % query.limit;
  const oldestFirst = total > query.limit ? [...newest.slice(split), ...newest.slice(0, split)] : newest;
  const now = telemetry.clock.now();
  return { total, connections: oldestFirst.reverse().map((record) => viewOf(record, now)) };
}

function viewOf(record: ConnectionRecord, now: number): ConnectionView {
  return {
    id: record.id,
    phase: record.phase,
    listener: record.listener,
    client: record.client,
    peer: record.peer,
    destination: record.destination,
    service: record.service,
    endpoint: record.endpoint,
    upstream: record.upstream,
    why: record.attempts.findLast(({ error }) => error === undefined)?.why,
    openedAt: isoTime(record.openedAt),
    ageMs: toMicroseconds(now - record.startedAt),
    identifyMs: record.identifyMs && toMicroseconds(record.identifyMs),
    connectMs: record.connectMs && toMicroseconds(record.connectMs),
    firstByteMs: record.firstByteMs && toMicroseconds(record.firstByteMs),
    bytesReceived: record.bytesReceived,
    bytesSent: record.bytesSent,
    attempts: [...record.attempts],
  };
}

/** Of all services, or of one and then with its curves. */
export function latencyAnswer(telemetry: Telemetry, service: string | undefined): LatencyView {
  const all = telemetry.latency();
  if (service === undefined) return { services: all.map((entry) => ({ ...entry })) };
  const services = all
    .filter((entry) => entry.service === service)
    .map(({ steps }) => {
      const { connect, firstByte, duration } = steps;
      return {
        service,
        steps: {
          connect: connect && { ...connect, curve: [...telemetry.latencyCurve(service, 'connect')] },
          firstByte: firstByte && { ...firstByte, curve: [...telemetry.latencyCurve(service, 'firstByte')] },
          duration: duration && { ...duration, curve: [...telemetry.latencyCurve(service, 'duration')] },
        },
      };
    });
  return { services };
}

export function servicesAnswer(telemetry: Telemetry): ServicesView {
  const active = new Map<string, number>();
  const key = (service: string, endpoint: string): string => JSON.stringify([service, endpoint]);
  for (const { service, endpoint } of telemetry.live()) {
    if (service === undefined || endpoint === undefined) continue;
    active.set(key(service, endpoint), (active.get(key(service, endpoint)) ?? 0) + 1);
  }
  const services = telemetry.status().services.map(({ name, endpoints, upstreams }) => ({
    name,
    upstreams: upstreams.map((upstream) => ({ ...upstream })),
    endpoints: endpoints.map(({ id, addresses }) => {
      const { connected = 0, failed = 0, lastFailure } = telemetry.attempts(name, id) ?? {};
      return {
        id,
        addresses: [...addresses],
        active: active.get(key(name, id)) ?? 0,
        connected,
        failed,
        lastFailure: lastFailure && { ...lastFailure, at: isoTime(lastFailure.at) },
      };
    }),
  }));
  return { services };
}

export function statusAnswer({ telemetry, readiness }: AdminSource): StatusView {
  const { config, listeners } = telemetry.status();
  const traffic = telemetry.traffic();
  const ready = readiness();
  const cpu = process.cpuUsage();
  return {
    version: telemetry.version,
    node: process.versions.node,
    pid: process.pid,
    startedAt: isoTime(telemetry.startedAt),
    state: ready.kind,
    reason: ready.kind === 'ready' ? undefined : ready.reason,
    config: {
      version: config.version,
      appliedAt: isoTime(config.appliedAt),
      refused: config.refused && { at: isoTime(config.refused.at), error: config.refused.error },
    },
    memoryBytes: process.memoryUsage.rss(),
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    listeners: listeners.map((listener) => {
      const { active = 0, opened = 0, refused = 0, received = 0, sent = 0 } = traffic.get(listener.name) ?? {};
      return { ...listener, active, opened, refused, bytesReceived: received, bytesSent: sent };
    }),
  };
}

/** The configuration in force, as it would be written, and whatever looks like a secret hidden. */
export function configAnswer({ telemetry, config }: AdminSource): unknown {
  const { version, appliedAt } = telemetry.status().config;
  const shown = JSON.parse(JSON.stringify(config(), (key, value) => shownValue(key, value))) as unknown;
  return { version, appliedAt: isoTime(appliedAt), config: shown };
}

/** Keys whose values are nobody's business, should a configuration ever hold one. Names of files are fine. */
const SECRET = /(secret|password|passphrase|token|credential|privatekey|apikey)s?$/i;

function shownValue(key: string, value: unknown): unknown {
  if (SECRET.test(key) && isPlainValue(value)) return '(hidden)';
  return value;
}

/** Not a whole section: a service may be called auth-token. */
function isPlainValue(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || Array.isArray(value);
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
