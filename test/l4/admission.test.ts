import { describe, expect, it } from 'vitest';
import { type Limits, type Load, refusal } from '../../src/l4/admission.js';
import type { Refusal } from '../../src/telemetry/record.js';

const idle: Load = { draining: false, total: 0, ofListener: 0, allowedByDescriptors: 1000, residentBytes: () => 1 };
const open: Limits = { maxConnections: undefined, maxOfListener: undefined, maxMemory: 100 };

describe('admission', () => {
  it('welcomes a connection where nothing speaks against it', () => {
    expect(refusal(idle, open)).toBeUndefined();
  });

  it.each([
    ['draining', { ...idle, draining: true }, open],
    ['descriptors', { ...idle, total: 1000 }, open],
    ['max-connections', { ...idle, total: 5 }, { ...open, maxConnections: 5 }],
    [
      'listener-max-connections',
      { ...idle, total: 5, ofListener: 3 },
      { ...open, maxConnections: 6, maxOfListener: 3 },
    ],
    ['max-memory', { ...idle, residentBytes: () => 100 }, open],
  ] as [Refusal, Load, Limits][])('refuses for %s', (reason, load, limits) => {
    expect(refusal(load, limits)).toBe(reason);
  });

  it('lets exactly as many in as a limit says', () => {
    const limits = { ...open, maxConnections: 2, maxOfListener: 2 };
    expect(refusal({ ...idle, total: 1, ofListener: 1 }, limits)).toBeUndefined();
    expect(refusal({ ...idle, total: 2, ofListener: 0 }, limits)).toBe('max-connections');
  });
});
