/** What can be set of a listener, beside its address and service. */
import { z } from 'zod';
import { DEFAULTS } from './defaults.js';
import { count, duration, spiffeId } from './fields.js';

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
