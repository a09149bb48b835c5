import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeChanges } from '../../src/config/changes.js';
import { parseConfig } from '../../src/config/load.js';
import { validInput } from './arbitraries.js';

describe('the changes between two configurations', () => {
  it('are named one by one, as they are written', () => {
    const before = parseConfig({
      listeners: { web: { address: ':80' }, old: { address: ':81', service: 'web' } },
      services: { web: { upstreams: ['a:1', 'b:1'] } },
    });
    const after = parseConfig({
      listeners: { web: { address: ':80', maxConnections: 5, service: 'api' } },
      services: { web: { upstreams: ['a:1'], connectTimeout: '500ms' }, api: { upstreams: ['c:1'] } },
      admin: 'off',
    });
    expect(describeChanges(before, after)).toEqual([
      'listeners.web.service: api, was web',
      'listeners.web.maxConnections: 5, was not set',
      'listeners.old: removed',
      'services.web.upstreams: ["a:1"], was ["a:1","b:1"]',
      'services.web.connectTimeout: 500ms, was 2s',
      'services.api: added',
      'admin: off, was 127.0.0.1:9901',
    ]);
  });

  it('are none from a configuration to itself, and some to any other', () => {
    fc.assert(
      fc.property(validInput, validInput, (a, b) => {
        const [one, other] = [parseConfig(a), parseConfig(b)];
        expect(describeChanges(one, parseConfig(a))).toEqual([]);
        expect(describeChanges(one, other).length === 0).toBe(
          JSON.stringify(sorted(one)) === JSON.stringify(sorted(other)),
        );
      }),
    );
  });
});

/** The same keys in the same order, at every depth. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, child]) => [key, sorted(child)]),
  );
}
