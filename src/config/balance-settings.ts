/** How a service chooses among its endpoints, and which of them take no connections for a time. */
import { z } from 'zod';
import { DEFAULTS } from './defaults.js';
import { count, duration, hashKey, percent, percentBetween } from './fields.js';

export const balanceSettings = {
  balance: z
    .enum(['ewma', 'least-connections', 'round-robin', 'random', 'ring-hash', 'maglev'])
    .default(DEFAULTS.balance)
    .describe(
      'How an endpoint is chosen: ewma (of two drawn at random the one with less latency times open connections), least-connections (of two, the one with fewer), round-robin or random; ring-hash or maglev (the same endpoint for the same hashKey); all by weight.',
    ),
  hashKey: hashKey
    .prefault(DEFAULTS.hashKey)
    .describe(
      'With balance ring-hash or maglev: what decides on the endpoint. source-ip, source-ip-port, sni, destination, identity, or a field of the PROXY protocol header, as proxy-tlv:0xEA. A connection that has no such thing goes by its source-ip.',
    ),
  hashBalanceFactor: z
    .union([z.literal('off').transform(() => 0), percentBetween(101, 1000)])
    .prefault(DEFAULTS.hashBalanceFactor)
    .describe(
      'With balance ring-hash or maglev: an endpoint that has more than this share of the mean of connections is passed over for the next; 125% to 200% are usual. off for never.',
    ),
  ewmaDecay: duration({ min: 1 })
    .prefault(DEFAULTS.ewmaDecay)
    .describe('How fast what was learnt of latencies fades: to 37 % in so long.'),
  ewmaInitial: duration({ min: 1 })
    .prefault(DEFAULTS.ewmaInitial)
    .describe('With balance ewma: the latency that is expected of an endpoint before anything is known of it.'),
  slowStart: duration({ off: true })
    .prefault(DEFAULTS.slowStart)
    .describe(
      'How long an endpoint that is added later, or was out and is back, takes to come to its full share; off for at once.',
    ),
  panicThreshold: percent
    .prefault(DEFAULTS.panicThreshold)
    .describe(
      'Where fewer of the endpoints than this can take connections, all of them get some again: rather a few failures than too much for the rest.',
    ),
  ejectAfter: z
    .union([z.literal('off').transform(() => 0), count.max(1000)])
    .prefault(DEFAULTS.ejectAfter)
    .describe(
      'Failures in a row (connecting, TLS, or reset before the first byte) after which an endpoint takes no connections for a while; off for never.',
    ),
  ejectLatency: z
    .union([z.literal('off').transform(() => 0), z.number().min(2).max(1000)])
    .prefault(DEFAULTS.ejectLatency)
    .describe(
      'An endpoint takes no connections for a while whose connections take so many times as long to make as those to its peers of the same zone and priority (their median), and more than 100 ms; off for never.',
    ),
  ejectTime: duration({ min: 100 })
    .prefault(DEFAULTS.ejectTime)
    .describe('How long it takes none the first time; each further time twice as long.'),
  ejectMaxTime: duration({ min: 100 }).prefault(DEFAULTS.ejectMaxTime).describe('The longest that it takes none.'),
  ejectMaxShare: percent
    .prefault(DEFAULTS.ejectMaxShare)
    .describe('Of all endpoints of the service at most so many are ejected at a time, though always one of several.'),
};
