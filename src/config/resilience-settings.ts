/** What keeps a service's troubles from growing: how much is tried again. */
import { z } from 'zod';
import { DEFAULTS } from './defaults.js';
import { count, percent } from './fields.js';

export const resilienceSettings = {
  retryBudget: z
    .union([z.literal('off'), percent])
    .prefault(DEFAULTS.retryBudget)
    .describe(
      'How many connections may be tried at another endpoint, of those of the last ten seconds; off for all, within connectAttempts.',
    ),
  retryMinRate: count
    .default(DEFAULTS.retryMinRate)
    .describe('So many retries a second are allowed in any case, whatever the retry budget says.'),
};
