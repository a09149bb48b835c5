/** Every metric that is exported: its name, which stays as it is, what it means, and where its value is read. `docs/metrics.md` is made of this. */
import { breakerMetrics } from './breaker-metrics.js';
import type { RouteCounters } from './counters.js';
import { endpointMetrics } from './endpoint-metrics.js';
import { identityMetrics } from './identity-metrics.js';
import type { HistogramSpec, MetricSpec, MetricsView, Row } from './metric-spec.js';
import type { UpstreamStatus } from './status.js';

const connections: readonly MetricSpec[] = [
  {
    name: 'meshproxy_connections_opened_total',
    type: 'counter',
    labels: ['listener'],
    help: 'Connections accepted.',
    read: ({ totals: { counters } }) => rows(counters.listeners, (listener, { opened }) => [{ listener }, opened]),
  },
  {
    name: 'meshproxy_connections_closed_total',
    type: 'counter',
    labels: ['listener', 'service', 'ending'],
    help: 'Connections that ended, by how; the service is empty where it was not known yet.',
    *read(view) {
      for (const [labels, { closed }] of routesOf(view)) {
        for (const [ending, count] of closed) yield [{ ...labels, ending }, count];
      }
    },
  },
  {
    name: 'meshproxy_connections_active',
    type: 'gauge',
    labels: ['listener'],
    help: 'Connections open now.',
    read: ({ totals: { counters } }) => rows(counters.listeners, (listener, { active }) => [{ listener }, active]),
  },
  {
    name: 'meshproxy_connections_refused_total',
    type: 'counter',
    labels: ['listener', 'reason'],
    help: 'Connections turned away at once, by why: a limit was reached, or the proxy is shutting down.',
    *read({ totals: { counters } }) {
      for (const [listener, { refused }] of counters.listeners) {
        for (const [reason, count] of refused) yield [{ listener, reason }, count];
      }
    },
  },
  {
    name: 'meshproxy_received_bytes_total',
    type: 'counter',
    labels: ['listener', 'service'],
    help: 'Bytes from clients to upstreams, open connections included.',
    read: (view) => rows(routesOf(view), (labels, { receivedShown }) => [labels, receivedShown]),
  },
  {
    name: 'meshproxy_sent_bytes_total',
    type: 'counter',
    labels: ['listener', 'service'],
    help: 'Bytes from upstreams to clients, open connections included.',
    read: (view) => rows(routesOf(view), (labels, { sentShown }) => [labels, sentShown]),
  },
  {
    name: 'meshproxy_held_back_seconds_total',
    type: 'counter',
    labels: ['listener'],
    help: 'Time for which bandwidth limits held connections back, both directions together, told when the connection ends.',
    read: ({ totals: { counters } }) =>
      rows(counters.listeners, (listener, { heldBackMs }) => [{ listener }, heldBackMs / 1000]),
  },
  {
    name: 'meshproxy_connect_attempts_total',
    type: 'counter',
    labels: ['service', 'endpoint', 'result'],
    help: 'Attempts to connect to an endpoint; result is connected or failed. Each worker tells the first 1000 endpoints apart, any more are "other".',
    *read({ totals: { attempts } }) {
      for (const {
        service,
        endpoint,
        attempts: { connected, failed },
      } of attempts) {
        yield [{ service, endpoint, result: 'connected' }, connected];
        yield [{ service, endpoint, result: 'failed' }, failed];
      }
    },
  },
];

const configuration: readonly MetricSpec[] = [
  {
    name: 'meshproxy_config_version',
    type: 'gauge',
    labels: [],
    help: 'Version of the configuration in force: counts up from 1 with every reload that was applied.',
    read: ({ status }) => one(status.config.version),
  },
  {
    name: 'meshproxy_config_applied_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the configuration in force was applied, in seconds since 1970.',
    read: ({ status }) => one(status.config.appliedAt / 1000),
  },
  {
    name: 'meshproxy_config_last_reload_successful',
    type: 'gauge',
    labels: [],
    help: '0 where the last reload was refused and an older configuration is still in force, else 1.',
    read: ({ status }) => one(status.config.refused === undefined ? 1 : 0),
  },
  {
    name: 'meshproxy_config_reloads_total',
    type: 'counter',
    labels: ['result'],
    help: 'Reloads, by result: applied or refused.',
    read: ({ status }) => Object.entries(status.config.reloads).map(([result, count]) => [{ result }, count]),
  },
  {
    name: 'meshproxy_listener_paused',
    type: 'gauge',
    labels: ['listener'],
    help: '1 while the listener accepts nothing because this process has no descriptor left, else 0.',
    read: ({ status }) => status.listeners.map(({ name, paused }) => [{ listener: name }, paused ? 1 : 0]),
  },
  {
    name: 'meshproxy_service_endpoints',
    type: 'gauge',
    labels: ['service'],
    help: 'Endpoints that the service has now.',
    read: ({ status }) => status.services.map(({ name, endpoints }) => [{ service: name }, endpoints.length]),
  },
  {
    name: 'meshproxy_resolve_failures_total',
    type: 'counter',
    labels: ['service', 'upstream'],
    help: 'Look-ups of an upstream that failed; its last good answer stays in force.',
    read: (view) => rows(upstreamsOf(view), (labels, { resolveFailures }) => [labels, resolveFailures]),
  },
  {
    name: 'meshproxy_upstream_failing',
    type: 'gauge',
    labels: ['service', 'upstream'],
    help: '1 while it cannot be told which endpoints the upstream has now, and the last good answer is in force, else 0.',
    read: (view) => rows(upstreamsOf(view), (labels, { error }) => [labels, error === undefined ? 0 : 1]),
  },
  {
    name: 'meshproxy_upstream_endpoints',
    type: 'gauge',
    labels: ['service', 'upstream'],
    help: 'Endpoints of the upstream by its last good answer.',
    read: (view) => rows(upstreamsOf(view), (labels, { endpoints }) => [labels, endpoints]),
  },
  {
    name: 'meshproxy_upstream_answer_age_seconds',
    type: 'gauge',
    labels: ['service', 'upstream'],
    help: 'Time since the last good answer of a name, of SRV records, or since a file was last read; there are no such series for addresses.',
    *read(view) {
      for (const [labels, { answerAgeMs }] of upstreamsOf(view)) {
        if (answerAgeMs !== undefined) yield [labels, answerAgeMs / 1000];
      }
    },
  },
];

const processMetrics: readonly MetricSpec[] = [
  {
    name: 'meshproxy_build_info',
    type: 'gauge',
    labels: ['version', 'node'],
    help: 'Always 1; the versions are in the labels.',
    read: ({ version }) => [[{ version, node: process.versions.node }, 1]],
  },
  {
    name: 'meshproxy_log_lines_dropped_total',
    type: 'counter',
    labels: [],
    help: 'Log lines lost because whoever reads stderr was too slow, or gone.',
    read: ({ logLinesDropped }) => one(logLinesDropped),
  },
  {
    name: 'meshproxy_process_start_time_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the proxy was started, in seconds since 1970.',
    read: ({ startedAt }) => one(startedAt / 1000),
  },
  {
    name: 'meshproxy_process_cpu_seconds_total',
    type: 'counter',
    labels: ['mode'],
    help: 'CPU time used; mode is user or system.',
    read: ({ usage }) => Object.entries(usage.cpuSeconds).map(([mode, seconds]) => [{ mode }, seconds]),
  },
  {
    name: 'meshproxy_process_resident_memory_bytes',
    type: 'gauge',
    labels: [],
    help: 'Resident memory.',
    read: ({ usage }) => one(usage.residentBytes),
  },
  {
    name: 'meshproxy_process_heap_used_bytes',
    type: 'gauge',
    labels: [],
    help: 'JavaScript heap in use, of the main thread.',
    read: ({ usage }) => one(usage.heapUsedBytes),
  },
  {
    name: 'meshproxy_process_external_memory_bytes',
    type: 'gauge',
    labels: [],
    help: 'Memory of buffers and other objects outside of the JavaScript heap, of the main thread.',
    read: ({ usage }) => one(usage.externalBytes),
  },
  {
    name: 'meshproxy_process_open_fds',
    type: 'gauge',
    labels: [],
    help: 'Open file descriptors (Linux).',
    read: ({ usage }) => one(usage.openDescriptors),
  },
  {
    name: 'meshproxy_process_max_fds',
    type: 'gauge',
    labels: [],
    help: 'File descriptors that this process may open (Linux).',
    read: ({ usage }) => one(usage.maxDescriptors),
  },
  {
    name: 'meshproxy_event_loop_busy_seconds_total',
    type: 'counter',
    labels: [],
    help: "Time that the main thread's event loop was not waiting; its rate is the share of a core that it needs.",
    read: ({ usage }) => one(usage.busySeconds),
  },
  {
    name: 'meshproxy_event_loop_lag_seconds',
    type: 'gauge',
    labels: [],
    help: 'How long a callback that was due at once had to wait in the main thread, measured once, at the scrape.',
    read: ({ usage }) => one(usage.lagSeconds),
  },
];

const engine: readonly MetricSpec[] = [
  {
    name: 'meshproxy_engine_info',
    type: 'gauge',
    labels: ['engine'],
    help: 'Always 1; the label says what moves the bytes: native or streams.',
    read: ({ status }) => [[{ engine: status.engine.name }, 1]],
  },
  {
    name: 'meshproxy_workers',
    type: 'gauge',
    labels: [],
    help: 'Threads that carry connections.',
    read: ({ status }) => one(status.engine.workers),
  },
  {
    name: 'meshproxy_worker_deaths_total',
    type: 'counter',
    labels: [],
    help: 'Workers that have died; each was replaced, and its connections were reset.',
    read: ({ status }) => one(status.engine.deaths),
  },
  {
    name: 'meshproxy_worker_accepted_total',
    type: 'counter',
    labels: ['worker'],
    help: 'Connections that each worker took; there are no such series with the engine streams.',
    read: ({ totals }) => rows(totals.workers, (worker, { accepted }) => [{ worker: String(worker) }, accepted]),
  },
  {
    name: 'meshproxy_worker_connections',
    type: 'gauge',
    labels: ['worker'],
    help: 'Connections that each worker has open now.',
    read: ({ totals }) => rows(totals.workers, (worker, { active }) => [{ worker: String(worker) }, active]),
  },
  {
    name: 'meshproxy_worker_handed_over_total',
    type: 'counter',
    labels: ['worker'],
    help: 'Connections that each worker accepted and gave to another that had fewer, which then took them.',
    read: ({ totals }) => rows(totals.workers, (worker, { handedOver }) => [{ worker: String(worker) }, handedOver]),
  },
  {
    name: 'meshproxy_worker_cpu_seconds_total',
    type: 'counter',
    labels: ['worker'],
    help: 'CPU time that each worker used (Linux); its rate is the share of a core that it needs.',
    *read({ totals }) {
      for (const { worker, cpuSeconds } of totals.workers.values()) {
        if (cpuSeconds !== undefined) yield [{ worker: String(worker) }, cpuSeconds];
      }
    },
  },
];

export const METRICS: readonly MetricSpec[] = [
  ...connections,
  ...engine,
  ...configuration,
  ...endpointMetrics,
  ...breakerMetrics,
  ...identityMetrics,
  ...processMetrics,
];

export const HISTOGRAMS: readonly HistogramSpec[] = [
  {
    name: 'meshproxy_connect_seconds',
    type: 'histogram',
    labels: ['service'],
    help: 'Time that an endpoint took to accept a connection; attempts that failed are not in it.',
    read: ({ connect }) => connect,
  },
  {
    name: 'meshproxy_first_byte_seconds',
    type: 'histogram',
    labels: ['service'],
    help: 'Time from the connection to the endpoint until its first byte, told when the connection ends.',
    read: ({ firstByte }) => firstByte,
  },
  {
    name: 'meshproxy_connection_seconds',
    type: 'histogram',
    labels: ['service'],
    help: 'Time from accept to end, told when the connection ends.',
    read: ({ duration }) => duration,
  },
];

function one(value: number | undefined): readonly Row[] {
  return value === undefined ? [] : [[{}, value]];
}

function* rows<K, V>(entries: Iterable<readonly [K, V]>, row: (key: K, value: V) => Row): Generator<Row> {
  for (const [key, value] of entries) yield row(key, value);
}

function* upstreamsOf({ status }: MetricsView): Generator<[{ service: string; upstream: string }, UpstreamStatus]> {
  for (const { name: service, upstreams } of status.services) {
    for (const one of upstreams) yield [{ service, upstream: one.upstream }, one];
  }
}

function* routesOf({
  totals: { counters },
}: MetricsView): Generator<[{ listener: string; service: string }, RouteCounters]> {
  for (const [listener, { routes }] of counters.listeners) {
    for (const [service, route] of routes) yield [{ listener, service }, route];
  }
}
