import { describe, expect, it } from 'vitest';
import { descriptorLimit } from '../../src/core/descriptors.js';
import { connectionsAllowed, defaultMaxMemory, descriptorsInUse, MemoryGauge } from '../../src/l4/resources.js';
import { VirtualClock } from '../fakes/clock.js';

describe('connections allowed by descriptors', () => {
  it('is two descriptors a connection, less what is in use and a reserve', () => {
    expect(connectionsAllowed(20_000, 30)).toBe(Math.floor((20_000 - 30 - 128) / 2));
    expect(connectionsAllowed(256, 22)).toBe(Math.floor((256 - 22 - 76) / 2));
  });

  it('is one at least, and without bound where the system names no limit', () => {
    expect(connectionsAllowed(32, 31)).toBe(1);
    expect(connectionsAllowed(undefined, 5)).toBe(Number.POSITIVE_INFINITY);
  });

  it('reads what this process has', () => {
    expect(descriptorLimit()).toBeGreaterThan(0);
    expect(descriptorsInUse()).toBeGreaterThan(2);
    expect(defaultMaxMemory()).toBeGreaterThan(100e6);
  });
});

const LIMIT = 1e9;

describe('memory gauge', () => {
  it('reads when asked, and not again for a moment', async () => {
    const clock = new VirtualClock();
    let reads = 0;
    const gauge = new MemoryGauge(clock, () => {
      reads += 1;
      return reads * 10;
    });
    expect([gauge.resident(LIMIT), gauge.resident(LIMIT)]).toEqual([10, 10]);
    await clock.advance(199);
    expect(gauge.resident(LIMIT)).toBe(10);
    await clock.advance(1);
    expect(gauge.resident(LIMIT)).toBe(20);
  });

  it('keeps its last reading where there is no descriptor left to take another', async () => {
    const clock = new VirtualClock();
    let read = (): number => 10;
    const gauge = new MemoryGauge(clock, () => read());
    expect(gauge.resident(LIMIT)).toBe(10);
    read = () => {
      throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    };
    await clock.advance(200);
    expect(gauge.resident(LIMIT)).toBe(10);
  });

  it('gives back what is garbage before it says that the limit is reached, but not all the time', () => {
    const clock = new VirtualClock();
    let bytes = 200;
    let reclaimed = 0;
    const gauge = new MemoryGauge(
      clock,
      () => bytes,
      () => {
        reclaimed += 1;
        if (reclaimed === 2) bytes = 50;
      },
    );
    expect([gauge.resident(100), gauge.resident(100), reclaimed]).toEqual([200, 200, 1]);
    clock.advance(4999);
    expect([gauge.resident(100), reclaimed]).toEqual([200, 1]);
    clock.advance(1);
    expect([gauge.resident(100), reclaimed]).toEqual([50, 2]);
    clock.advance(10_000);
    expect([gauge.resident(100), reclaimed]).toEqual([50, 2]);
  });
});
