/** What keeps a service's troubles from growing: how much is carried, waits and is tried again. */
import { z } from 'zod';
import { DEFAULTS } from './defaults.js';
import { count, duration, percent, size } from './fields.js';

export const resilienceSettings = {
  maxConnections: count
    .optional()
    .describe(
      'Connections that the service has at a time, of all listeners; any more wait for a free place. Default: no limit of its own.',
    ),
  maxPending: count
    .default(DEFAULTS.maxPending)
    .describe("Connections that wait for one of the service's maxConnections; one more is refused at once."),
  queueTimeout: duration({ off: true })
    .prefault(DEFAULTS.queueTimeout)
    .describe('How long a connection may wait for a free place before it is refused; off: at once.'),
  queueTarget: duration({ off: true })
    .prefault(DEFAULTS.queueTarget)
    .describe(
      'The delay that a standing queue may cause: while everybody waits longer than this, nobody waits longer than this; off for never.',
    ),
  maxRetries: count
    .optional()
    .describe(
      'Connections of the service that are being tried at another endpoint at a time. Default: no limit of its own.',
    ),
  retryBudget: z
    .union([z.literal('off'), percent])
    .prefault(DEFAULTS.retryBudget)
    .describe(
      'How many connections may be tried at another endpoint, of those of the last ten seconds; off for all, within connectAttempts.',
    ),
  replay: z
    .union([z.literal('off').transform(() => 0), size(1, 1024 ** 2)])
    .prefault(DEFAULTS.replay)
    .describe(
      'For protocols in which a request may arrive twice: where an endpoint resets or ends the connection before it has begun to answer, what the client has sent so far, up to so much, is sent to another endpoint. off: only where nothing has been sent.',
    ),
  retryMinRate: count
    .default(DEFAULTS.retryMinRate)
    .describe('So many retries a second are allowed in any case, whatever the retry budget says.'),
};
