/** Metrics of how the endpoints of services stand, by whatever is known of them. */
import type { MetricSpec, MetricsView, Row } from './metric-spec.js';
import type { EndpointStatus, ServiceStatus } from './status.js';

/** Endpoints that are told apart, of all services together, as attempts are. Every one is three series to whoever stores them. */
const MOST_ENDPOINTS = 1000;

const STANDINGS = ['in', 'ejected', 'half-open', 'unhealthy'] as const;

export const endpointMetrics: readonly MetricSpec[] = [
  {
    name: 'meshproxy_endpoint_healthy',
    type: 'gauge',
    labels: ['service', 'endpoint'],
    help: '0 where health checks have found that the endpoint is not well, else 1. Of the first 1000 endpoints; there are none of a service that is not checked.',
    *read(view) {
      for (const [{ name: service, checks }, { id, standing }] of endpointsOf(view)) {
        if (checks) yield [{ service, endpoint: id }, standing?.kind === 'unhealthy' ? 0 : 1];
      }
    },
  },
  {
    name: 'meshproxy_endpoint_ejected',
    type: 'gauge',
    labels: ['service', 'endpoint'],
    help: '1 while the endpoint is ejected or, that being over, has yet to show that it is back, else 0. Of the first 1000 endpoints.',
    *read(view) {
      for (const [{ name: service }, { id, standing }] of endpointsOf(view)) {
        yield [{ service, endpoint: id }, standing?.kind === 'ejected' || standing?.kind === 'half-open' ? 1 : 0];
      }
    },
  },
  {
    name: 'meshproxy_endpoint_outstanding',
    type: 'gauge',
    labels: ['service', 'endpoint'],
    help: 'Connections that were picked for the endpoint and have not ended, being connected included. Of the first 1000 endpoints.',
    *read(view) {
      for (const [{ name: service }, { id, outstanding = 0 }] of endpointsOf(view)) {
        yield [{ service, endpoint: id }, outstanding];
      }
    },
  },
  {
    name: 'meshproxy_service_endpoints_standing',
    type: 'gauge',
    labels: ['service', 'standing'],
    help: 'Endpoints of the service, all of them, by how they stand: in, ejected, half-open (one connection may try it) or unhealthy.',
    *read({ status }) {
      for (const { name: service, endpoints } of status.services) {
        const counts = new Map<string, number>();
        for (const { standing } of endpoints) {
          const kind = standing?.kind ?? 'in';
          counts.set(kind, (counts.get(kind) ?? 0) + 1);
        }
        for (const standing of STANDINGS) yield [{ service, standing }, counts.get(standing) ?? 0];
      }
    },
  },
  {
    name: 'meshproxy_service_panic',
    type: 'gauge',
    labels: ['service'],
    help: '1 while too few of the endpoints can take connections, and all of them get some, else 0.',
    read: ({ status }) => status.services.map(({ name, panic }): Row => [{ service: name }, panic ? 1 : 0]),
  },
  {
    name: 'meshproxy_ejections_total',
    type: 'counter',
    labels: ['service', 'reason'],
    help: 'Ejections of endpoints, by reason: connect, timeout, handshake, reset or latency.',
    *read({ status }) {
      for (const { name: service, ejections = {} } of status.services) {
        for (const [reason, count] of Object.entries(ejections)) yield [{ service, reason }, count];
      }
    },
  },
  {
    name: 'meshproxy_health_checks_total',
    type: 'counter',
    labels: ['service', 'result'],
    help: 'Health checks, by result: passed or failed.',
    *read({ status }) {
      for (const { name: service, checks } of status.services) {
        if (checks === undefined) continue;
        yield [{ service, result: 'passed' }, checks.passed];
        yield [{ service, result: 'failed' }, checks.failed];
      }
    },
  },
  {
    name: 'meshproxy_health_check_seconds_total',
    type: 'counter',
    labels: ['service'],
    help: 'Time that health checks have taken, all together; divided by their number, how long one takes.',
    *read({ status }) {
      for (const { name: service, checks } of status.services) {
        if (checks) yield [{ service }, checks.durationMs / 1000];
      }
    },
  },
];

function* endpointsOf({ status }: MetricsView): Generator<[ServiceStatus, EndpointStatus]> {
  let left = MOST_ENDPOINTS;
  for (const service of status.services) {
    for (const endpoint of service.endpoints) {
      if (left === 0) return;
      left -= 1;
      yield [service, endpoint];
    }
  }
}
