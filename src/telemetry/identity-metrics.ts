/** Metrics of who this proxy is to others: there are none where it speaks TLS nowhere. */
import type { MetricSpec } from './metric-spec.js';

export const identityMetrics: readonly MetricSpec[] = [
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
];
