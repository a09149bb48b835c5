/** What can be set of a listener, beside its address and service. */
import { z } from 'zod';
import { DEFAULTS } from './defaults.js';
import { bandwidth, count, duration, rate, spiffeId } from './fields.js';

export const listenerSettings = {
  acceptProxyProtocol: z
    .boolean()
    .default(false)
    .describe('Every connection must begin with a PROXY protocol header (v1 or v2); one without is refused.'),
  proxyProtocolTimeout: duration({ min: 1 })
    .prefault(DEFAULTS.proxyProtocolTimeout)
    .describe('How long a client may take to send its PROXY protocol header.'),
  maxConnections: count
    .optional()
    .describe(
      'Connections that one listener carries at a time; one more is refused at once. Default: no limit of its own.',
    ),
  maxConnectionRate: rate
    .optional()
    .describe(
      'Connections that one listener accepts in a time, and at most at once; one more is refused. Default: no limit.',
    ),
  maxConnectionRatePerSource: rate
    .optional()
    .describe('The same for each client, which is an IPv4 address or the /64 of an IPv6 one. Default: no limit.'),
  maxBandwidth: bandwidth
    .optional()
    .describe(
      'Bytes a second that the connections of one listener carry together, in each direction; past it they are held back. Default: no limit.',
    ),
  maxBandwidthPerSource: bandwidth
    .optional()
    .describe('The same for the connections of each client. Default: no limit.'),
  detectTimeout: duration({ min: 1 })
    .prefault(DEFAULTS.detectTimeout)
    .describe(
      'How long to wait for what a client says first, where that decides on its endpoint (hashKey sni, for TLS that is passed through). After that it goes on without.',
    ),
  tlsAccept: z
    .enum(['off', 'mutual', 'terminate'])
    .default('off')
    .describe(
      'TLS with clients: mutual (TLS 1.3, both sides show certificates of the mesh) or terminate (TLS 1.2 or 1.3, clients show none). After the PROXY protocol header, where there is one.',
    ),
  tlsHandshakeTimeout: duration({ min: 1 })
    .prefault(DEFAULTS.tlsHandshakeTimeout)
    .describe('How long the TLS handshake with a client may take.'),
  clientIdentities: z
    .array(spiffeId)
    .min(1, 'an empty list lets nobody in; leave the key out for every client that the trust bundle vouches for')
    .optional()
    .describe(
      'With tlsAccept mutual: the SPIFFE IDs of the clients that are let in. Default: everyone that the trust bundle vouches for.',
    ),
};
