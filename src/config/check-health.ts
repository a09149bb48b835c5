/** Whether what is said of a service's health check fits together. */
import { asRecord } from './plain.js';
import type { Problem } from './problems.js';
import type { ParsedInput } from './schema.js';

export function checkHealth({ services }: ParsedInput): Problem[] {
  return Object.entries(services).flatMap(([name, { healthCheck, healthExpect }]): Problem[] => {
    if (healthCheck !== 'send-expect' || healthExpect !== undefined) return [];
    const message = '"send-expect" needs healthExpect, what a healthy endpoint says (--health-expect)';
    return [{ path: ['services', name, 'healthCheck'], at: 'value', message }];
  });
}

/** What would be sent and expected, and nobody has said that it is to be: of what was written, for defaults may be for other services. */
export function idleExchanges(input: unknown): Problem[] {
  const root = asRecord(input);
  const defaults = asRecord(asRecord(root?.['defaults'])?.['service']);
  const services = Object.entries(asRecord(root?.['services']) ?? {});
  const places = [
    { path: ['defaults', 'service'], settings: defaults },
    ...services.map(([name, service]) => ({ path: ['services', name], settings: asRecord(service) })),
  ];
  return places.flatMap(({ path, settings }): Problem[] => {
    const key = ['healthSend', 'healthExpect'].find((one) => settings?.[one] !== undefined);
    if (key === undefined || (settings?.['healthCheck'] ?? defaults?.['healthCheck']) !== undefined) return [];
    return [{ path: [...path, key], at: 'value', message: 'has no meaning without healthCheck send-expect' }];
  });
}
