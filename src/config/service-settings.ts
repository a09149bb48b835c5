/** What can be set of a service, beside its upstreams. */
import { z } from 'zod';
import { balanceSettings } from './balance-settings.js';
import { DEFAULTS } from './defaults.js';
import { count, duration, spiffeId } from './fields.js';
import { healthSettings } from './health-settings.js';
import { resilienceSettings } from './resilience-settings.js';

export const serviceSettings = {
  connectTimeout: duration({ min: 1 })
    .prefault(DEFAULTS.connectTimeout)
    .describe('How long one endpoint may take to accept a connection before the next one is tried.'),
  connectDeadline: duration({ min: 1 })
    .prefault(DEFAULTS.connectDeadline)
    .describe('How long all attempts for one connection may take together.'),
  connectAttempts: count
    .max(100)
    .default(DEFAULTS.connectAttempts)
    .describe('How many endpoints are tried for one connection, each once.'),
  raceDelay: duration({ min: 10 })
    .prefault(DEFAULTS.raceDelay)
    .describe('Happy Eyeballs: the head start of one address of an endpoint before the next is tried beside it.'),
  idleTimeout: duration({ off: true })
    .prefault(DEFAULTS.idleTimeout)
    .describe('Reset a connection on which no byte has moved for this long; off for never.'),
  halfCloseTimeout: duration({ off: true })
    .prefault(DEFAULTS.halfCloseTimeout)
    .describe(
      'Reset a connection of which one direction has ended and on whose other no byte has moved for this long; off for never.',
    ),
  ...resilienceSettings,
  ...balanceSettings,
  ...healthSettings,
  onEndpointRemoved: z
    .enum(['drain', 'reset'])
    .default('drain')
    .describe(
      'What becomes of connections to an endpoint that is no longer found: drain lets them run on until they end, reset ends them at once. It gets no new ones either way.',
    ),
  sendProxyProtocol: z
    .enum(['off', 'v1', 'v2'])
    .default('off')
    .describe('Begin every upstream connection with a PROXY protocol header that names the client.'),
  tlsDial: z
    .enum(['off', 'mutual', 'originate'])
    .default('off')
    .describe(
      'TLS towards upstreams: mutual (TLS 1.3, both sides show certificates of the mesh) or originate (TLS 1.2 or 1.3, to a server that is known by its host name). After the PROXY protocol header, where one is sent.',
    ),
  serverIdentity: spiffeId
    .optional()
    .describe('With tlsDial mutual: the SPIFFE ID that every upstream of the service must prove to be.'),
  serverName: z
    .string()
    .min(1)
    .max(253)
    .optional()
    .describe(
      'The name sent in the TLS handshake (SNI); with tlsDial originate also the one that the certificate must be for. Default there: the name that the upstream is configured by.',
    ),
};
