/** How the health of a service's endpoints is checked, by the proxy itself and whether or not there are connections. */
import { z } from 'zod';
import { DEFAULTS } from './defaults.js';
import { count, duration } from './fields.js';
import { HEALTH_CHECK_PATTERN, parseBytes, parseHealthCheck, parseStatuses, STATUSES_PATTERN } from './health-check.js';
import { show } from './show.js';

/** Far more than a question or an answer needs that tells whether a server is well. */
const MOST_BYTES = 4096;

const bytes = z
  .string()
  .max(MOST_BYTES)
  .refine((text) => parseBytes(text) !== undefined, {
    error: ({ input }) => `${show(input)} is not bytes; write text, hex:50494e47 or base64:UElORw==`,
  });

export const healthSettings = {
  healthCheck: z
    .string()
    .regex(new RegExp(HEALTH_CHECK_PATTERN), {
      error: ({ input }) =>
        `${show(input)} is not a health check; write off, tcp, tls, http:/path, http://host/path or send-expect`,
    })
    .refine((text) => parseHealthCheck(text) !== undefined, {
      error: ({ input }) => `${show(input)} has no path; write http:/path or http://host/path`,
    })
    .default(DEFAULTS.healthCheck)
    .describe(
      'What each endpoint is asked now and then: tcp (does it accept?), tls (a handshake, as connections do it), http:/path or http://host/path (a GET), send-expect (healthSend, healthExpect) or off. One that fails takes no connections.',
    ),
  healthInterval: duration({ min: 100 })
    .prefault(DEFAULTS.healthInterval)
    .describe('How often each endpoint is checked, give or take a tenth.'),
  healthTimeout: duration({ min: 10 })
    .prefault(DEFAULTS.healthTimeout)
    .describe('How long one check may take, connecting included, before it counts as failed.'),
  healthRise: count
    .max(1000)
    .default(DEFAULTS.healthRise)
    .describe('Checks in a row that must pass before an endpoint that was unhealthy takes connections again.'),
  healthFall: count
    .max(1000)
    .default(DEFAULTS.healthFall)
    .describe(
      'Checks in a row that must fail before an endpoint takes no more connections; of an endpoint that was never checked before, the first.',
    ),
  healthPort: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe("The port that is checked, where it is not the endpoint's own."),
  healthStatus: z
    .string()
    .meta({ pattern: STATUSES_PATTERN })
    .refine((text) => parseStatuses(text) !== undefined, {
      error: ({ input }) => `${show(input)} is no list of HTTP statuses; write 200, 200-399 or 200-299,404`,
    })
    .default(DEFAULTS.healthStatus)
    .describe('With healthCheck http: the statuses that pass.'),
  healthSend: bytes
    .optional()
    .describe('With healthCheck send-expect: what is sent first; text, or bytes as hex: or base64:.'),
  healthExpect: bytes
    .optional()
    .describe(
      'With healthCheck send-expect: what must come back, anywhere in the first 16 KiB; text, or bytes as hex: or base64:.',
    ),
};
