/** Metrics of who this proxy is to others, and who they are: there are none where it speaks TLS nowhere. */
import type { MetricSpec } from './metric-spec.js';

export const identityMetrics: readonly MetricSpec[] = [
  {
    name: 'meshproxy_client_connections_total',
    type: 'counter',
    labels: ['listener', 'identity'],
    help: 'Connections that ended, by the SPIFFE ID that their client had proven; of one listener 500 are told apart, and more are other.',
    *read({ totals: { counters } }) {
      for (const [listener, { clients }] of counters.listeners) {
        for (const [identity, count] of clients) yield [{ listener, identity }, count];
      }
    },
  },
  {
    name: 'meshproxy_certificate_expiry_seconds',
    type: 'gauge',
    labels: ['identity'],
    help: 'How long the certificate of this proxy is still valid; below 0 once it has expired.',
    read: ({ status: { identity }, at }) =>
      identity === undefined ? [] : [[{ identity: identity.name }, (identity.notAfter - at) / 1000]],
  },
  {
    name: 'meshproxy_certificate_refused',
    type: 'gauge',
    labels: ['identity'],
    help: '1 while the files of the certificate hold what cannot be used, and the one before it serves on, else 0.',
    read: ({ status: { identity } }) =>
      identity === undefined ? [] : [[{ identity: identity.name }, identity.refused === undefined ? 0 : 1]],
  },
  {
    name: 'meshproxy_certificate_renewals_total',
    type: 'counter',
    labels: ['identity', 'outcome'],
    help: 'Renewals of the certificate of this proxy by the authority, by what became of them.',
    read: ({ status: { identity } }) =>
      identity?.renewer === undefined
        ? []
        : Object.entries(identity.renewer.renewals).map(([outcome, count]) => [
            { identity: identity.name, outcome },
            count,
          ]),
  },
];
