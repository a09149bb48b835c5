/** Metrics of what the circuit breakers of services bound. All workers count together; main reads what they share. */
import type { MetricSpec } from './metric-spec.js';
import type { BreakerStatus } from './status.js';

export const breakerMetrics: readonly MetricSpec[] = [
  gauge(
    'meshproxy_service_connections',
    'Connections that the service has, open or being opened.',
    ({ connections }) => connections,
  ),
  gauge(
    'meshproxy_service_connections_limit',
    'As many connections as the service may have; there is no such series where it has no limit of its own.',
    ({ maxConnections }) => maxConnections,
  ),
  gauge(
    'meshproxy_service_waiting',
    'Connections that wait for a free place in the service.',
    ({ waiting }) => waiting,
  ),
  gauge(
    'meshproxy_service_waiting_limit',
    'As many connections as may wait, 0 where none may; there is no such series where the service has no limit of connections.',
    ({ maxWaiting }) => maxWaiting,
  ),
  gauge(
    'meshproxy_service_retrying',
    'Connections that are being tried at another endpoint.',
    ({ retrying }) => retrying,
  ),
  gauge(
    'meshproxy_service_retrying_limit',
    'As many connections as may be tried at another endpoint at a time; there is no such series where there is no limit.',
    ({ maxRetrying }) => maxRetrying,
  ),
  gauge(
    'meshproxy_service_breaker_open',
    '1 while all places of the service are taken and as many wait as may, so that for the next connection one is refused at once, else 0.',
    ({ open }) => (open ? 1 : 0),
  ),
  gauge(
    'meshproxy_service_retry_budget_spent',
    'Retries of the last ten seconds; there is no such series where the service has no retry budget.',
    ({ retryBudget }) => retryBudget?.spent,
  ),
  gauge(
    'meshproxy_service_retry_budget',
    'As many retries as the connections of the last ten seconds allow; there is no such series where the service has no retry budget.',
    ({ retryBudget }) => retryBudget?.allowed,
  ),
];

function gauge(name: string, help: string, readOf: (breaker: BreakerStatus) => number | undefined): MetricSpec {
  return {
    name,
    type: 'gauge',
    labels: ['service'],
    help,
    *read({ status }) {
      for (const { name: service, breaker } of status.services) {
        const value = breaker && readOf(breaker);
        if (value !== undefined) yield [{ service }, value];
      }
    },
  };
}
