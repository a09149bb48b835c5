/** What each JSON path answers, made from what the proxy tells of itself. */
import type { ConnectionList } from '../telemetry/connection-list.js';
import type { ConnectionRecord } from '../telemetry/record.js';
import type { ProxyStatus } from '../telemetry/status.js';
import type { Totals } from '../telemetry/totals.js';
import { toMicroseconds } from '../telemetry/words.js';
import type { AdminSource } from './source.js';
import type { ConnectionsView, ConnectionView, LatencyView, ServicesView, StatusView } from './views.js';

export function connectionsAnswer({ total, connections }: ConnectionList, now: number): ConnectionsView {
  return { total, connections: connections.map((record) => viewOf(record, now)) };
}

function viewOf(record: ConnectionRecord, now: number): ConnectionView {
  return {
    id: record.id,
    phase: record.phase,
    worker: record.worker,
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
    queuedMs: record.queuedMs && toMicroseconds(record.queuedMs),
    connectMs: record.connectMs && toMicroseconds(record.connectMs),
    firstByteMs: record.firstByteMs && toMicroseconds(record.firstByteMs),
    heldBackMs: record.heldBackMs && toMicroseconds(record.heldBackMs),
    bytesReceived: record.bytesReceived,
    bytesSent: record.bytesSent,
    attempts: [...record.attempts],
  };
}

/** Of all services, or of one and then with its curves. */
export function latencyAnswer(totals: Totals, service: string | undefined): LatencyView {
  const all = totals.latency();
  if (service === undefined) return { services: all.map((entry) => ({ ...entry })) };
  const services = all
    .filter((entry) => entry.service === service)
    .map(({ steps }) => {
      const { connect, firstByte, duration } = steps;
      return {
        service,
        steps: {
          connect: connect && { ...connect, curve: [...totals.latencyCurve(service, 'connect')] },
          firstByte: firstByte && { ...firstByte, curve: [...totals.latencyCurve(service, 'firstByte')] },
          duration: duration && { ...duration, curve: [...totals.latencyCurve(service, 'duration')] },
        },
      };
    });
  return { services };
}

export function servicesAnswer(totals: Totals, status: ProxyStatus): ServicesView {
  const services = status.services.map(({ name, endpoints, upstreams, panic, ejections, breaker, checks }) => ({
    name,
    panic,
    ejections: ejections && { ...ejections },
    breaker: breaker && { ...breaker },
    checks: checks && { ...checks },
    upstreams: upstreams.map((upstream) => ({ ...upstream })),
    endpoints: endpoints.map((endpoint) => {
      const { id, metadata, standing, lastCheck } = endpoint;
      const { connected = 0, failed = 0, lastFailure } = totals.attemptsAt(name, id) ?? {};
      return {
        ...endpoint,
        addresses: [...endpoint.addresses],
        metadata: metadata && { ...metadata },
        active: totals.active(name, id),
        connected,
        failed,
        lastFailure: lastFailure && { ...lastFailure, at: isoTime(lastFailure.at) },
        standing: standing && { ...standing },
        lastCheck: lastCheck && { ...lastCheck, at: isoTime(lastCheck.at) },
      };
    }),
  }));
  return { services };
}

export function statusAnswer(totals: Totals, { telemetry, readiness }: AdminSource): StatusView {
  const { config, engine, identity, listeners } = telemetry.status();
  const traffic = totals.traffic();
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
    identity: identity && { ...identity, notAfter: isoTime(identity.notAfter) },
    engine: { ...engine },
    workers: [...totals.workers.values()].map((worker) => ({ ...worker })),
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
