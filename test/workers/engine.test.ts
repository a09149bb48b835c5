import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.js';
import { chooseEngine, fixedAtStart } from '../../src/workers/engine.js';

const able = { nativeSupport: () => ({ ok: true }) as const, availableCores: () => 3 };
const unable = { ...able, nativeSupport: () => ({ ok: false, reason: 'it needs Linux' }) as const };

describe('the engine', () => {
  it.each([
    ['auto', undefined, able, { name: 'native', workers: 3 }],
    ['auto', 7, able, { name: 'native', workers: 7 }],
    ['native', undefined, able, { name: 'native', workers: 3 }],
    ['streams', undefined, able, { name: 'streams', workers: 1 }],
    ['auto', 7, unable, { name: 'streams', workers: 1, why: 'it needs Linux' }],
  ] as const)('for %s with %s workers is as the machine allows', (engine, workers, machine, chosen) => {
    expect(chooseEngine({ engine, workers }, machine)).toEqual(chosen);
  });

  it('is refused where it was asked for by name and cannot run', () => {
    expect(() => chooseEngine({ engine: 'native', workers: undefined }, unable)).toThrow(
      expect.objectContaining({ code: 'usage', message: 'the native engine cannot run here: it needs Linux' }),
    );
  });

  it('stays as it was at the start', () => {
    const before = parseConfig({ engine: 'native' });
    expect(fixedAtStart(before, parseConfig({ engine: 'native', accessLog: 'off' }))).toBeUndefined();
    expect(fixedAtStart(before, parseConfig({ workers: 2 }))).toBe(
      'engine (auto, was native) and workers (2, was default) cannot be changed while it runs: restart it for that',
    );
  });
});
