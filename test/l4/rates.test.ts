import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RateSettings, Rates, rateCellsFor } from '../../src/l4/rates.js';
import { Throttle } from '../../src/l4/throttle.js';
import { VirtualClock } from '../fakes/clock.js';

const MIB = 1024 ** 2;
const NONE: RateSettings = {};

/** Two threads' views of the limits of one listener. */
function threads(settings: RateSettings, clock = new VirtualClock()) {
  const cells = rateCellsFor(settings);
  return { clock, cells, one: new Rates(cells, settings, clock), other: new Rates(cells, settings, clock) };
}

/**
 * Connections that always have something to carry, each of a source of its own unless told, over two threads. Bytes of each in so many
 * ms of virtual time, with timers that are late by up to `lateMs`.
 */
function carry(settings: RateSettings, sources: readonly string[], durationMs: number, lateMs = 1): number[] {
  const { clock, one, other } = threads(settings);
  const connections = sources.map((source, index) => ({
    throttle: new Throttle(index % 2 === 0 ? one : other, source, 'sent'),
    bytes: 0,
    next: 0,
  }));
  const start = clock.now();
  for (let step = 0; clock.now() < start + durationMs; step += 1) {
    for (const connection of connections) {
      for (let reads = 0; connection.next <= clock.now() && reads < 16; reads += 1) {
        const { throttle } = connection;
        connection.bytes += throttle.mostAtOnce;
        const restMs = throttle.took(throttle.mostAtOnce);
        if (restMs > 0) connection.next = clock.now() + Math.ceil(restMs) + ((step * 7919) % (lateMs + 1));
      }
    }
    clock.advance(1);
  }
  return connections.map(({ bytes }) => bytes);
}

function sum(all: readonly number[]): number {
  return all.reduce((total, one) => total + one, 0);
}

describe('connections in a time', () => {
  it('are as many as the listener may take, over all threads', () => {
    const { clock, one, other } = threads({ maxConnectionRate: { count: 10, perMs: 1000 } });
    const admitted = (times: number): number =>
      Array.from({ length: times }, (_, index) => (index % 2 ? one : other).admits()).filter(Boolean).length;
    expect(admitted(20)).toBe(10);
    clock.advance(500);
    expect(admitted(20)).toBe(5);
    clock.advance(60_000);
    expect(admitted(20)).toBe(10);
  });

  it('are as many as each source may have, and of a listener without such a limit any number', () => {
    const { one, other } = threads({ maxConnectionRatePerSource: { count: 3, perMs: 60_000 } });
    expect([one, other, one, other].map((rates) => rates.admitsFrom('a'))).toEqual([true, true, true, false]);
    expect(other.admitsFrom('b')).toBe(true);
    expect(one.admits()).toBe(true);
    const { one: free } = threads(NONE);
    expect(Array.from({ length: 1000 }, () => free.admitsFrom('a') && free.admits())).not.toContain(false);
  });

  it('keep what was counted over a reload, and go by the new limit', () => {
    const { clock, cells, one } = threads({ maxConnectionRatePerSource: { count: 3, perMs: 60_000 } });
    for (let times = 0; times < 3; times += 1) one.admitsFrom('a');
    const settings = {
      maxConnectionRatePerSource: { count: 4, perMs: 60_000 },
      maxConnectionRate: { count: 1, perMs: 1000 },
    };
    one.replace(settings);
    expect([one.admitsFrom('a'), one.admitsFrom('a')]).toEqual([true, false]);
    expect([one.admits(), one.admits()]).toEqual([true, false]);
    expect(rateCellsFor(settings, cells).sources).toBe(cells.sources);
    one.replace(NONE);
    expect([one.admitsFrom('a'), one.admits()]).toEqual([true, true]);
    clock.advance(1);
  });

  it('of sources are counted from a reload on that asks for it', () => {
    const { one } = threads(NONE);
    one.replace({ maxConnectionRatePerSource: { count: 1, perMs: 1000 } });
    expect([one.admitsFrom('a'), one.admitsFrom('a')]).toEqual([true, false]);
  });
});

describe('bytes in a time', () => {
  it('are within a few percent of the limit, however many connections there are and however late timers come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 64 * 1024, max: 256 * MIB }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 20 }),
        (maxBandwidth, connections, lateMs) => {
          const durationMs = 10_000;
          const sources = Array.from({ length: connections }, (_, index) => String(index));
          const carried = sum(carry({ maxBandwidth }, sources, durationMs, lateMs));
          // In advance: a tenth of a second, and what each carries at a time.
          const ahead = maxBandwidth / 10 + connections * Math.max(16 * 1024, maxBandwidth / 50);
          expect(carried).toBeGreaterThan(0.97 * (maxBandwidth / 1000) * durationMs - ahead);
          expect(carried).toBeLessThan((maxBandwidth / 1000) * durationMs + ahead);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('are shared evenly by the connections of a listener, and of a source', () => {
    for (const settings of [{ maxBandwidth: 4 * MIB }, { maxBandwidthPerSource: 4 * MIB }]) {
      const carried = carry(settings, Array(8).fill('a'), 20_000, 5);
      const mean = sum(carried) / carried.length;
      for (const bytes of carried) expect(Math.abs(bytes - mean) / mean).toBeLessThan(0.1);
    }
  });

  it('are limited for each source by itself: ten connections of one take nothing from another', () => {
    const carried = carry({ maxBandwidthPerSource: MIB }, ['a', ...Array(10).fill('b')], 20_000);
    expect(carried[0]).toBeGreaterThan(19 * MIB);
    expect(carried[0]).toBeLessThan(21 * MIB);
    expect(sum(carried.slice(1))).toBeGreaterThan(19 * MIB);
    expect(sum(carried.slice(1))).toBeLessThan(21 * MIB);
  });

  it('keep to both limits where there are two', () => {
    const settings = { maxBandwidth: 3 * MIB, maxBandwidthPerSource: 2 * MIB };
    const [alone] = carry(settings, ['a'], 10_000);
    expect((alone ?? 0) / MIB).toBeCloseTo(20, -0.5);
    expect(sum(carry(settings, ['a', 'b'], 10_000)) / MIB).toBeCloseTo(30, -0.5);
  });

  it('of the two directions are counted apart', () => {
    const { one } = threads({ maxBandwidth: MIB });
    const [up, down] = [new Throttle(one, 'a', 'received'), new Throttle(one, 'a', 'sent')];
    expect(up.took(MIB)).toBeGreaterThan(800);
    expect(down.took(1)).toBeLessThanOrEqual(0);
  });

  it('hold a connection back only for as long as they say, and tell how long that was', () => {
    const { clock, one } = threads({ maxBandwidth: MIB });
    const throttle = new Throttle(one, 'a', 'sent');
    const restMs = throttle.took(MIB);
    expect(restMs).toBeCloseTo(900, -1);
    expect(throttle.isHeld(clock.now())).toBe(true);
    expect(throttle.heldMs).toBe(restMs);
    clock.advance(Math.ceil(restMs));
    expect(throttle.isHeld(clock.now())).toBe(false);
  });

  it('go by another limit as soon as there is one, for what is open as well', () => {
    const { one, clock } = threads({ maxBandwidth: MIB, maxBandwidthPerSource: MIB });
    const throttle = new Throttle(one, 'a', 'sent');
    expect(throttle.took(MIB)).toBeGreaterThan(800);
    clock.advance(10_000);
    one.replace({ maxBandwidth: 10 * MIB });
    expect(throttle.took(MIB)).toBeLessThanOrEqual(1);
    one.replace(NONE);
    expect(throttle.took(1000 * MIB)).toBeLessThanOrEqual(0);
  });

  it('are still limited for a source whose place another has taken meanwhile', () => {
    const { one, clock } = threads({ maxBandwidthPerSource: 64 * 1024 });
    const throttle = new Throttle(one, 'a', 'sent');
    throttle.took(1024);
    for (let source = 0; source < 50_000; source += 1) {
      clock.advance(1);
      new Throttle(one, `other ${source}`, 'sent').took(1);
    }
    expect(throttle.took(64 * 1024)).toBeGreaterThan(800);
    expect(throttle.took(64 * 1024)).toBeGreaterThan(1800);
  });
});
